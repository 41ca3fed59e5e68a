"""LaCT for view synthesis (arXiv 2505.23884): photos become the fast weights of a scene once; targets ask these.

The weights are of one size whatever the number of photos. Letters in shapes: B scenes, V views, T targets, n tokens a view,
D width, H and W pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .fast_weights import FastWeightLayer, FastWeights
from .tokens import ViewTransformer, to_patches
from .transformer import Attention, feed_forward, initialise_blocks, never_stop

# Without gradients, as many views as have about so many tokens go through a block at a time: it bounds memory, and how long a
# cancel waits on a slow machine.
TOKENS_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class SceneWeights:
    """An encoding: the fast weights of each block."""

    blocks: tuple[FastWeights, ...]


class FastWeightBlock(nn.Module):
    """Attention within each view, fast weights, MLP; pre-norm, each added to what comes in."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, bias=False)
        self.attention = Attention(config, norm_epsilon=None)
        self.norm2 = nn.LayerNorm(config.width, bias=False)
        self.fast = FastWeightLayer(config)
        self.norm3 = nn.LayerNorm(config.width, bias=False)
        self.mlp = feed_forward(config)

    def forward(
        self,
        x: Tensor,
        weights: FastWeights | None = None,
        views_at_once: int | None = None,
        check: Callable[[], None] = never_stop,
    ) -> tuple[Tensor, FastWeights]:
        """x: (B, V, n, D) -> the same shape, and the scene's weights: those given, or what these views teach.

        views_at_once: how many of them are computed at a time, which changes nothing but memory; None: all. `check` is
        called before each of these parts of the work, and may raise to stop.
        """
        parts = list(x.split(views_at_once or x.shape[1], dim=1))
        for number, part in enumerate(parts):
            check()
            parts[number] = part + self.attention(self.norm1(part), None, None)[0]
        if weights is None:
            weights = self._taught_by(parts, check)
        for number, part in enumerate(parts):
            check()
            part = part + self.fast.ask(self.norm2(part).flatten(1, 2), weights).view_as(part)
            parts[number] = part + self.mlp(self.norm3(part))
        return torch.cat(parts, dim=1), weights

    def _taught_by(self, parts: Sequence[Tensor], check: Callable[[], None]) -> FastWeights:
        """The weights of a scene whose views come in parts (B, v, n, D)."""
        lesson = None
        for part in parts:
            check()
            of_part = self.fast.lesson(self.norm2(part).flatten(1, 2))
            lesson = of_part if lesson is None else lesson.plus(of_part)
        assert lesson is not None
        return self.fast.taught(lesson)


class FastWeightModel(ViewTransformer):
    """Photos and rays in, fast weights; these and rays in, the targets' images out. Rays come with their origins.

    tokens_at_once: see TOKENS_AT_ONCE.
    """

    TOKENIZERS = {"tokenize_views": 12}
    tokenize_views: nn.Linear

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.blocks = nn.ModuleList(FastWeightBlock(config) for _ in range(config.blocks))
        self.tokens_at_once = TOKENS_AT_ONCE
        initialise_blocks(self.blocks)

    def encode(
        self,
        images: Tensor,
        input_rays: Tensor,
        check: Callable[[], None] = never_stop,
        kept: Tensor | None = None,
    ) -> SceneWeights:
        """The inputs as fast weights. `check` is called before each part of the work and may raise to stop."""
        views = images.shape[1]
        x = torch.cat([self._normed_tokens(images, input_rays, kept, view) for view in range(views)], dim=1)
        at_once = views if torch.is_grad_enabled() else views_at_once(views, x.shape[2], self.tokens_at_once)
        of_blocks = []
        for block in self.blocks:
            x, weights = block(x, None, at_once, check)
            of_blocks.append(_at_rest(weights))
        return SceneWeights(tuple(of_blocks))

    def decode(self, encoding: SceneWeights, target_rays: Tensor, check: Callable[[], None] = never_stop) -> Tensor:
        """The targets' images (B, T, 3, H, W) in [0, 1] from their rays (B, T, 9, H, W)."""
        x = self.norm(self.target_tokens(target_rays))
        for block, weights in zip(self.blocks, encoding.blocks, strict=True):
            x, _ = block(x, weights, None, check)
        return self.pixels(x, target_rays)

    def input_tokens(self, images: Tensor, rays: Tensor, kept: Tensor | None = None) -> Tensor:
        """(B, V * n, D): patches of [origin, direction, moment, 2 rgb - 1], 12 channels a pixel."""
        return self._tokens(torch.cat([rays, 2 * images - 1], dim=2), self.config.input_stride, kept).flatten(1, 2)

    def target_tokens(self, rays: Tensor) -> Tensor:
        """(B, T, n, D): the same patches with 0 in place of colours, which is mid-grey."""
        return self._tokens(torch.cat([rays, torch.zeros_like(rays[:, :, :3])], dim=2), self.config.target_stride)

    def _normed_tokens(self, images: Tensor, rays: Tensor, kept: Tensor | None, view: int) -> Tensor:
        """(B, 1, n, D), of one of the inputs: its patches are larger than its tokens."""
        one = slice(view, view + 1)
        of_one = self.input_tokens(images[:, one], rays[:, one], None if kept is None else kept[:, one])
        return self.norm(of_one[:, None])

    def _tokens(self, posed: Tensor, stride: int, kept: Tensor | None = None) -> Tensor:
        return self.tokenize_views(to_patches(posed, self.config.patch_size, stride, kept))


def views_at_once(views: int, tokens: int, tokens_at_once: int = TOKENS_AT_ONCE) -> int:
    """How many of some views of so many tokens each go through a block at a time: at least one."""
    return max(1, min(views, tokens_at_once // tokens))


def _at_rest(weights: FastWeights) -> FastWeights:
    """In the precision that they are multiplied in, so that they take no more memory than that."""
    device = weights.gate.device.type
    return weights.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else weights
