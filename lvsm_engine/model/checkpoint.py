"""Models on disk: our safetensors and the published .pt, both ways.

Ours: tensors by our names; the metadata's "lvsm" is JSON with the configuration, of which only what differs from the
published model's is written, and the model card; a word in it that is not known was written by a newer version, and older
ones are converted by earlier_files.py. Published: a torch pickle, read with weights_only, whose configuration is
inferred from names and shapes.
"""

import dataclasses
import json
import math
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import CHOOSE_MODEL, CheckpointError, OutputError
from ..scene.frame import SceneFrame
from ..whole_files import refuse_pipe, write_whole
from .config import ModelConfig
from .decoder_only import DecoderOnly
from .earlier_files import in_todays_words
from .encoder_decoder import EncoderDecoder

Model = DecoderOnly | EncoderDecoder

# Raised when older programs would misread a file; an option that they do not know they tell by its word.
FORMAT = 4
HEAD = "to_pixels.1.weight"
# Attention's two, the MLP's two, two norms; more with QK norm.
MIN_TENSORS_OF_A_BLOCK = 6
WEIGHTS_FOLDER = Path(__file__).resolve().parents[1] / "weights"
# Older unpicklers run code even with weights_only: CVE-2025-32434, CVE-2026-24747.
MIN_TORCH_FOR_PICKLES = (2, 10)
# Far beyond what attention over all pixels can be trained at.
MAX_RESOLUTION = 16384
PUBLISHED_LICENCE = "CC BY-NC-SA 4.0 (published LVSM weights: not for commercial use)"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """What must be known of a model to use it well; travels in its file's metadata."""

    name: str
    scene_frame: SceneFrame
    resolution: int
    """Trained on squares of this many pixels a side."""
    input_views: tuple[int, int]
    """The fewest and most input views in training."""
    field_of_view: tuple[float, float]
    """The narrowest and widest horizontal field of view in training, degrees."""
    background: tuple[float, float, float] | None
    """What RGBA photos are composited over: sRGB-encoded, 0 to 1 (None: trained on opaque photos; white is taken)."""
    licence: str
    input_keep_ratio: float = 1.0
    """The share of each input's patches that it was shown in the end of its training, and is shown: the subject's first."""
    text: str = ""
    """Markdown: data, recipe, scores."""

    def __post_init__(self) -> None:
        """Raises ValueError for a value that no model can have: the card may come from anyone's file."""
        for name in ("name", "licence", "text"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is {getattr(self, name)!r}: it must be a text.")
        if type(self.resolution) is not int or not 1 <= self.resolution <= MAX_RESOLUTION:
            raise ValueError(
                f"resolution is {self.resolution!r}: it must be a whole number from 1 to {MAX_RESOLUTION}."
            )
        if not _are_numbers(self.input_views, 2, int) or not 1 <= self.input_views[0] <= self.input_views[1]:
            raise ValueError(f"input_views is {self.input_views!r}: it must be the fewest and the most, 1 or more.")
        if not _are_numbers(self.field_of_view, 2) or not 0 < self.field_of_view[0] <= self.field_of_view[1] < 180:
            raise ValueError(
                f"field_of_view is {self.field_of_view!r}: it must be two angles between 0 and 180 degrees."
            )
        if not _are_numbers((self.input_keep_ratio,), 1) or not 0 < self.input_keep_ratio <= 1:
            raise ValueError(
                f"input_keep_ratio is {self.input_keep_ratio!r}: it must be a share, above 0 and at most 1."
            )
        if self.background is not None and (
            not _are_numbers(self.background, 3) or not all(0 <= value <= 1 for value in self.background)
        ):
            raise ValueError(f"background is {self.background!r}: it must be three numbers from 0 to 1, or None.")


def _are_numbers(values: Any, count: int, kinds: type | tuple[type, ...] = (int, float)) -> bool:
    """Whether this is a tuple of so many numbers; True and False are none."""
    is_tuple = isinstance(values, tuple) and len(values) == count
    return is_tuple and all(isinstance(value, kinds) and not isinstance(value, bool) for value in values)


def build_model(config: ModelConfig) -> Model:
    """A model of this shape with initial weights."""
    return DecoderOnly(config) if config.architecture == "decoder_only" else EncoderDecoder(config)


def find_model_file(model: str | Path) -> Path:
    """The file of a model given by path, or by the name "default"."""
    return WEIGHTS_FOLDER / "default.safetensors" if str(model) == "default" else Path(model)


def load_model(path: str | Path) -> Model:
    """The model in a file, ours or published, in evaluation mode and float32. Raises CheckpointError."""
    return load_checkpoint(path)[0]


def load_checkpoint(path: str | Path) -> tuple[Model, ModelCard]:
    """The model in a file (float32, evaluation mode) and its card; told apart by content. Raises CheckpointError."""
    path = find_model_file(path)
    if _is_pickle(path):
        tensors = _read_published(path)
        model = model_from_published(tensors, path)
        return model, published_card(path.name)
    config, card, head_factor = _read_metadata(path)
    with _open_safetensors(path) as file:
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a dict)
    if head_factor != 1 and HEAD in tensors:
        tensors[HEAD] = tensors[HEAD] * head_factor
    return _fill(config, tensors, path), card


