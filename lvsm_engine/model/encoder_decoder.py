"""The encoder-decoder model: inputs become a fixed number of latent tokens once; targets read them (paper, section 3.3).

Letters in shapes: B scenes, V input views, T targets, n tokens a view, L latents, D width, H and W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .decoder_only import initialise_tokenizers, input_tokens, never_stop, pixels_of, target_tokens
from .transformer import Block, initialise_blocks


@dataclass(frozen=True, slots=True)
class Latents:
    """An encoder-decoder encoding: the scene's tokens (B, L, D)."""

    tokens: Tensor


class EncoderDecoder(nn.Module):
    """Photos and rays in, latents; latents and rays in, the targets' images out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        pixels = config.patch_size**2
        self.latents = nn.Parameter(torch.empty(config.latents, config.width))
        self.tokenize_inputs = nn.Linear(9 * pixels, config.width, bias=False)
        self.tokenize_targets = nn.Linear(6 * pixels, config.width, bias=False)
        self.encoder = nn.ModuleList(Block(config) for _ in range(config.encoder_blocks))
        self.norm = nn.LayerNorm(config.width, bias=False)
        self.decoder = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.to_pixels = nn.Sequential(
            nn.LayerNorm(config.width, bias=False), nn.Linear(config.width, 3 * pixels, bias=False), nn.Sigmoid()
        )
        nn.init.trunc_normal_(self.latents, std=0.02)
        initialise_tokenizers(self)
        initialise_blocks(self.encoder)
        initialise_blocks(self.decoder)

    def forward(self, images: Tensor, input_rays: Tensor, target_rays: Tensor) -> Tensor:
        """images (B, V, 3, H, W) in [0, 1], rays (B, V, 6, H, W) and (B, T, 6, H, W) -> (B, T, 3, H, W) in [0, 1]."""
        return self.decode(self.encode(images, input_rays), target_rays)

    def encode(self, images: Tensor, input_rays: Tensor, check: Callable[[], None] = never_stop) -> Latents:
        """The inputs as latents. `check` is called before each block and may raise to stop."""
        tokens = input_tokens(self, images, input_rays)
        latents = self.latents.expand(len(tokens), -1, -1).to(tokens.dtype)
        x = torch.cat([latents, tokens], dim=1)[:, None]  # (B, 1, L + V * n, D); no norm in front of the encoder
        for block in self.encoder:
            check()
            x, _ = block(x)
        return Latents(x[:, 0, : self.config.latents])

    def decode(self, encoding: Latents, target_rays: Tensor, check: Callable[[], None] = never_stop) -> Tensor:
        """The targets' images (B, T, 3, H, W) in [0, 1] from their rays (B, T, 6, H, W)."""
        tokens = target_tokens(self, target_rays)  # (B, T, n, D)
        T, n = tokens.shape[1:3]
        latents = encoding.tokens[:, None].expand(-1, T, -1, -1).to(tokens.dtype)
        x = self.norm(torch.cat([tokens, latents], dim=2))  # (B, T, n + L, D)
        for block in self.decoder:
            check()
            x, _ = block(x)
        return pixels_of(self, x[:, :, :n], target_rays)
