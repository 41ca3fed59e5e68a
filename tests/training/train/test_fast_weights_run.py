"""Runs of fast weights (LaCT): they learn, are computed block by block again, and become files of the engine."""

import numpy as np
import pytest
import torch

from lvsm_engine.model.checkpoint import build_model
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.synthesizer import Synthesizer
from tests.synthetic import ring_cameras, ring_views
from tests.training.train.launch import launch_ranks
from tests.training.train.runs import ALONE, furthest, options, run
from training.configs import Source, Stage, changed
from training.export import __main__ as export
from training.presets import PRESETS
from training.train.parallel import parallelize
from training.train.preparation import prepare
from training.train.state import LATEST, load_state

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


@pytest.mark.parametrize(
    "how",
    [{}, {"parallel": "fsdp", "accumulate": 2, "checkpoint_blocks": True}],
    ids=["ddp", "fsdp, accumulated and checkpointed"],
)
def test_two_ranks_end_with_the_weights_of_one_process(parallel_config, tmp_path, how):
    config = changed(parallel_config, model=TINY)
    whole = run(config, tmp_path / "whole")
    ranks = launch_ranks(options(config, tmp_path / "two", **how), tmp_path / "two.txt", 2)
    assert [rank.ended() for rank in ranks] == [0, 0], ranks[0].says()[-3000:]
    two = load_state(tmp_path / "two" / LATEST)
    for name in [name for name in whole["model"] if name.endswith("to_rates.bias")]:
        del whole["model"][name]  # what all rates share is of no account, so that rounding alone moves it
    assert furthest(two, whole) < 1e-5


@pytest.mark.parametrize("checkpoint_blocks", [False, True])
def test_blocks_are_compiled_whole_and_once_for_all_numbers_of_inputs(checkpoint_blocks):
    graphs = []

    def compiler(graph, _):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    torch.manual_seed(0)
    model = build_model(TINY)
    expected = model(*views_at_random(3))
    trained = parallelize(model, "ddp", ALONE, checkpoint_blocks, compiler)
    for inputs in (2, 4, 3):
        answer = trained(*views_at_random(inputs))
        answer.square().sum().backward()
    torch.testing.assert_close(answer, expected)
    assert not torch._dynamo.utils.counters["graph_break"]
    torch._dynamo.reset()
    assert len(graphs) == 2  # the inputs', which teach, and the targets', which ask


def views_at_random(inputs):
    """A scene's images, their rays with origins and the rays of two targets, 16 px a side, as the model takes them."""
    generator = torch.Generator().manual_seed(0)
    rays = torch.randn(1, inputs + 2, 9, 16, 16, generator=generator)
    return torch.rand(1, inputs, 3, 16, 16, generator=generator), rays[:, :inputs], rays[:, inputs:]


def test_an_exported_run_renders_in_the_engine(tiny, tmp_path):
    run(tiny, tmp_path / "run")
    out = tmp_path / "model.safetensors"
    export.main(export.Options(run=tmp_path / "run", out=out, name="Tiny", precision="bfloat16"))
    synthesizer = Synthesizer.load(out, "cpu", "float32")
    assert synthesizer.config == TINY
    assert "(arXiv 2505.23884), fast-weights" in synthesizer.card.text
    pictures = synthesizer.encode(ring_views(2)).render(ring_cameras(2))
    assert pictures.shape == (2, 32, 32, 3) and np.isfinite(pictures).all()
