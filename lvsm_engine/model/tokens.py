"""Pictures to tokens and back: the two ends that all architectures share.

Letters in shapes: B scenes, V views, T targets, H and W pixels, p patch size, n = H / s * W / s tokens a view with the
stride s from one to the next (p, or less where patches overlap), C channels, D width.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .transformer import never_stop


def to_patches(images: Tensor, patch_size: int, stride: int, chosen: Tensor | None = None) -> Tensor:
    """(B, V, C, H, W) -> (B, V, n, p * p * C): patches row by row, within one (row, column, channel).

    A patch is p pixels a side around its own stride x stride pixels; beyond the image's edge there is 0. chosen: the
    numbers (B, V, k) of the patches to return, so that n becomes k; None: all. Raises ValueError where height or width is
    no multiple of the stride.
    """
    H, W = images.shape[-2:]
    if H % stride or W % stride:
        raise ValueError(f"images of {W}x{H} pixels: width and height must be multiples of the stride {stride}.")
    images = nn.functional.pad(images, (_reach(patch_size, stride),) * 4)
    patches = images.unfold(-2, patch_size, stride).unfold(-2, patch_size, stride)  # (B, V, C, rows, columns, p, p)
    patches = patches.permute(0, 1, 3, 4, 5, 6, 2)
    if chosen is None:
        return patches.flatten(4).flatten(2, 3)
    columns = patches.shape[3]
    scene, view = (torch.arange(size, device=images.device) for size in patches.shape[:2])
    return patches[scene[:, None, None], view[:, None], chosen // columns, chosen % columns].flatten(3)


def to_images(patches: Tensor, patch_size: int, stride: int, height: int, width: int) -> Tensor:
    """(B, V, n, p * p * C) -> (B, V, C, H, W): each patch in its place; where patches overlap, their sum."""
    B, V, n, _ = patches.shape
    columns = patches.unflatten(-1, (patch_size**2, -1)).permute(0, 1, 4, 3, 2).reshape(B * V, -1, n)  # (B V, C p p, n)
    images = nn.functional.fold(
        columns, (height, width), kernel_size=patch_size, stride=stride, padding=_reach(patch_size, stride)
    )
    return images.unflatten(0, (B, V))


def _reach(patch_size: int, stride: int) -> int:
    """Pixels that a patch reaches beyond its own stride x stride pixels, on each side."""
    return (patch_size - stride) // 2


class ViewTransformer(nn.Module):
    """Photos and rays in, images out; what stands around the blocks (paper, section 3.1): tokenizers, norm, head."""

    TOKENIZERS: ClassVar[Mapping[str, int]] = {"tokenize_inputs": 9, "tokenize_targets": 6}
    """The layers that make patches tokens, and the channels of a pixel that each reads."""
    tokenize_inputs: nn.Linear
    tokenize_targets: nn.Linear

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        pixels = config.patch_size**2
        tokenizers = [nn.Linear(channels * pixels, config.width, bias=False) for channels in self.TOKENIZERS.values()]
        for name, tokenizer in zip(self.TOKENIZERS, tokenizers, strict=True):
            self.add_module(name, tokenizer)
        self.norm = nn.LayerNorm(config.width, bias=False)
        head = nn.Linear(config.width, 3 * pixels, bias=False)
        self.to_pixels = nn.Sequential(nn.LayerNorm(config.width, bias=False), head)
        for linear in (*tokenizers, head):
            nn.init.normal_(linear.weight, std=0.02)

    def forward(self, images: Tensor, input_rays: Tensor, target_rays: Tensor, kept: Tensor | None = None) -> Tensor:
        """images (B, V, 3, H, W) in [0, 1], rays (B, V, 6, H, W) and (B, T, 6, H, W) -> (B, T, 3, H, W) in [0, 1].

        rays: as rays.rays_for makes them for this configuration; of 9 channels for some.
        kept: the numbers (B, V, k) of the inputs' tokens that the model gets; None: all.
        """
        return self.decode(self.encode(images, input_rays, kept=kept), target_rays)

    @abstractmethod
    def encode(
        self,
        images: Tensor,
        input_rays: Tensor,
        check: Callable[[], None] = never_stop,
        kept: Tensor | None = None,
    ) -> Any:
        """What serves every target of these inputs. `check` is called before each block and may raise to stop."""

    @abstractmethod
    def decode(self, encoding: Any, target_rays: Tensor, check: Callable[[], None] = never_stop) -> Tensor:
        """The targets' images (B, T, 3, H, W) in [0, 1] from what `encode` gave and their rays (B, T, 6, H, W)."""

    def input_tokens(self, images: Tensor, rays: Tensor, kept: Tensor | None = None) -> Tensor:
        """(B, V * n, D): patches of [2 rgb - 1, moment, direction], 9 channels a pixel, config.input_stride apart.

        kept: the numbers (B, V, k) of the patches that become tokens, k of each view; None: all n.
        """
        posed = torch.cat([2 * images - 1, self._shown(rays)], dim=2)
        patches = to_patches(posed, self.config.patch_size, self.config.input_stride, kept)
        return self.tokenize_inputs(patches).flatten(1, 2)

    def target_tokens(self, rays: Tensor) -> Tensor:
        """(B, T, n, D): patches of rays, 6 channels a pixel, config.target_stride apart."""
        return self.tokenize_targets(to_patches(self._shown(rays), self.config.patch_size, self.config.target_stride))

    def _shown(self, rays: Tensor) -> Tensor:
        """What tokens hold of their rays; where that is nothing, ones, so that the tokenizer's sum is a learned token."""
        return rays if self.config.rays_in_tokens else torch.ones_like(rays)

    def pixels(self, tokens: Tensor, rays: Tensor) -> Tensor:
        """The head: (B, T, n, D) -> (B, T, 3, H, W) in [0, 1], of the rays' height and width."""
        H, W = rays.shape[-2:]
        patch_size, stride = self.config.patch_size, self.config.target_stride
        logits = to_images(self.to_pixels(tokens), patch_size, stride, H, W)
        return (logits / (patch_size / stride) ** 2).sigmoid()  # the mean of the tokens that reach a pixel
