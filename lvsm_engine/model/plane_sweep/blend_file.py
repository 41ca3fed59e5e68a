"""A blend as a file: safetensors, with its sizes and its text in the header."""

import json
from pathlib import Path

import safetensors.torch

from ...errors import CheckpointError
from ...whole_files import refuse_pipe, write_whole
from .blend import Blend

BUNDLED = Path(__file__).resolve().parents[2] / "weights" / "detail.safetensors"
# Where the header keeps them; a file of another format is refused.
HEADER, FORMAT = "lvsm_detail", 1
MOST_NEURONS = 4096


def save_blend(path: Path, blend: Blend, text: str) -> None:
    """Write it, whole or not at all. text: what it was trained on, for people. Raises OutputError."""
    header = {"format": FORMAT, "width": blend.width, "hidden": blend.hidden, "text": text}
    content = safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in blend.state_dict().items()}, {HEADER: json.dumps(header)}
    )
    write_whole(path, lambda part: part.write_bytes(content))


def load_blend(path: Path = BUNDLED) -> Blend:
    """The blend of a file, ready to be used. Raises CheckpointError."""
    try:
        refuse_pipe(path)
        with safetensors.safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "null"))
            sizes = _sizes(header)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dictionary
        blend = Blend(*sizes)
        blend.load_state_dict(tensors)
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise ValueError("it has numbers that are not finite")
    except (OSError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path}: the weights of the detail cannot be used ({reason}). Install the engine again, or choose another file."
        ) from error
    return blend.requires_grad_(False).eval()


def _sizes(header: object) -> tuple[int, int]:
    """width and hidden. Raises ValueError."""
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError("it is no file of detail weights of this version")
    width, hidden = header.get("width"), header.get("hidden")
    if not all(type(size) is int and 0 < size <= MOST_NEURONS for size in (width, hidden)):
        raise ValueError(f"its sizes are {width!r} and {hidden!r}")
    return width, hidden  # type: ignore[return-value]
