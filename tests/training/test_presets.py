"""The named runs are whole, and the published ones are the published models."""

import pytest
import torch

from lvsm_engine.model.checkpoint import build_model
from training.presets import PRESETS
from training.train.speed import step_flops


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_whole(name):
    config = PRESETS[name]()
    assert config.name == name
    assert config.schedule.last_stage.size % config.model.patch_size == 0
    with torch.device("meta"):
        build_model(config.model)


def test_the_published_presets_are_the_published_models():
    with torch.device("meta"):
        counts = {
            name: sum(parameter.numel() for parameter in build_model(PRESETS[name]().model).parameters())
            for name in ("decoder_only_256", "decoder_only_512", "encoder_decoder_256", "encoder_decoder_512")
        }
    assert set(counts.values()) == {170_795_520, 173_154_816}
    assert PRESETS["decoder_only_512"]().optimizer.adamw_lr == 4e-5


def test_lact_is_the_published_model_at_the_compute_of_the_published_decoder_only():
    lact, decoder_only = PRESETS["lact_256"](), PRESETS["decoder_only_256"]()
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build_model(lact.model).parameters()) == 312_298_056
    of_step = [
        step_flops(config, config.schedule.last_stage, config.data.input_views) for config in (lact, decoder_only)
    ]
    assert of_step[0] == pytest.approx(of_step[1], rel=0.02)
