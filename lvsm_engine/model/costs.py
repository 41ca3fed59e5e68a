"""What a model costs: parameters, floating point operations of its matrix products, bytes at its peak.

Operations are counted as in the literature (a multiplication and an addition are 2; tokenizers and head, under 0.3 %, are
left out): for one sequence of N tokens through a block of width d, (8 + 4 r) d^2 N for the matrices (r: the MLP's ratio) and
4 N M d for attention to M tokens.
"""

from torch import nn

from .config import ModelConfig

# Backward costs twice the forward. What gradient checkpointing computes again is no progress, and is not counted.
TRAINING_FACTOR = 3
# Rays are computed in float64, of six channels with what stands between them and their cameras (measured, December 2026).
BYTES_OF_A_RAY = 160
# A token is made of these channels a pixel (an input's colours and ray), in float32; a target's end counts as much.
BYTES_OF_A_TOKENS_PIXEL = 9 * 4


def parameter_count(model: nn.Module) -> int:
    """The numbers that a model has learned."""
    return sum(parameter.numel() for parameter in model.parameters())


def forward_flops(
    config: ModelConfig, inputs: int, targets: int, tokens: int, target_tokens: int | None = None
) -> float:
    """Of one scene: `inputs` views of `tokens` tokens each, `targets` of target_tokens each (None: as many)."""
    own = inputs * tokens
    asked = tokens if target_tokens is None else target_tokens
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


def tokens_a_target(config: ModelConfig, tokens: int, context: int) -> int:
    """How many tokens pass through the blocks for one more target in a batch, of `tokens` itself, that sees a context."""
    return tokens if config.inputs_first else tokens + context


def bytes_a_target(config: ModelConfig, tokens: int, context: int) -> int:
    """About what one more target in a batch takes at its peak: its rays, activations, and its own copy of the context's keys
    and values."""
    pictures = _bytes_of_pictures(config, tokens * config.target_stride**2, tokens)
    return pictures + _bytes_of_block(config, tokens_a_target(config, tokens, context), tokens + context)


def context_tokens(config: ModelConfig, input_tokens: int) -> int:
    """The tokens that a target sees beside its own, of inputs that have so many in all."""
    return config.latents if config.architecture == "encoder_decoder" else input_tokens


def bytes_of_inputs(config: ModelConfig, tokens: int, pixels: int) -> int:
    """About what it takes to encode inputs of so many pixels and tokens in all: photos and rays, a block's work, and what is
    kept of all blocks."""
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


def checks_of(config: ModelConfig, encoding: bool) -> int:
    """How often the model calls its check while it encodes, or decodes one batch."""
    if encoding:
        if config.architecture == "encoder_decoder":
            return config.encoder_blocks
        return config.blocks if config.inputs_first else 1
    return config.blocks
