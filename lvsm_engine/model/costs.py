"""What a model costs: parameters, floating point operations of its matrix products, bytes at its peak.

Operations are counted as in the literature (a multiplication and an addition are 2; tokenizers and head, under 0.3 %, are
left out): for one sequence of N tokens through a block of width d, (8 + 4 r) d^2 N for the matrices (r: the MLP's ratio) and
4 N M d for attention to M tokens; for fast weights of h hidden channels a head, 4 d^2 N + 6 d h N to ask them,
4 d^2 N + 12 d h N to teach them, and their orthogonalisation, once a scene.
"""

import math

from torch import nn

from .config import ModelConfig
from .fast_weight_model import views_at_once
from .newton_schulz import orthogonalising_flops

# Backward costs twice the forward. What gradient checkpointing computes again is no progress, and is not counted.
TRAINING_FACTOR = 3
# Rays are computed in float64, of six channels with what stands between them and their cameras (measured, December 2026).
BYTES_OF_A_RAY = 160
# A token is made of these channels a pixel (an input's colours and ray), in float32; a target's end counts as much.
BYTES_OF_A_TOKENS_PIXEL = 9 * 4
# Where a model takes in one view after the other: what is kept of a pixel (its colours, its ray with origin, and the copy that
# puts views together), and what is made of one view's pixel in between.
BYTES_OF_A_KEPT_PIXEL, BYTES_OF_A_VIEWS_PIXEL = 100, 400


def parameter_count(model: nn.Module) -> int:
    """The numbers that a model has learned."""
    return sum(parameter.numel() for parameter in model.parameters())


def forward_flops(
    config: ModelConfig, inputs: int, targets: int, tokens: int, target_tokens: int | None = None
) -> float:
    """Of one scene: `inputs` views of `tokens` tokens each, `targets` of target_tokens each (None: as many)."""
    own = inputs * tokens
    asked = tokens if target_tokens is None else target_tokens
    if config.architecture == "fast_weights":
        return _teaching_flops(config, inputs, tokens) + targets * _asking_flops(config, asked)
    if config.architecture == "encoder_decoder":
        encoder = _stack(config, config.encoder_blocks, config.latents + own)
        return encoder + targets * _stack(config, config.blocks, config.latents + asked)
    if config.inputs_first:
        encoded = _stack(config, config.blocks, own)
        return encoded + targets * _stack(config, config.blocks, asked, own + asked)
    return targets * _stack(config, config.blocks, own + asked)


def _stack(config: ModelConfig, blocks: int, tokens: int, context: int | None = None) -> float:
    """A stack of blocks over a sequence of `tokens`, each of which attends to `context` tokens (None: to the sequence)."""
    matrices = (8 + 4 * config.mlp_ratio) * config.width**2 * tokens
    return float(blocks * (matrices + 4 * tokens * (tokens if context is None else context) * config.width))


def _asking_flops(config: ModelConfig, tokens: int) -> float:
    """One view of so many tokens through all blocks of fast weights, which it asks."""
    width, hidden = config.width, config.fast_hidden
    return _stack(config, config.blocks, tokens) + config.blocks * tokens * (4 * width**2 + 6 * width * hidden)


def _teaching_flops(config: ModelConfig, views: int, tokens: int) -> float:
    """The same of views that teach them first."""
    width, heads, hidden = config.width, config.fast_heads, config.fast_hidden
    rates = 6 * heads * width
    lessons = config.blocks * views * tokens * (4 * width**2 + 12 * width * hidden + rates)
    steps = 3 * config.blocks * heads * orthogonalising_flops(config.fast_head_width, hidden)
    return views * _asking_flops(config, tokens) + lessons + steps


def tokens_a_target(config: ModelConfig, tokens: int, context: int) -> int:
    """How many tokens pass through the blocks for one more target in a batch, of `tokens` itself, that sees a context."""
    return tokens if config.inputs_first else tokens + context


