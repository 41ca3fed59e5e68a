"""A step: what it draws, when it is skipped, what the perceptual term does."""

import dataclasses
import math

import pytest
import torch

from tests.training.train.runs import ALONE, furthest, options
from training.configs import PerceptualLoss, Stage, changed
from training.train.losses import Objective
from training.train.preparation import prepare
from training.train.state import RunStateError


def with_distance(config, folder, distance):
    """A run whose perceptual term is this network."""
    one = prepare(options(changed(config, perceptual=PerceptualLoss()), folder), ALONE)
    one.trainer = dataclasses.replace(one.trainer, config=config, objective=Objective(perceptual=distance))
    return one


def test_what_torch_draws_in_a_step_does_not_depend_on_what_was_drawn_before(config, tmp_path):
    """Weights stay the same when a run is resumed, even where the model draws: here a noise on the loss's truth."""
    drawn = []

    class Noisy(torch.nn.Module):
        def forward(self, images, truth):
            drawn.append(torch.rand(3))
            return (images.mean() - drawn[-1].mean()) ** 2

    config = changed(config, stages=(Stage(until=1.0, size=16),), perceptual=PerceptualLoss(weight=0.1))
    for already_drawn in (1, 5):
        one = with_distance(config, tmp_path / f"{already_drawn}", Noisy())
        torch.rand(already_drawn)
        one.step(7)
    assert torch.equal(*drawn)


@pytest.mark.parametrize("cause", ["wild", "not finite"])
def test_a_wild_or_broken_step_is_skipped_and_counted(config, tmp_path, cause):
    config = changed(config, skip_above=1e-9 if cause == "wild" else 5.0, stop_after_skips=3)
    one = prepare(options(config, tmp_path), ALONE)
    if cause == "not finite":
        with torch.no_grad():
            one.trainer.model.to_pixels[1].weight[0, 0] = math.nan
    before = {name: tensor.clone().nan_to_num(7) for name, tensor in one.trainer.model.state_dict().items()}
    for step in range(2):
        report, _ = one.step(step)
        assert report.skipped and math.isfinite(report.loss) == (cause == "wild")
        one.advance(step, report, 0.0)
    after = {name: tensor.nan_to_num(7) for name, tensor in one.trainer.model.state_dict().items()}
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert (one.progress.step, one.progress.skipped, one.progress.skipped_in_a_row) == (2, 2, 2)
    with pytest.raises(RunStateError, match="3 steps in a row were skipped"):
        one.advance(2, one.step(2)[0], 0.0)


def test_the_perceptual_term_joins_late_and_moves_the_weights(config, tmp_path):
    class Darkness(torch.nn.Module):
        def forward(self, images, truth):
            return images.mean()

    late = PerceptualLoss(weight=0.5, begins=0.5)
    config = changed(config, stages=(Stage(until=1.0, size=16),), steps=2, validation=None)
    with_term = with_distance(changed(config, perceptual=late), tmp_path / "a", Darkness())
    first, second = with_term.step(0)[0], with_term.step(1)[0]
    assert first.perceptual == 0 and first.loss == first.squared_error
    assert second.perceptual > 0.01
    assert second.loss == pytest.approx(second.squared_error + 0.5 * second.perceptual)
    without = prepare(options(config, tmp_path / "b"), ALONE)
    without.step(0), without.step(1)
    weights = {"model": without.trainer.model.state_dict()}
    assert furthest({"model": with_term.trainer.model.state_dict()}, weights) > 1e-4
