"""sRGB's transfer function as lvsm_engine.scene.srgb has it, for tensors."""

import torch
from torch import Tensor


def to_linear(encoded: Tensor) -> Tensor:
    """sRGB-encoded values in [0, 1] -> linear light."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def to_srgb(light: Tensor) -> Tensor:
    """Linear light -> sRGB-encoded values; what is not in [0, 1] is cut off. Its gradient is finite at 0 too."""
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)
