"""Patches to tokens and back.

Letters in shapes: B scenes, V views, H and W pixels, p patch size, n = H / p * W / p tokens a view, C channels.
"""

from torch import Tensor


def to_patches(images: Tensor, patch_size: int) -> Tensor:
    """(B, V, C, H, W) -> (B, V, n, p * p * C): patches row by row, within one (row, column, channel).

    Raises ValueError where height or width is no multiple of the patch size.
    """
    B, V, C, H, W = images.shape
    if H % patch_size or W % patch_size:
        raise ValueError(f"images of {W}x{H} pixels: width and height must be multiples of the patch size {patch_size}.")
    rows, columns = H // patch_size, W // patch_size
    patches = images.reshape(B, V, C, rows, patch_size, columns, patch_size).permute(0, 1, 3, 5, 4, 6, 2)
    return patches.reshape(B, V, rows * columns, patch_size * patch_size * C)


def to_images(patches: Tensor, patch_size: int, height: int, width: int) -> Tensor:
    """(B, V, n, p * p * C) -> (B, V, C, H, W): the inverse of to_patches."""
    B, V = patches.shape[:2]
    rows, columns = height // patch_size, width // patch_size
    patches = patches.reshape(B, V, rows, columns, patch_size, patch_size, -1)
    return patches.permute(0, 1, 6, 2, 4, 3, 5).reshape(B, V, -1, height, width)
