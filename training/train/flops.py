"""What a model costs: floating point operations of its matrix products, and what cards can do at most.

Counted as in the literature (a multiplication and an addition are 2; tokenizers and head, under 0.3 %, are left out):
for one sequence of N tokens through a block of width d, (8 + 4 r) d^2 N for the matrices (r: the MLP's ratio) and
4 N M d for attention to M tokens.
"""

import torch

from lvsm_engine.model.config import ModelConfig

# Backward costs twice the forward. What gradient checkpointing computes again is no progress, and is not counted.
TRAINING_FACTOR = 3

# Dense bf16 peaks from the makers' data sheets, FLOP/s; the first name that a card's own contains.
PEAKS = (
    ("H200", 989e12),
    ("H100 PCIe", 756e12),
    ("H100", 989e12),
    ("A100", 312e12),
    ("L40S", 362e12),
    ("RTX 4090", 165e12),
)


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


def _stack(config: ModelConfig, blocks: int, tokens: int, seen: int | None = None) -> float:
    """A stack of blocks over a sequence of `tokens`, each of which attends to `seen` tokens (None: to the sequence)."""
    matrices = (8 + 4 * config.mlp_ratio) * config.width**2 * tokens
    return float(blocks * (matrices + 4 * tokens * (tokens if seen is None else seen) * config.width))


def peak_flops(device: torch.device) -> float | None:
    """The device's dense bf16 peak, FLOP/s; None where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS if part in name), None)