def bytes_a_target(config: ModelConfig, tokens: int, context: int) -> int:
    """About what one more target in a batch takes at its peak: its rays, activations, and its own copy of the context's keys
    and values."""
    pictures = _bytes_of_pictures(config, tokens * config.target_stride**2, tokens)
    if config.architecture == "fast_weights":
        return pictures + _bytes_of_fast_block(config, tokens)
    return pictures + _bytes_of_block(config, tokens_a_target(config, tokens, context), tokens + context)


def context_tokens(config: ModelConfig, input_tokens: int) -> int:
    """The tokens that a target sees beside its own, of inputs that have so many in all."""
    kept = {"encoder_decoder": config.latents, "fast_weights": 0}
    return kept.get(config.architecture, input_tokens)


def bytes_of_inputs(config: ModelConfig, tokens: int, pixels: int, views: int = 1) -> int:
    """About what it takes to encode inputs of so many pixels and tokens in all: photos and rays, a block's work, and what is
    kept of all blocks."""
    if config.architecture == "fast_weights":
        return _bytes_of_teaching(config, tokens, pixels, views)
    pictures = _bytes_of_pictures(config, pixels, tokens)
    if config.architecture == "encoder_decoder":
        return pictures + _bytes_of_block(config, tokens + config.latents, tokens + config.latents)
    if not config.inputs_first:
        return pictures + tokens * config.width * 4
    kept = config.blocks * 2 * tokens * config.width * 2  # keys and values, at the least in bf16
    return pictures + kept + _bytes_of_block(config, tokens, tokens)


def _bytes_of_pictures(config: ModelConfig, pixels: int, tokens: int) -> int:
    """Pictures and their rays, whole and cut into patches."""
    return pixels * (BYTES_OF_A_RAY + BYTES_OF_A_TOKENS_PIXEL) + tokens * config.patch_size**2 * BYTES_OF_A_TOKENS_PIXEL


def _bytes_of_block(config: ModelConfig, tokens: int, context: int) -> int:
    """Activations of a block at its peak (what a layer reads and what it writes), and the keys and values seen."""
    activations = tokens * config.width * 2 * (4 + config.mlp_ratio) * 4
    keys_and_values = 2 * context * config.width * 4
    return activations + keys_and_values


def _bytes_of_teaching(config: ModelConfig, tokens: int, pixels: int, views: int) -> int:
    """Photos and rays, the tokens of all views before and after a block, the work on some of them, the weights of the scene."""
    pictures = pixels * BYTES_OF_A_KEPT_PIXEL + pixels // views * BYTES_OF_A_VIEWS_PIXEL
    residual_streams = 3 * tokens * config.width * 4
    at_once = tokens // views * views_at_once(views, max(1, tokens // views))
    numbers_of_a_block = 3 * config.width * config.fast_hidden
    # Of a block: the lesson, the step in work and in its iteration.
    of_scene = (config.blocks + 5) * numbers_of_a_block * 4
    return pictures + residual_streams + of_scene + _bytes_of_fast_block(config, at_once)


def _bytes_of_fast_block(config: ModelConfig, tokens: int) -> int:
    """Activations of tokens in a block of fast weights at its peak: of its lesson, or of its MLP."""
    lesson = 8 * config.fast_heads * config.fast_hidden + 8 * config.width
    return tokens * 4 * max(lesson, 2 * (4 + config.mlp_ratio) * config.width)


def checks_of(config: ModelConfig, encoding: bool, views: int = 1, tokens: int = 1) -> int:
    """How often the model calls its check while it encodes so many views of so many tokens each, or decodes one batch."""
    if config.architecture == "fast_weights":
        parts = math.ceil(views / views_at_once(views, tokens)) if encoding else 1
        return config.blocks * parts * (3 if encoding else 2)
    if encoding:
        if config.architecture == "encoder_decoder":
            return config.encoder_blocks
        return config.blocks if config.inputs_first else 1
    return config.blocks
