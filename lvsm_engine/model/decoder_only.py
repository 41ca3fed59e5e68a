"""The decoder-only model: one transformer over the tokens of the inputs and of a target (paper, section 3.2).

Letters in shapes: B scenes, V input views, T targets, n tokens a view, D width, H and W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .camera_encoding import CameraEncoding, encode_cameras, joined
from .config import ModelConfig
from .tokens import ViewTransformer
from .transformer import Block, KeysValues, initialise_blocks, never_stop


@dataclass(frozen=True, slots=True)
class InputTokens:
    """A decoder-only encoding of some inputs without mask: their tokens (B, V * n, D), seen anew with every target."""

    tokens: Tensor
    cameras: CameraEncoding | None


@dataclass(frozen=True, slots=True)
class InputKeysValues:
    """A decoder-only encoding under the mask "inputs first": what each block kept of the inputs."""

    blocks: tuple[KeysValues, ...]


class DecoderOnly(ViewTransformer):
    """Photos and rays in, the targets' images out, by one transformer.

    Published: every target is a sequence of its own with all inputs, and all tokens see all. With
    config.inputs_first, inputs see inputs only, so that `encode` does their work once.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        initialise_blocks(self.blocks)

    def encode(
        self,
        images: Tensor,
        input_rays: Tensor,
        check: Callable[[], None] = never_stop,
        kept: Tensor | None = None,
    ) -> InputTokens | InputKeysValues:
        """What serves every target of these inputs. `check` is called before each block and may raise to stop."""
        tokens = self.input_tokens(images, input_rays, kept)
        cameras = self._encode_cameras(input_rays, self.config.input_stride)
        if cameras is not None and kept is not None:
            cameras = cameras.of_tokens(kept)
        if not self.config.inputs_first:
            return InputTokens(tokens, cameras)
        x = self.norm(tokens)[:, None]  # (B, 1, V * n, D)
        of_blocks = []
        for block in self.blocks:
            check()
            x, keys_values = block(x, cameras)
            of_blocks.append(keys_values)
        return InputKeysValues(tuple(of_blocks))

    def decode(
        self,
        encoding: InputTokens | InputKeysValues,
        target_rays: Tensor,
        check: Callable[[], None] = never_stop,
    ) -> Tensor:
        """The targets' images (B, T, 3, H, W) in [0, 1] from their rays (B, T, 6, H, W)."""
        tokens = self.target_tokens(target_rays)  # (B, T, n, D)
        cameras = self._encode_cameras(target_rays, self.config.target_stride)
        if isinstance(encoding, InputTokens):
            x = self._decode_with_inputs(encoding, tokens, cameras, check)
        else:
            x = self.norm(tokens)
            for block, context in zip(self.blocks, encoding.blocks, strict=True):
                check()
                x, _ = block(x, cameras, context)
        return self.pixels(x, target_rays)

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

    def _encode_cameras(self, rays: Tensor, stride: int) -> CameraEncoding | None:
        return encode_cameras(self.config, rays, stride)
