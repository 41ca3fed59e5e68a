"""Where a run starts from: nothing, a model's file, or its own state."""

import dataclasses
import json

import numpy as np
import pytest

from lvsm_engine.errors import LvsmError
from lvsm_engine.model.checkpoint import build_model, load_checkpoint, save_checkpoint
from lvsm_engine.model.config import ModelConfig
from tests.training.train.runs import ALONE, options, run, same_bits
from training.batches.steps import SceneStream, Share, step_batches
from training.configs import changed
from training.export import __main__ as export
from training.train.preparation import prepare


@pytest.fixture
def exported(config, tmp_path):
    state = run(changed(config, steps=3), tmp_path / "first")
    out = tmp_path / "model.safetensors"
    export.main(export.Options(run=tmp_path / "first", out=out, name="Tiny"))
    return out, state


def test_an_exported_run_is_a_model_of_the_engine(exported, config):
    out, state = exported
    model, card = load_checkpoint(out)
    assert card.resolution == 16
    assert card.input_views == (1, 2)
    assert card.scene_frame == config.scene_frame
    assert "Step 3 of 3" in card.text
    assert same_bits({"model": model.state_dict()}, state)


def test_a_run_starts_from_given_weights_and_then_from_its_own_state(exported, config, tmp_path, capsys):
    out, state = exported
    chained = changed(config, init=str(out), steps=5)
    one = prepare(options(chained, tmp_path / "second"), ALONE)
    assert same_bits({"model": one.trainer.model.state_dict()}, state)
    assert f"Starts from the weights in {out}" in capsys.readouterr().out
    first = run(chained, tmp_path / "second")
    assert not same_bits(first, state)
    out.unlink()  # no longer needed: the run has a state
    run(changed(chained, steps=6), tmp_path / "second")


def test_a_resumed_run_keeps_the_origin_of_its_weights(exported, config, tmp_path):
    out, _ = exported
    chained = changed(config, init=str(out), steps=3)
    run(chained, tmp_path / "second")
    with pytest.raises(LvsmError, match=r"was started with init .*model\.safetensors, and None is asked for"):
        run(changed(chained, init=None, steps=5), tmp_path / "second")
    assert json.loads((tmp_path / "second" / "config.json").read_text())["init"] == str(out)


def test_weights_of_another_shape_are_refused_with_the_options_that_fit(exported, config, tmp_path):
    out, _ = exported
    wider = changed(config, init=str(out), model=dataclasses.replace(config.model, width=128))
    with pytest.raises(LvsmError, match="another shape than the run's: give --model.width 64, or another --init"):
        prepare(options(wider, tmp_path / "second"), ALONE)
    plain = tmp_path / "plain.safetensors"
    card = load_checkpoint(out)[1]
    save_checkpoint(plain, build_model(ModelConfig(width=64, blocks=1, inputs_first=True)), card)
    words = "give --model.camera-encoding none --model.no-predicted-depth, or another --init"
    with pytest.raises(LvsmError, match=f"plain.safetensors: its model has another shape than the run's: {words}"):
        prepare(options(changed(config, init=str(plain)), tmp_path / "second"), ALONE)


@pytest.mark.parametrize("side", ["input", "target"])
def test_denser_tokens_begin_with_the_same_weights(side, exported, config, tmp_path):
    out, state = exported
    denser = dataclasses.replace(config.model, **{f"{side}_stride": 4})
    dense = changed(config, init=str(out), model=denser)
    grown = prepare(options(dense, tmp_path / "second"), ALONE)
    assert same_bits({"model": grown.trainer.model.state_dict()}, state)
    batch = next(step_batches(SceneStream(config, Share(), 2**30).from_step(0), config, 0, Share(), ALONE.device))
    times = {"input": 1, "target": 1} | {side: 4}
    assert grown.trainer.model.input_tokens(batch.images, batch.rays).shape[1] == batch.images.shape[1] * times["input"]
    assert grown.trainer.model.target_tokens(batch.target_rays).shape[2] == times["target"]  # of one patch
    assert np.isfinite(grown.step(1)[0].loss)


def test_weights_that_are_not_there_are_refused(config, tmp_path):
    with pytest.raises(LvsmError, match=r"gone.safetensors: the model cannot be read"):
        run(changed(config, init=str(tmp_path / "gone.safetensors")), tmp_path / "run")


def test_more_views_than_memory_are_refused_with_the_option_that_allows_them(config, tmp_path):
    with pytest.raises(LvsmError, match="a process may keep .* allow more .--memory-gb of training.train"):
        run(changed(config, validation=None), tmp_path / "run", memory_gb=1e-6)
