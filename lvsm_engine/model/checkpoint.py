"""Models on disk: our safetensors and the published .pt, both ways.

Ours: tensors by our names; the metadata's "lvsm" is JSON with the configuration, of which only what differs from the
published model's is written, and the model card; a word in it that is not known was written by a newer version, and older
ones are converted by earlier_files.py. Published: a torch pickle, read with weights_only, whose configuration is
inferred from names and shapes.
"""

import dataclasses
import json
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import CHOOSE_MODEL, CheckpointError, OutputError
from ..known_models import BUNDLED, DEFAULT, find_fetched, is_known
from ..scene.frame import SceneFrame
from ..whole_files import refuse_pipe, write_whole
from .card import ModelCard
from .config import ModelConfig
from .decoder_only import DecoderOnly
from .earlier_files import in_todays_words
from .encoder_decoder import EncoderDecoder
from .fast_weight_model import FastWeightModel
from .published import lact, lvsm

Model = DecoderOnly | EncoderDecoder | FastWeightModel
CLASSES: dict[str, type[Model]] = {
    "decoder_only": DecoderOnly,
    "encoder_decoder": EncoderDecoder,
    "fast_weights": FastWeightModel,
}

# Raised when older programs would misread a file; an option that they do not know they tell by its word.
FORMAT = 4
HEAD = "to_pixels.1.weight"
# Attention's two, the MLP's two, two norms; more with QK norm.
MIN_TENSORS_OF_A_BLOCK = 6
WEIGHTS_FOLDER = Path(__file__).resolve().parents[1] / "weights"
# Older unpicklers run code even with weights_only: CVE-2025-32434, CVE-2026-24747.
MIN_TORCH_FOR_PICKLES = (2, 10)


def build_model(config: ModelConfig) -> Model:
    """A model of this shape with initial weights."""
    return CLASSES[config.architecture](config)


def find_model_file(model: str | Path) -> Path:
    """The file of a model given by path, or by a name of known_models. Raises CheckpointError for one that is not fetched."""
    if str(model) == DEFAULT:
        return WEIGHTS_FOLDER / BUNDLED.file
    return find_fetched(str(model)) if is_known(str(model)) else Path(model)


def load_model(path: str | Path) -> Model:
    """The model in a file, ours or published, in evaluation mode and float32. Raises CheckpointError."""
    return load_checkpoint(path)[0]


def load_checkpoint(path: str | Path, published_as: str | None = None) -> tuple[Model, ModelCard]:
    """The model in a file (float32, evaluation mode) and its card; told apart by content. Raises CheckpointError.

    published_as: the name that a published file was published by, where it has another now.
    """
    path = find_model_file(path)
    if _is_pickle(path):
        tensors = _without_prefixes(_read_published(path))
        config = _infer_config(tensors, path)
        card = _published_card(config, path, published_as)
        return _from_published(tensors, config, path), card
    config, card, head_factor = _read_metadata(path)
    with _open_safetensors(path) as file:
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a dict)
    if head_factor != 1 and HEAD in tensors:
        tensors[HEAD] = tensors[HEAD] * head_factor
    return _fill(config, tensors, path), card


def read_card(path: str | Path, published_as: str | None = None) -> tuple[ModelConfig, ModelCard]:
    """Configuration and card of a model's file; of ours without reading its tensors. Raises CheckpointError.

    published_as: as load_checkpoint's.
    """
    path = find_model_file(path)
    if _is_pickle(path):
        config = _infer_config(_without_prefixes(_read_published(path)), path)
        return config, _published_card(config, path, published_as)
    config, card, _ = _read_metadata(path)
    return config, card


def _read_metadata(path: Path) -> tuple[ModelConfig, ModelCard, float]:
    """Configuration, card, and the factor of the head's weights of our file, whatever version of us wrote it."""
    with _open_safetensors(path) as file:
        text = (file.metadata() or {}).get("lvsm")
    if text is None:
        raise _refusal(path, "it is a safetensors file, but not one of an LVSM model")
    try:
        entry = json.loads(text)
        if entry["format"] > FORMAT:
            raise _refusal(path, f"its format {entry['format']} is newer than this program's; update the program")
        entry, head_factor = in_todays_words(entry)
        config, card = dict(entry["config"]), dict(entry["card"])
        strangers = _strangers(config, ModelConfig) | _strangers(card, ModelCard)
        if strangers:
            raise _refusal(
                path, f"it was made by a newer version, which knows '{min(strangers)[:40]}'; update the program"
            )
        card["scene_frame"] = SceneFrame(**card["scene_frame"])
        for name in ("input_views", "field_of_view", "background"):
            card[name] = None if card[name] is None else tuple(card[name])
        return ModelConfig(**config), ModelCard(**card), head_factor
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise _refusal(path, f"its metadata are damaged ({str(error).rstrip('.')})") from error