def read_card(path: str | Path) -> tuple[ModelConfig, ModelCard]:
    """Configuration and card of a model's file; of ours without reading its tensors. Raises CheckpointError."""
    path = find_model_file(path)
    if _is_pickle(path):
        config = _infer_config(_read_published(path), path)
        return config, published_card(path.name)
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


def _without_defaults(config: ModelConfig) -> dict[str, Any]:
    """What differs from the published model's, so that a file without a new option can be read by an older program."""
    published = dataclasses.asdict(ModelConfig())
    return {name: value for name, value in dataclasses.asdict(config).items() if value != published[name]}


def save_checkpoint(path: str | Path, model: Model, card: ModelCard, dtype: torch.dtype = torch.float32) -> None:
    """Write our safetensors: whole, or not at all. Raises CheckpointError."""
    metadata = {"format": FORMAT, "config": _without_defaults(model.config), "card": dataclasses.asdict(card)}
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


def published_card(name: str) -> ModelCard:
    """The card of a published model: what the released configurations say (scene-level, RealEstate10K)."""
    return ModelCard(
        name=Path(name).stem,
        scene_frame=SceneFrame("mean_pose", 1.35),
        resolution=512 if "512" in name else 256,
        input_views=(2, 2),
        field_of_view=(50.0, 90.0),
        background=None,
        licence=PUBLISHED_LICENCE,
        text="Published LVSM weights, converted.",
    )


# --- Names: ours and the published code's ---------------------------------------------------------------------------

_BLOCK_NAMES = (
    ("attention.to_qkv.weight", "attn.to_qkv.weight"),
    ("attention.to_out.weight", "attn.fc.weight"),
    ("attention.q_norm.weight", "attn.q_norm.weight"),
    ("attention.k_norm.weight", "attn.k_norm.weight"),
    ("norm1.weight", "norm1.weight"),
    ("norm2.weight", "norm2.weight"),
    ("mlp.0.weight", "mlp.mlp.0.weight"),
    ("mlp.2.weight", "mlp.mlp.2.weight"),
)
_OUTER_NAMES = (
    ("latents", "n_light_field_latent"),
    ("tokenize_inputs.weight", "image_tokenizer.1.weight"),
    ("tokenize_targets.weight", "target_pose_tokenizer.1.weight"),
    ("to_pixels.0.weight", "image_token_decoder.0.weight"),
    ("to_pixels.1.weight", "image_token_decoder.1.weight"),
)
_NORM_NAMES = {
    "decoder_only": "transformer_input_layernorm.weight",
    "encoder_decoder": "transformer_input_layernorm_decoder.weight",
}
_STACK_NAMES = {
    "blocks": "transformer_blocks",
    "encoder": "transformer_encoder",
    "decoder": "transformer_decoder",
}


