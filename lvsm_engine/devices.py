"""What computes: which device, in which precision, how fast at most, and how much memory may still be taken.

Free memory is that of a card, or of the machine and of the control group that a farm puts a job in.
"""

from pathlib import Path

import torch

from .errors import DeviceError

# Dense bf16 peaks from the makers' data sheets, FLOP/s; the first name that a card's own contains.
PEAKS = (
    ("H200", 989e12),
    ("H100 PCIe", 756e12),
    ("H100", 989e12),
    ("A100", 312e12),
    ("L40S", 362e12),
    ("RTX 4090", 165e12),
)


def choose_device(name: str) -> torch.device:
    """ "auto" is CUDA where there is a card, else the CPU. Raises DeviceError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise DeviceError(f"The device '{name}' is not known: choose auto, cuda or cpu.")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("There is no CUDA device that torch can use: choose the device auto, or install a driver.")
    return torch.device(name)


def choose_precision(device: torch.device, name: str) -> torch.dtype:
    """ "auto" is bfloat16 on CUDA (Ampere on) and on CPUs with the instructions, else float32. Raises DeviceError."""
    if name == "auto":
        fast = cuda_has_bfloat16(device) if device.type == "cuda" else cpu_has_bfloat16()
        return torch.bfloat16 if fast else torch.float32
    if name not in ("float32", "bfloat16"):
        raise DeviceError(f"The precision '{name}' is not known: choose auto, float32 or bfloat16.")
    return getattr(torch, name)


def cuda_has_bfloat16(device: torch.device) -> bool:
    """Whether the card multiplies bfloat16 in hardware: compute capability 8.0 on."""
    return torch.cuda.get_device_capability(device) >= (8, 0)


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware: AVX-512 BF16 or AMX."""
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(probe() for name in probes if (probe := getattr(torch.cpu, name, None)))


def peak_flops(device: torch.device) -> float | None:
    """The device's dense bf16 peak, FLOP/s; None where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS if part in name), None)


def free_bytes(device: torch.device) -> int | None:
    """Memory that can be taken on the device, in bytes; None where the system does not tell (Windows, macOS)."""
    if device.type == "cuda":
        kept_by_torch = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept_by_torch
    return free_main_memory()


def free_main_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Main memory that can be taken on Linux: caches count as free, and control groups (version 2) set their limits."""
    try:
        available = _table(proc / "meminfo")["MemAvailable:"] * 1024
    except (OSError, KeyError):
        return None
    return min([available, *_left_in_groups(proc, cgroups)])


def _left_in_groups(proc: Path, cgroups: Path) -> list[int]:
    """What is left to each control group with a limit that the process is in: its own and those above it."""
    try:
        entries = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for entry in entries:
        group = cgroups / entry.removeprefix("0::/")
        while entry.startswith("0::/") and group.is_relative_to(cgroups):
            left += _left_in(group)
            group = group.parent
    return left


def _left_in(group: Path) -> list[int]:
    """What is left to one control group; nothing where it has no limit."""
    try:
        limit = int((group / "memory.max").read_text())  # "max" is a ValueError
        used = int((group / "memory.current").read_text()) - _table(group / "memory.stat").get("inactive_file", 0)
    except (OSError, ValueError):
        return []
    return [max(0, limit - used)]


def _table(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
