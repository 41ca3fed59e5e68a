"""Depth where a search found none that is sure: as around it, so that what photos show there is not torn to shreds."""

import torch
from torch import Tensor

from .planes import resized

# How much the depth around a place counts beside its own, for each unit of how sure it is; and its own at the least.
AROUND, LEAST = 0.2, 0.002
TINY = 1e-12


def filled(depth: Tensor, certainty: Tensor) -> Tensor:
    """Depths, or inverse depths, (B, H, W), drawn towards those around them that are surer. certainty: (B, H, W) in [0, 1].

    Where nothing around is sure either, they stay as they are.
    """
    around, how_sure = _around(depth, certainty)
    own, others = certainty + LEAST, AROUND * how_sure
    return (own * depth + others * around) / (own + others)


def _around(depth: Tensor, certainty: Tensor) -> tuple[Tensor, Tensor]:
    """What surer places tell of each, from near it or, where there are none, from farther away, and how sure that is: pulled up
    a pyramid and pushed down again (Gortler 1996, section 3.4)."""
    height, width = depth.shape[-2:]
    half = (-(-height // 2), -(-width // 2))
    pulled = resized(torch.stack([certainty, certainty * depth], 1), *half)
    sure = pulled[:, 0]
    coarse = pulled[:, 1] / sure.clamp_min(TINY)
    if half != (1, 1):
        around, how_sure = _around(coarse, sure)
        total = (sure + AROUND * how_sure).clamp_min(TINY)
        coarse = (sure * coarse + AROUND * how_sure * around) / total
        sure = (sure.square() + AROUND * how_sure.square()) / total
    pushed = resized(torch.stack([coarse, sure], 1), height, width)
    return pushed[:, 0], pushed[:, 1]
