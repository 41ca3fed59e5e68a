"""The one call of a model in training: a batch in, the targets' images out, in the run's precision."""

import torch
from torch import Tensor, nn

from ..batches.steps import FramedBatch


def predict(model: nn.Module, batch: FramedBatch, precision: torch.dtype) -> Tensor:
    """The targets' images (B, T, 3, H, W) in float32; matrix products are computed in `precision`."""
    with autocast(batch.images.device, precision):
        return model(batch.images, batch.rays, batch.target_rays, batch.kept).float()


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Within it matrix products are computed in `precision`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16)
