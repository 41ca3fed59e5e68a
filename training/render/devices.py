"""On what Cycles renders. Knows which kinds there are and which is best, nothing of Blender."""

from collections.abc import Callable, Sequence
from typing import Literal

Device = Literal["auto", "cpu", "cuda", "optix"]
"""What a user may ask for; "auto" is the first of the kinds below that the machine has, else the CPU."""

FASTEST_FIRST = ("OPTIX", "CUDA")


class NoDeviceError(Exception):
    """The machine has no device of the wanted kind."""


def choose_cycles_device(wanted: Device, names_of: Callable[[str], Sequence[str]]) -> str:
    """Cycles' name of the kind of device to render on: "CPU", "CUDA" or "OPTIX".

    names_of: the names of the machine's devices of a kind. Raises NoDeviceError where a wanted kind is not there.
    """
    if wanted == "cpu":
        return "CPU"
    kinds = FASTEST_FIRST if wanted == "auto" else (wanted.upper(),)
    for kind in kinds:
        if names_of(kind):
            return kind
    if wanted == "auto":
        return "CPU"
    raise NoDeviceError(f"Cycles finds no {wanted.upper()} device: install the card's driver, or use --device cpu.")
