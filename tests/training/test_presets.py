"""The named runs are whole, and the published ones are the published models."""

import pytest
import torch

from lvsm_engine.model.checkpoint import build_model
from training.presets import PRESETS


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
