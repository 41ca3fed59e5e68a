"""The decoder-only model: one transformer over the tokens of the inputs and of a target (paper, section 3.2).

Letters in shapes: B scenes, V input views, T targets, n tokens a view, D width, H and W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .camera_encoding import CameraEncoding, encode_cameras, joined
from .config import ModelConfig
from .tokens import to_images, to_patches
from .transformer import Block, KeysValues, initialise_blocks


def never_stop() -> None:
    """The check that does nothing."""


@dataclass(frozen=True, slots=True)
class InputTokens:
    """A decoder-only encoding of some inputs without mask: their tokens (B, V * n, D), seen anew with every target."""

    tokens: Tensor
    cameras: CameraEncoding | None


@dataclass(frozen=True, slots=True)
class InputKeysValues:
    """A decoder-only encoding under the mask "inputs first": what each block kept of the inputs."""

    blocks: tuple[KeysValues, ...]


class DecoderOnly(nn.Module):
    """Photos and rays in, the targets' images out, by one transformer.

    Published: every target is a sequence of its own with all inputs, and all tokens see all. With
    config.inputs_first, inputs see inputs only, so that `encode` does their work once.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        pixels = config.patch_size**2
        self.tokenize_inputs = nn.Linear(9 * pixels, config.width, bias=False)
        self.tokenize_targets = nn.Linear(6 * pixels, config.width, bias=False)
        self.norm = nn.LayerNorm(config.width, bias=False)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.to_pixels = nn.Sequential(
            nn.LayerNorm(config.width, bias=False), nn.Linear(config.width, 3 * pixels, bias=False), nn.Sigmoid()
        )
        initialise_tokenizers(self)
        initialise_blocks(self.blocks)

    def forward(self, images: Tensor, input_rays: Tensor, target_rays: Tensor) -> Tensor:
        """images (B, V, 3, H, W) in [0, 1], rays (B, V, 6, H, W) and (B, T, 6, H, W) -> (B, T, 3, H, W) in [0, 1]."""
        return self.decode(self.encode(images, input_rays), target_rays)

    def encode(
        self, images: Tensor, input_rays: Tensor, check: Callable[[], None] = never_stop
    ) -> InputTokens | InputKeysValues:
        """What serves every target of these inputs. `check` is called before each block and may raise to stop."""
        tokens = input_tokens(self, images, input_rays)
        cameras = self._encode_cameras(input_rays)
        if not self.config.inputs_first:
            return InputTokens(tokens, cameras)
        x = self.norm(tokens)[:, None]  # (B, 1, V * n, D)
        kept = []
        for block in self.blocks:
            check()
            x, keys_values = block(x, cameras)
            kept.append(keys_values)
        return InputKeysValues(tuple(kept))

    def decode(
        self,
        encoding: InputTokens | InputKeysValues,
        target_rays: Tensor,
        check: Callable[[], None] = never_stop,
    ) -> Tensor:
        """The targets' images (B, T, 3, H, W) in [0, 1] from their rays (B, T, 6, H, W)."""
        tokens = target_tokens(self, target_rays)  # (B, T, n, D)
        cameras = self._encode_cameras(target_rays)
        if isinstance(encoding, InputTokens):
            x = self._decode_with_inputs(encoding, tokens, cameras, check)
        else:
            x = self.norm(tokens)
            for block, context in zip(self.blocks, encoding.blocks, strict=True):
                check()
                x, _ = block(x, cameras, context)
        return pixels_of(self, x, target_rays)

    def _decode_with_inputs(
        self, inputs: InputTokens, tokens: Tensor, cameras: CameraEncoding | None, check: Callable[[], None]
    ) -> Tensor:
        """Full attention over [inputs; target], each target a sequence: (B, T, n, D) -> (B, T, n, D)."""
        B, T, n, _ = tokens.shape
        sequence = torch.cat([inputs.tokens[:, None].expand(-1, T, -1, -1), tokens], dim=2)
        x = self.norm(sequence.flatten(0, 1))[:, None]  # (B * T, 1, V * n + n, D)
        if cameras is not None and inputs.cameras is not None:
            cameras = joined(inputs.cameras.repeated(T), cameras.of_single_views())
        for block in self.blocks:
            check()
            x, _ = block(x, cameras)
        return x[:, 0, -n:].unflatten(0, (B, T))

    def _encode_cameras(self, rays: Tensor) -> CameraEncoding | None:
        return encode_cameras(self.config.camera_encoding, rays, self.config.patch_size, self.config.heads)


def input_tokens(model: nn.Module, images: Tensor, rays: Tensor) -> Tensor:
    """(B, V * n, D): patches of [2 rgb - 1, moment, direction], 9 channels a pixel, through the model's tokenizer."""
    posed = torch.cat([2 * images - 1, rays], dim=2)
    return model.tokenize_inputs(to_patches(posed, model.config.patch_size)).flatten(1, 2)


def target_tokens(model: nn.Module, rays: Tensor) -> Tensor:
    """(B, T, n, D): patches of rays, 6 channels a pixel, through the model's tokenizer."""
    return model.tokenize_targets(to_patches(rays, model.config.patch_size))


def pixels_of(model: nn.Module, tokens: Tensor, rays: Tensor) -> Tensor:
    """The head: (B, T, n, D) -> (B, T, 3, H, W) in [0, 1], of the rays' height and width."""
    return to_images(model.to_pixels(tokens), model.config.patch_size, *rays.shape[-2:])


def initialise_tokenizers(model: nn.Module) -> None:
    """Tokenizers and head: normal with std 0.02."""
    for linear in (model.tokenize_inputs, model.tokenize_targets, model.to_pixels[1]):
        nn.init.normal_(linear.weight, std=0.02)
