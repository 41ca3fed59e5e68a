"""Where photos of cut-out subjects show that nothing is there: the background's colour, from a border on."""

import torch
from torch import Tensor, nn

# A photo is a cut-out when so much of its border is of the background's colour, within so much of each channel.
CUT_OUT_BORDER, BACKGROUND_TOLERANCE = 0.9, 0.02


def is_plain(images: Tensor, background: Tensor) -> Tensor:
    """Whether each pixel is of the background's colour (3,): images (..., 3, h, w) -> (..., h, w) bool."""
    return ((images - background[:, None, None]).abs() < BACKGROUND_TOLERANCE).all(-3)


def emptiness(images: Tensor, background: tuple[float, float, float]) -> Tensor:
    """Where images (B, 3, h, w) of cut-out subjects show the background alone, from a border on: (B, h, w) bool.

    Nowhere in an image whose border is of other colours: there, the colour may be a wall's. Photos that have alpha tell more.
    """
    plain = is_plain(images, images.new_tensor(background)).float()
    border = torch.cat([plain[:, 0], plain[:, -1], plain[:, :, 0], plain[:, :, -1]], dim=1)
    is_cut_out = border.mean(1) >= CUT_OUT_BORDER
    from_borders = [plain.cumprod(axis) for axis in (1, 2)]
    from_borders += [plain.flip(axis).cumprod(axis).flip(axis) for axis in (1, 2)]
    return (torch.stack(from_borders).amax(0) > 0) & is_cut_out[:, None, None]


def wholly_empty(empty: Tensor, height: int, width: int) -> Tensor:
    """Where an image of this size is empty, and so are the pixels beside: (B, H, W) -> (B, height, width) bool."""
    there = nn.functional.adaptive_max_pool2d((~empty)[:, None].float(), (height, width))
    return nn.functional.max_pool2d(there, 3, 1, 1)[:, 0] == 0