def _strangers(entry: Mapping[str, Any], kind: type) -> set[str]:
    return set(entry) - {field.name for field in dataclasses.fields(kind)}


def _without_defaults(values: ModelConfig | ModelCard) -> dict[str, Any]:
    """What differs from the defaults, so that a file without a new option can be read by an older program."""
    defaults = {field.name: field.default for field in dataclasses.fields(values)}
    return {name: value for name, value in dataclasses.asdict(values).items() if value != defaults[name]}


def save_checkpoint(path: str | Path, model: Model, card: ModelCard, dtype: torch.dtype = torch.float32) -> None:
    """Write our safetensors: whole, or not at all. Raises CheckpointError."""
    metadata = {"format": FORMAT, "config": _without_defaults(model.config), "card": _without_defaults(card)}
    tensors = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in model.state_dict().items()}
    content = {"lvsm": json.dumps(metadata)}
    # Not by save_file, which makes a file that nobody but its owner can read (safetensors 0.8).
    _write(path, lambda part: part.write_bytes(save(tensors, metadata=content)))


def export_published(path: str | Path, model: Model) -> None:
    """Write the model as the published code's .pt, {"model": tensors by published names}. Raises CheckpointError."""
    config = model.config
    overlaps = config.patch_size != config.input_stride or config.patch_size != config.target_stride
    if config.inputs_first or config.camera_encoding != "none" or overlaps:
        raise CheckpointError(
            f"{path}: a model with the mask 'inputs first', a camera encoding or overlapping patches has no published"
            " form. Convert another model."
        )
    tensors = {published_name(name, model.config): tensor for name, tensor in model.state_dict().items()}
    _write(path, lambda part: torch.save({"model": tensors}, part))


# --- The published form ----------------------------------------------------------------------------------------------


def published_name(name: str, config: ModelConfig) -> str:
    """What the published code calls our tensor `name`."""
    return lact.published_name(name) if config.architecture == "fast_weights" else lvsm.published_name(name, config)


def model_from_published(tensors: Mapping[str, Tensor], path: str | Path = "checkpoint") -> Model:
    """The model of tensors by published names, with the configuration inferred from names and shapes.

    What wrappers put before names is dropped, and so is all of `loss_computer`. Raises CheckpointError with the
    name of any other tensor that is missing, left over or misshapen; `path` is for that message.
    """
    plain = _without_prefixes(tensors)
    return _from_published(plain, _infer_config(plain, path), path)


def _from_published(tensors: Mapping[str, Tensor], config: ModelConfig, path: str | Path) -> Model:
    wanted = {published_name(name, config): name for name in build_model_names(config)}
    renamed = {wanted.get(name, name): tensor.float() for name, tensor in tensors.items()}
    return _fill(config, renamed, path)


def _without_prefixes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without what torch's wrappers add to them; without the tensors of the loss."""
    plain = {}
    for name, tensor in tensors.items():
        name = re.sub(r"^(module\.)+", "", re.sub(r"\b(_orig_mod|_checkpoint_wrapped_module)\.", "", name))
        if not name.startswith("loss_computer."):
            plain[name] = tensor
    return plain


def _infer_config(tensors: Mapping[str, Tensor], path: str | Path) -> ModelConfig:
    try:
        return lact.infer_config(tensors) if lact.MARK in tensors else lvsm.infer_config(tensors)
    except ValueError as error:
        raise _refusal(path, str(error).rstrip(".")) from error


def _published_card(config: ModelConfig, path: Path, published_as: str | None = None) -> ModelCard:
    family = lact if config.architecture == "fast_weights" else lvsm
    try:
        return family.card_of(config, published_as or path.name)
    except ValueError as error:
        raise _refusal(path, str(error).rstrip(".")) from error


def build_model_names(config: ModelConfig) -> list[str]:
    """The names of a model's tensors, without the memory for them."""
    with torch.device("meta"):
        return list(build_model(config).state_dict())


# --- Files ------------------------------------------------------------------------------------------------------------


