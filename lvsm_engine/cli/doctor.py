"""lvsm doctor: what is installed, which device computes, and what is wrong, in words.

The standard library only at import: it is asked when something else is missing.
"""

import importlib
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from .. import __version__
from ..errors import LvsmError
from .terminal import say

# What the engine needs, by the names that are imported.
PACKAGES = ("torch", "numpy", "safetensors", "PIL", "cv2", "lpips", "tyro", "tqdm")


@dataclass
class Doctor:
    """Tell what is installed, which device computes, and what is wrong."""

    def run(self) -> int:
        """The exit status is 1 where anything is wrong."""
        return 0 if examine() else 1


def examine(packages: Sequence[str] = PACKAGES) -> bool:
    """Print what is there and what is wrong. Whether all is well. packages: by the names that are imported."""
    troubles = list(report_packages(packages))
    if not troubles:
        troubles += report_devices()
    for trouble in troubles:
        say(f"wrong: {trouble}")
    if not troubles:
        say("All is well.")
    return not troubles


def report_packages(packages: Sequence[str]) -> Iterator[str]:
    """Print what is installed; yield what is missing or cannot be loaded, in sentences."""
    say(f"lvsm {__version__}, Python {platform.python_version()} at {sys.executable}")
    names = metadata.packages_distributions()
    for package in packages:
        distribution = names.get(package, [package])[0]
        try:
            importlib.import_module(package)
            say(f"{distribution:24} {metadata.version(distribution)}")
        except ModuleNotFoundError as error:
            missing = error.name or package
            needed_by = "" if missing.split(".")[0] == package else f", which {distribution} needs,"
            yield f"the package {missing}{needed_by} is missing: install this project again with pip."
        except Exception as error:  # whatever a damaged package does when it is loaded
            reason = str(error).strip() or type(error).__name__
            yield f"the package {distribution} cannot be loaded ({reason}): install it again with pip."


def report_devices() -> Iterator[str]:
    """Print what computes and which weights are there; yield what is wrong, in sentences."""
    import torch

    from ..devices import choose_device, choose_precision
    from ..model.checkpoint import find_model_file, read_card

    device = choose_device("auto")
    name = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU with {torch.get_num_threads()} threads"
    )
    say(f"device: {name}, {str(choose_precision(device, 'auto')).removeprefix('torch.')}")
    if device.type == "cpu" and torch.version.cuda:
        say("note: torch is built for CUDA, and there is no card that it can use (no NVIDIA card, or no driver).")
    try:
        _, card = read_card("default")
        say(f"weights: {card.name} at {find_model_file('default')}")
    except LvsmError as error:
        yield str(error)
