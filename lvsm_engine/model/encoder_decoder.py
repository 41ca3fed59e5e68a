"""The encoder-decoder model: inputs become a fixed number of latent tokens once; targets read them (paper, section 3.3).

Letters in shapes: B scenes, V input views, T targets, n tokens a view, L latents, D width, H and W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .tokens import ViewTransformer
from .transformer import Block, initialise_blocks, never_stop


@dataclass(frozen=True, slots=True)
class Latents:
    """An encoder-decoder encoding: the scene's tokens (B, L, D)."""

    tokens: Tensor


class EncoderDecoder(ViewTransformer):
    """Photos and rays in, latents; latents and rays in, the targets' images out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.latents = nn.Parameter(torch.empty(config.latents, config.width))
        self.encoder = nn.ModuleList(Block(config) for _ in range(config.encoder_blocks))
        self.decoder = nn.ModuleList(Block(config) for _ in range(config.blocks))
        nn.init.trunc_normal_(self.latents, std=0.02)
        initialise_blocks(self.encoder)
        initialise_blocks(self.decoder)

    def encode(
        self,
        images: Tensor,
        input_rays: Tensor,
        check: Callable[[], None] = never_stop,
        kept: Tensor | None = None,
    ) -> Latents:
        """The inputs as latents. `check` is called before each block and may raise to stop."""
        tokens = self.input_tokens(images, input_rays, kept)
        latents = self.latents.expand(len(tokens), -1, -1).to(tokens.dtype)
        x = torch.cat([latents, tokens], dim=1)[:, None]  # (B, 1, L + V * n, D); no norm in front of the encoder
        for block in self.encoder:
            check()
            x, _ = block(x)
        return Latents(x[:, 0, : self.config.latents])

    def decode(self, encoding: Latents, target_rays: Tensor, check: Callable[[], None] = never_stop) -> Tensor:
        """The targets' images (B, T, 3, H, W) in [0, 1] from their rays (B, T, 6, H, W)."""
        tokens = self.target_tokens(target_rays)  # (B, T, n, D)
        T, n = tokens.shape[1:3]
        latents = encoding.tokens[:, None].expand(-1, T, -1, -1).to(tokens.dtype)
        x = self.norm(torch.cat([tokens, latents], dim=2))  # (B, T, n + L, D)
        for block in self.decoder:
            check()
            x, _ = block(x)
        return self.pixels(x[:, :, :n], target_rays)
