"""Costs beside a table of the literature's formula, and beside what torch counts."""

import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lvsm_engine.model.checkpoint import build_model
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.model.costs import forward_flops

PUBLISHED = ModelConfig()
INPUTS_FIRST = ModelConfig(inputs_first=True)
FAST_WEIGHTS = ModelConfig(architecture="fast_weights", fast_head_width=768, fast_hidden=1536)
ENCODER_DECODER = ModelConfig(architecture="encoder_decoder", blocks=12, encoder_blocks=12, latents=3072)


@pytest.mark.parametrize(
    ("config", "inputs", "tokens", "scene", "target"),
    [
        (PUBLISHED, 2, 1024, 0, 1.74),
        (PUBLISHED, 8, 4096, 0, 113),
        (INPUTS_FIRST, 4, 1024, 2.63, 0.73),
        (ENCODER_DECODER, 4, 1024, 3.11, 1.31),
        (ENCODER_DECODER, 2, 4096, 6.59, 3.11),
        (
            FAST_WEIGHTS,
            8,
            4096,
            43.2,
            3.54,
        ),  # by hand: 8 * 24 * 4096 * (68 d^2 + 4 n d) + 1.63, 24 * 4096 * (40 d^2 + 4 n d)
    ],
)
def test_teraflops_are_those_of_the_table(config, inputs, tokens, scene, target):
    """Rounded to three digits there (training facts, b)."""
    for targets in (1, 5):
        expected = scene + targets * target
        assert forward_flops(config, inputs, targets, tokens) / 1e12 == pytest.approx(expected, rel=8e-3)


@pytest.mark.parametrize("asked", [16, 4])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"inputs_first": True},
        {"architecture": "encoder_decoder", "encoder_blocks": 1, "latents": 20},
        {"architecture": "fast_weights", "fast_head_width": 32, "fast_hidden": 48},
    ],
)
def test_torch_counts_as_many_operations_but_for_the_ends(shape, asked):
    config = ModelConfig(width=128, blocks=2, **shape)
    model = build_model(config)
    channels = 9 if config.rays_have_origins else 6
    images, rays = torch.rand(1, 3, 3, 32, 32), torch.rand(1, 3, channels, 32, 32)
    side = math.isqrt(asked) * config.patch_size
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(images, rays, torch.rand(1, 2, channels, side, side))
    pixels = config.patch_size**2
    of_target = channels + 3 if config.rays_have_origins else channels  # its colours are zeros
    ends = 2 * config.width * pixels * (16 * 3 * (channels + 3) + asked * 2 * (of_target + 3))
    assert counter.get_total_flops() - ends == pytest.approx(forward_flops(config, 3, 2, 16, asked), rel=1e-6)
