"""What computes: which device, in which precision, how fast at most, and how much memory may still be taken."""

import torch

from .errors import DeviceError
from .main_memory import free_main_memory

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
    """ "auto" is bfloat16 where the device multiplies it in hardware, else float32. Raises DeviceError."""
    if name == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    if name not in ("float32", "bfloat16"):
        raise DeviceError(f"The precision '{name}' is not known: choose auto, float32 or bfloat16.")
    return getattr(torch, name)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware: Ampere (8.0) on; CPUs with AVX-512 BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
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
