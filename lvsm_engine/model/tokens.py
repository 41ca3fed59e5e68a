"""Pictures to tokens and back: the two ends that both architectures share.

Letters in shapes: B scenes, V views, T targets, H and W pixels, p patch size, n = H / p * W / p tokens a view, C channels,
D width.
"""

import torch
from torch import Tensor, nn

from .config import ModelConfig


def to_patches(images: Tensor, patch_size: int) -> Tensor:
    """(B, V, C, H, W) -> (B, V, n, p * p * C): patches row by row, within one (row, column, channel).

    Raises ValueError where height or width is no multiple of the patch size.
    """
    B, V, C, H, W = images.shape
    if H % patch_size or W % patch_size:
        raise ValueError(
            f"images of {W}x{H} pixels: width and height must be multiples of the patch size {patch_size}."
        )
    rows, columns = H // patch_size, W // patch_size
    patches = images.reshape(B, V, C, rows, patch_size, columns, patch_size).permute(0, 1, 3, 5, 4, 6, 2)
    return patches.reshape(B, V, rows * columns, patch_size * patch_size * C)


def to_images(patches: Tensor, patch_size: int, height: int, width: int) -> Tensor:
    """(B, V, n, p * p * C) -> (B, V, C, H, W): the inverse of to_patches."""
    B, V = patches.shape[:2]
    rows, columns = height // patch_size, width // patch_size
    patches = patches.reshape(B, V, rows, columns, patch_size, patch_size, -1)
    return patches.permute(0, 1, 6, 2, 4, 3, 5).reshape(B, V, -1, height, width)


class ViewTransformer(nn.Module):
    """What stands before and after the transformer blocks (paper, section 3.1): tokenizers, norm, head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        pixels = config.patch_size**2
        self.tokenize_inputs = nn.Linear(9 * pixels, config.width, bias=False)
        self.tokenize_targets = nn.Linear(6 * pixels, config.width, bias=False)
        self.norm = nn.LayerNorm(config.width, bias=False)
        head = nn.Linear(config.width, 3 * pixels, bias=False)
        self.to_pixels = nn.Sequential(nn.LayerNorm(config.width, bias=False), head, nn.Sigmoid())
        for linear in (self.tokenize_inputs, self.tokenize_targets, head):
            nn.init.normal_(linear.weight, std=0.02)

    def input_tokens(self, images: Tensor, rays: Tensor) -> Tensor:
        """(B, V * n, D): patches of [2 rgb - 1, moment, direction], 9 channels a pixel."""
        posed = torch.cat([2 * images - 1, self._shown(rays)], dim=2)
        return self.tokenize_inputs(to_patches(posed, self.config.patch_size)).flatten(1, 2)

    def target_tokens(self, rays: Tensor) -> Tensor:
        """(B, T, n, D): patches of rays, 6 channels a pixel."""
        return self.tokenize_targets(to_patches(self._shown(rays), self.config.patch_size))

    def _shown(self, rays: Tensor) -> Tensor:
        """What tokens hold of their rays; where that is nothing, ones, so that the tokenizer's sum is a learned token."""
        return rays if self.config.rays_in_tokens else torch.ones_like(rays)

    def pixels(self, tokens: Tensor, rays: Tensor) -> Tensor:
        """The head: (B, T, n, D) -> (B, T, 3, H, W) in [0, 1], of the rays' height and width."""
        return to_images(self.to_pixels(tokens), self.config.patch_size, *rays.shape[-2:])
