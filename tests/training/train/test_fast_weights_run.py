"""Runs of fast weights (LaCT): they learn, are computed block by block again, and become files of the engine."""

import numpy as np
import pytest

from lvsm_engine.model.config import ModelConfig
from lvsm_engine.synthesizer import Synthesizer
from tests.synthetic import ring_cameras, ring_views
from tests.training.train.runs import ALONE, furthest, options, run
from training.configs import Source, Stage, changed
from training.export import __main__ as export
from training.presets import PRESETS
from training.train.preparation import prepare

TINY = ModelConfig(architecture="fast_weights", width=64, blocks=2, fast_head_width=32, fast_hidden=64)


@pytest.fixture
def tiny(config):
    return changed(config, model=TINY, stages=(Stage(until=1.0, size=16),), steps=6)


def test_the_small_preset_learns(data, tmp_path):
    small = PRESETS["lact_small"]()
    sources = (Source(folder=str(data / "train")),)
    small = changed(
        small,
        sources=sources,
        validation=None,
        batch=4,
        views=4,
        input_views=(2,),
        stages=(Stage(until=1.0, size=16),),
        warmup=2,
        steps=30,
    )
    one = prepare(options(small, tmp_path / "run"), ALONE)
    errors = [one.step(step)[0].squared_error for step in range(30)]
    assert np.mean(errors[-5:]) < 0.5 * errors[0]


@pytest.mark.parametrize("parts", [{"target_crop": 0.5}, {"input_keep_ratio": 0.5}])
def test_a_run_that_is_shown_parts_goes_on(tiny, tmp_path, parts):
    shown = changed(tiny, stages=(Stage(until=1.0, size=16, **parts),))
    one = prepare(options(shown, tmp_path / "run"), ALONE)
    assert all(np.isfinite(one.step(step)[0].loss) for step in range(3))


def test_blocks_that_are_computed_again_end_with_the_same_weights(tiny, tmp_path):
    adamw = changed(tiny, muon_lr=0.0, adamw_lr=4e-4)
    kept = run(adamw, tmp_path / "kept")
    again = run(adamw, tmp_path / "again", checkpoint_blocks=True)
    assert furthest(kept, again) < 1e-5


def test_an_exported_run_renders_in_the_engine(tiny, tmp_path):
    run(tiny, tmp_path / "run")
    out = tmp_path / "model.safetensors"
    export.main(export.Options(run=tmp_path / "run", out=out, name="Tiny", precision="bfloat16"))
    synthesizer = Synthesizer.load(out, "cpu", "float32")
    assert synthesizer.config == TINY
    assert "(arXiv 2505.23884), fast-weights" in synthesizer.card.text
    pictures = synthesizer.encode(ring_views(2)).render(ring_cameras(2))
    assert pictures.shape == (2, 32, 32, 3) and np.isfinite(pictures).all()