def _fill(config: ModelConfig, tensors: Mapping[str, Tensor], path: str | Path) -> Model:
    """A model with these tensors by our names; every name and shape must fit, and every number be finite."""
    blocks = config.blocks + config.encoder_blocks
    if len(tensors) < blocks * MIN_TENSORS_OF_A_BLOCK:  # a network of a thousand blocks takes seconds to build
        raise _refusal(path, f"it is to have {blocks} blocks and has {len(tensors)} tensors")
    with torch.device("meta"):
        model = build_model(config)
    for name, expected in model.state_dict().items():
        if name not in tensors:
            raise _refusal(path, f"the tensor '{name}' is missing")
        if tensors[name].shape != expected.shape:
            have, want = tuple(tensors[name].shape), tuple(expected.shape)
            raise _refusal(path, f"the tensor '{name}' has the shape {have} instead of {want}")
    extra = sorted(set(tensors) - set(model.state_dict()))
    if extra:
        raise _refusal(path, f"the tensor '{extra[0]}' belongs to no LVSM model of this kind ({len(extra)} left over)")
    for name, tensor in tensors.items():
        if not torch.stack(torch.aminmax(tensor)).isfinite().all():  # a NaN is the least and the most
            raise _refusal(path, f"the tensor '{name}' has numbers that are not finite")
    model.load_state_dict(tensors, assign=True)
    return model.requires_grad_(False).eval()


def _is_pickle(path: Path) -> bool:
    """True for torch's zip and for its older bare pickle; raises CheckpointError for a file that cannot be read."""
    try:
        refuse_pipe(path)
        with open(path, "rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(
            f"{path}: the model cannot be read ({error.strerror}). Choose another file.", CHOOSE_MODEL
        ) from error
    # A safetensors file begins with any length of a header, so with the letters of a zip too; but its JSON comes next.
    if len(head) == 9 and head[8:] == b"{" and struct.unpack("<Q", head[:8])[0] < 2**32:
        return False
    if head.startswith((b"PK\x03\x04", b"\x80\x02")):
        return True
    if head.lstrip().startswith(b"<"):
        raise _refusal(path, "it is a web page, as a browser saves one in place of a file")
    if head.startswith(b"version h"):
        raise _refusal(path, "it is a pointer of Git LFS to the weights, and not the weights")
    raise _refusal(path, "it is neither a safetensors file nor a published .pt, or it is damaged")


def refuse_old_torch(path: str | Path) -> None:
    """Before a published file is read, or fetched. Raises CheckpointError where this torch cannot open it safely."""
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < MIN_TORCH_FOR_PICKLES:
        raise CheckpointError(
            f"{path}: a .pt file can be opened safely only by torch 2.10 or newer, and this is torch {torch.__version__}."
            " Update torch, or convert the file elsewhere with 'lvsm convert'.",
            CHOOSE_MODEL,
        )


def _read_published(path: Path) -> dict[str, Tensor]:
    refuse_old_torch(path)
    if zipfile.is_zipfile(path):
        _check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise _refusal(path, "it holds more than tensors (a pickle with code in it), so it was not opened") from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise _refusal(path, "it is cut short or damaged") from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict):
        raise _refusal(path, "it holds no table of tensors")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise _refusal(path, f"its entry '{str(name)[:40]}' is no tensor with a name")
        if not _is_plain(value):
            raise _refusal(path, f"its tensor '{name[:40]}' is no plain table of numbers")
    return content


def _check_archive(path: Path) -> None:
    """torch compresses nothing: what inflates to gigabytes was made to."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise _refusal(path, "its parts are compressed, as no torch writes them")
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _refusal(path, "it is cut short or damaged") from error


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor holds a number of its own for each of its places, and at least one."""
    is_table = tensor.layout == torch.strided and tensor.device.type == "cpu"
    are_numbers = not (tensor.is_quantized or tensor.is_complex())
    return is_table and are_numbers and 0 < tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _open_safetensors(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise _refusal(path, f"it is cut short or damaged ({error})") from error


def _write(path: str | Path, write: Callable[[Path], object]) -> None:
    try:
        write_whole(path, write)
    except (OutputError, SafetensorError, RuntimeError) as error:  # torch has words of its own for a full disk
        raise CheckpointError(
            f"{path}: the model cannot be written ({error.__cause__ or error}). Free space or choose another folder."
        ) from error


def _refusal(path: str | Path, reason: str) -> CheckpointError:
    return CheckpointError(f"{path}: the model cannot be loaded: {reason}. Choose another file.", CHOOSE_MODEL)
