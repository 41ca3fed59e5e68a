"""The published schedule by its numbers, ours, and what becomes of broken gradients."""

import dataclasses
import json
import math

import pytest
import torch

from lvsm_engine.model.checkpoint import build_model
from tests.shared_data import shared
from training.configs import Stage, changed
from training.presets import PRESETS
from training.train.optimizers import (
    build_optimizers,
    clip_gradients,
    learning_rate_factor,
    mend_gradients,
    set_learning_rates,
)

SHAPES = {"cosine": (1.0, "cosine"), "linear": (1.0, "linear"), "constant": (0.0, "linear")}


@pytest.mark.parametrize("name", ["official_100k_3000", "tiny_100_10", "linear_100_10", "constant_100_10"])
def test_the_published_schedules_are_reproduced(name):
    case = json.loads(shared("reference", "lr_schedule.json").read_text())[name]
    decay, shape = SHAPES[case["type"]]
    config = changed(
        PRESETS["decoder_only_256"](),
        steps=case["total"],
        warmup=case["warmup"],
        adamw_lr=case["base_lr"],
        decay=decay,
        decay_shape=shape,
    )
    for step, expected in case["lr_used_for_update_number_k(0-based)"].items():
        rate = config.optimizer.adamw_lr * learning_rate_factor(config.schedule, int(step))
        assert rate == pytest.approx(expected, rel=1e-14, abs=0 if expected else 1e-30), step


def test_the_default_warms_up_in_each_stage_stays_and_falls_to_zero():
    config = changed(
        PRESETS["default"](), steps=30, warmup=2, stages=(Stage(until=0.5, size=32), Stage(until=1.0, size=64))
    )
    factors = [learning_rate_factor(config.schedule, step) for step in range(31)]
    assert factors[:4] == [0.0, 0.5, 1.0, 1.0]
    assert factors[15:18] == [0.0, 0.5, 1.0]
    assert factors[21] == 1.0
    assert all(a > b for a, b in zip(factors[21:], factors[22:], strict=False))
    assert factors[30] == 0


def test_adamw_is_the_published_one():
    config = PRESETS["decoder_only_256"]()
    model = build_model(dataclasses.replace(config.model, width=64, blocks=1))
    (adamw,) = build_optimizers(model, config.optimizer)
    decaying, others = adamw.param_groups
    assert adamw.defaults["betas"] == (0.9, 0.95) and adamw.defaults["eps"] == 1e-8
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.05, 0.0)
    assert {parameter.dim() for parameter in others["params"]} == {1}
    assert all(parameter.dim() > 1 for parameter in decaying["params"])
    assert len(decaying["params"]) + len(others["params"]) == len(list(model.parameters()))
    set_learning_rates([adamw], 0.25)
    assert [group["lr"] for group in adamw.param_groups] == [1e-4, 1e-4]


def test_broken_gradients_are_mended_as_published_and_clipped():
    parameter = torch.nn.Parameter(torch.zeros(5))
    parameter.grad = torch.tensor([math.nan, math.inf, -math.inf, 3.0, 4.0])
    mend_gradients([parameter, torch.nn.Parameter(torch.zeros(1))])
    assert parameter.grad.tolist() == pytest.approx([0, 1e-6, -1e-6, 3, 4])
    assert clip_gradients([parameter], 1.0) == pytest.approx(5.0)
    assert float(parameter.grad.norm()) == pytest.approx(1.0)


def names_of(groups, model):
    """The names of the parameters in these groups."""
    held = {id(parameter) for group in groups for parameter in group["params"]}
    return {name for name, parameter in model.named_parameters() if id(parameter) in held}


TOKENIZERS_AND_HEAD = {"tokenize_inputs.weight", "tokenize_targets.weight", "to_pixels.1.weight"}
OF_FAST_WEIGHTS = {
    f"blocks.{block}.fast.{name}" for block in range(4) for name in ("gate", "down", "up", "to_rates.weight")
}


@pytest.mark.parametrize(
    ("preset", "others"), [("smoke", set()), ("smoke_encoder_decoder", {"latents"}), ("lact_small", OF_FAST_WEIGHTS)]
)
def test_muon_trains_tokenizers_and_head_at_a_rate_of_their_own_where_it_is_given(preset, others):
    config = PRESETS[preset]()
    model = build_model(config.model)
    matrices = {name for name, parameter in model.named_parameters() if parameter.dim() > 1}
    by_depth = {name for name in matrices if "to_depth" in name}
    tokenizers_and_head = (
        {"tokenize_views.weight", "to_pixels.1.weight"} if preset == "lact_small" else TOKENIZERS_AND_HEAD
    )
    for rate in (0.0, 0.03):
        adamw, muon = build_optimizers(model, dataclasses.replace(config.optimizer, muon_tokenizer_head_lr=rate))
        ends = tokenizers_and_head if rate else set()
        assert names_of(muon.param_groups, model) == matrices - others - by_depth - tokenizers_and_head | ends
        assert names_of(adamw.param_groups[:1], model) == others | by_depth | tokenizers_and_head - ends
        rates = {name: g["full_lr"] for g in muon.param_groups for name in names_of([g], model)}
        assert {rates[name] for name in ends} == ({rate} if rate else set())
        assert {rates[name] for name in rates.keys() - ends} == {config.optimizer.muon_lr}
