"""What makes the engine a Python of its own: a value, with its commands and sizes. Runs nothing, knows no bpy."""

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lvsm_engine.user_folder import LINUX, MACOS, WINDOWS, path_of, user_folder

TORCH = "torch>=2.10"  # older ones cannot open published weights safely
OTHER_PACKAGES = ("numpy", "safetensors", "pillow", "opencv-python-headless")
# Without these photos of phones cannot be read, nor cameras be solved.
PHOTO_PACKAGES = ("pillow-heif", "pycolmap")
# Without these no known model can be fetched.
MODEL_PACKAGES = ("huggingface_hub>=2.4",)
OPTIONAL_PACKAGES = (*PHOTO_PACKAGES, *MODEL_PACKAGES)
IMPORTED = ("torch", "numpy", "safetensors", "PIL", "cv2")
"""The packages by the names that are imported: where all can be, the engine runs."""
RAW_PROGRESS_PIP = "pip>=24.1"  # the first that tells a program how far a download is
OLDEST_PYTHON = (3, 10)
CHECKING = "Checking"
PROMPT = "lvsm"  # a virtual environment with this prompt is ours to replace

# PyTorch's own indexes, where pip's has not the torch that is wanted. CUDA 13.0 is there for every torch since 2.10.
CUDA_INDEX = "https://download.pytorch.org/whl/cu130"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PIPS_OWN = ""
IN_WORDS_OF_PIPS_OWN = "PyPI, or the index that pip is set to"

# Where each system's programs keep what they fetched, in the words of its shell.
FOLDERS_BY_HAND = {
    LINUX: "$HOME/.local/share/lvsm/engine",
    WINDOWS: r"%LOCALAPPDATA%\lvsm\engine",
    MACOS: "$HOME/Library/Application Support/lvsm/engine",
}
PYTHONS_BY_HAND = {LINUX: "python3", WINDOWS: "py", MACOS: "python3"}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of all packages together, about, in MB: what is downloaded and what it takes on the disk."""

    download: int
    disk: int


# By system and index. Linux: measured with torch 2.14, November 2026; the others: not measured.
SIZES = {
    (LINUX, PIPS_OWN): Sizes(3100, 5700),
    (LINUX, CPU_INDEX): Sizes(300, 1200),
    (WINDOWS, CUDA_INDEX): Sizes(2000, 4500),
    (WINDOWS, PIPS_OWN): Sizes(220, 900),
    (MACOS, PIPS_OWN): Sizes(180, 700),
}


@dataclass(frozen=True, slots=True)
class Step:
    """A command, what it does in words for people, and whether it fetches packages of a size worth telling."""

    stage: str
    command: tuple[str, ...]
    is_download: bool = False


@dataclass(frozen=True, slots=True)
class EngineSetup:
    """A virtual environment with all that the engine needs, for a system of SYSTEMS.

    folder: where it is made. base_python: what makes it. torch_index: the address that torch comes from, PIPS_OWN for the
    one that pip is set to, which has everything else.
    """

    folder: str
    base_python: str
    system: str
    torch_index: str

    @property
    def python(self) -> str:
        """The engine's Python, once it is made."""
        folder = path_of(self.system, self.folder)
        return str(folder / "Scripts" / "python.exe" if self.system == WINDOWS else folder / "bin" / "python")

    @property
    def sizes(self) -> Sizes | None:
        """None where the index is not one of those known."""
        return SIZES.get((self.system, self.torch_index))

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is run, in its order. Blender's own variables and folders have no part in it (-I)."""
        install = (self.python, "-I", "-m", "pip", "install")
        index = ("--index-url", self.torch_index) if self.torch_index else ()
        make = (self.base_python, "-I", "-m", "venv", "--clear", "--prompt", PROMPT, self.folder)
        return (
            Step("Making the environment", make),
            Step("Updating pip", (*install, "--upgrade", RAW_PROGRESS_PIP)),
            Step("Fetching PyTorch", (*install, TORCH, *index), is_download=True),
            Step("Fetching packages", (*install, *OTHER_PACKAGES, *OPTIONAL_PACKAGES), is_download=True),
            Step(CHECKING, self.check),
        )

    @property
    def check(self) -> tuple[str, ...]:
        """The command that tells whether the engine's packages are there and can be loaded."""
        return (self.python, "-I", "-c", f"import {', '.join(IMPORTED)}")

    def in_words(self) -> tuple[str, ...]:
        """What is going to happen: sentences for people, without a full stop."""
        source = self.torch_index or IN_WORDS_OF_PIPS_OWN
        if self.sizes is None:
            size = "How much is downloaded depends on that index: from 0.2 to 3 GB"
        else:
            size = f"Downloads about {_amount(self.sizes.download)}, takes about {_amount(self.sizes.disk)} on the disk"
        return (
            f"PyTorch comes from {source}",
            f"With it come {', '.join((*OTHER_PACKAGES, *OPTIONAL_PACKAGES))}",
            size,
        )

    def by_hand(self) -> str:
        """The same commands as lines for the system's shell, on Windows the Command Prompt."""
        remark = "rem" if self.system == WINDOWS else "#"
        lines = [" ".join(_quoted(self.system, part) for part in step.command) for step in self.steps]
        return "\n".join([*(f"{remark} {words}" for words in self._remarks()), *lines]) + "\n"

    def _remarks(self) -> tuple[str, ...]:
        shell = "For the Command Prompt (cmd.exe)." if self.system == WINDOWS else "For a terminal."
        card = {
            (LINUX, PIPS_OWN): f" Without an NVIDIA card, put --index-url {CPU_INDEX} behind {TORCH}: 3 GB less.",
            (WINDOWS, CUDA_INDEX): f" Without an NVIDIA card, leave --index-url {CUDA_INDEX} out: 2 GB less.",
        }.get((self.system, self.torch_index), "")
        return (
            shell + card,
            f"When the last line has said nothing, choose {self.python} in Blender: side bar, LVSM, Engine, Choose Python.",
        )


def torch_index(system: str, has_card: bool) -> str:
    """Where a system's torch comes from, for its NVIDIA card or else for the processor."""
    if system == WINDOWS and has_card:
        return CUDA_INDEX
    return CPU_INDEX if system == LINUX and not has_card else PIPS_OWN


def default_folder(system: str, environment: Mapping[str, str], home: str) -> str:
    """A short folder on this machine that every Blender of this user shares."""
    return str(user_folder(system, environment, home) / "engine")


def setup_by_hand(system: str) -> EngineSetup:
    """For another machine than this one, of which nothing is known: with a card, where there may be one."""
    return EngineSetup(FOLDERS_BY_HAND[system], PYTHONS_BY_HAND[system], system, torch_index(system, has_card=True))


def has_nvidia_driver(system: str, environment: Mapping[str, str]) -> bool:
    """Whether this machine has NVIDIA's driver, and so most likely a card. Does not wait for it."""
    if shutil.which("nvidia-smi", path=environment.get("PATH")):
        return True
    windows = environment.get("SystemRoot")
    return system == WINDOWS and bool(windows) and Path(str(windows), "System32", "nvidia-smi.exe").is_file()


def _amount(megabytes: int) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes} MB"


def _quoted(system: str, argument: str) -> str:
    """As the system's shell reads it as one word; what stands for a folder of the user's is left for it to fill in."""
    if argument.startswith("$HOME/"):
        return f'"{argument}"'
    if system != WINDOWS:
        return shlex.quote(argument)
    is_plain = argument.replace("-", "").replace("_", "").replace(".", "").isalnum()
    return argument if is_plain else f'"{argument}"'