def published_name(name: str, config: ModelConfig) -> str:
    """What the published code calls our tensor `name`."""
    if name == "norm.weight":
        return _NORM_NAMES[config.architecture]
    outer = dict(_OUTER_NAMES)
    if name in outer:
        return outer[name]
    stack, index, rest = name.split(".", 2)
    return f"{_STACK_NAMES[stack]}.{index}.{dict(_BLOCK_NAMES)[rest]}"


def model_from_published(tensors: Mapping[str, Tensor], path: str | Path = "checkpoint") -> Model:
    """The model of tensors by published names, with the configuration inferred from names and shapes.

    Prefixes `module.` and `_orig_mod.` are dropped, and so is all of `loss_computer`. Raises CheckpointError with the
    name of any other tensor that is missing, left over or misshapen; `path` is for that message.
    """
    plain = {}
    for name, tensor in tensors.items():
        name = re.sub(r"^((module|_orig_mod)\.)+", "", name)
        if not name.startswith("loss_computer."):
            plain[name] = tensor
    config = _infer_config(plain, path)
    wanted = {published_name(name, config): name for name in build_model_names(config)}
    renamed = {wanted.get(name, name): tensor.float() for name, tensor in plain.items()}
    return _fill(config, renamed, path)


def build_model_names(config: ModelConfig) -> list[str]:
    """The names of a model's tensors, without the memory for them."""
    with torch.device("meta"):
        return list(build_model(config).state_dict())


def _infer_config(tensors: Mapping[str, Tensor], path: str | Path) -> ModelConfig:
    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        if name not in tensors:
            raise _refusal(path, f"it has no tensor '{name}', so it is not a published LVSM model")
        if tensors[name].dim() != dimensions:
            raise _refusal(path, f"its tensor '{name}' has the shape {tuple(tensors[name].shape)}")
        return tuple(tensors[name].shape)

    def count(stack: str) -> int:
        found = {match[1] for name in tensors if (match := re.match(rf"{stack}\.([^.]+)\.", name))}
        strangers = found - {str(index) for index in range(len(found))}
        if strangers:
            raise _refusal(
                path, f"its '{stack}.{min(strangers)[:40]}' is one of {len(found)} blocks, not numbered from 0 on"
            )
        return len(found)

    width, pixels = shape("image_tokenizer.1.weight", 2)
    patch_size = math.isqrt(pixels // 9)
    has_latents = "n_light_field_latent" in tensors
    stack = "transformer_decoder" if has_latents else "transformer_blocks"
    qk_norm = f"{stack}.0.attn.q_norm.weight" in tensors
    head_width = shape(f"{stack}.0.attn.q_norm.weight", 1)[0] if qk_norm else _usual_head_width(width)
    try:
        return ModelConfig(
            architecture="encoder_decoder" if has_latents else "decoder_only",
            width=width,
            head_width=head_width,
            patch_size=patch_size,
            input_stride=patch_size,
            target_stride=patch_size,
            blocks=count(stack),
            encoder_blocks=count("transformer_encoder") if has_latents else 0,
            latents=shape("n_light_field_latent", 2)[0] if has_latents else 0,
            mlp_ratio=shape(f"{stack}.0.mlp.mlp.0.weight", 2)[0] // width,
            qk_norm=qk_norm,
        )
    except ValueError as error:
        raise _refusal(path, str(error).rstrip(".")) from error


def _usual_head_width(width: int) -> int:
    """Without QK norm no tensor tells the heads' size: 64 as published, 32 in models narrower than two such heads."""
    return 64 if width > 64 and width % 64 == 0 else 32


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
    raise _refusal(path, "it is neither a safetensors file nor a published .pt, or it is damaged")


def _read_published(path: Path) -> dict[str, Tensor]:
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < MIN_TORCH_FOR_PICKLES:
        raise CheckpointError(
            f"{path}: a .pt file can be opened safely only by torch 2.10 or newer, and this is torch {torch.__version__}."
            " Update torch, or convert the file elsewhere with 'lvsm convert'.",
            CHOOSE_MODEL,
        )
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
