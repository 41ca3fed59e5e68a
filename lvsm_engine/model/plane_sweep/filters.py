"""Means over squares of pixels, plain and along the edges of a picture."""

from torch import Tensor, nn


def box_filtered(x: Tensor, side: int) -> Tensor:
    """Means over squares of side x side pixels (odd): (..., H, W), the same shape; at borders over what is there."""
    H, W = x.shape[-2:]
    reach = side // 2
    rows = nn.functional.avg_pool2d(x.reshape(-1, 1, H, W), (1, side), 1, (0, reach), count_include_pad=False)
    return nn.functional.avg_pool2d(rows, (side, 1), 1, (reach, 0), count_include_pad=False).reshape(x.shape)


def guided_filtered(x: Tensor, guide: Tensor, side: int, smoothness: float) -> Tensor:
    """Smooth but for the edges of a guide: locally linear in it (He et al. 2013, guided image filtering, equations 5 to 8).

    x: (B, D, H, W); guide: (B, H, W); smoothness: variances of the guide below it are no edge.
    """
    guide = guide[:, None]
    mean_guide, mean_x = box_filtered(guide, side), box_filtered(x, side)
    variance = box_filtered(guide * guide, side) - mean_guide * mean_guide
    slope = (box_filtered(guide * x, side) - mean_guide * mean_x) / (variance + smoothness)
    level = mean_x - slope * mean_guide
    return box_filtered(slope, side) * guide + box_filtered(level, side)
