"""Averaged weights: the mean of the first steps, then a moving one; kept beside the run and never in its way."""

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.train.launch import launch_ranks
from tests.training.train.runs import ALONE, furthest, options, run, same_bits
from training.configs import Stage, changed
from training.train.preparation import prepare
from training.train.state import LATEST, load_state
from training.train.validation import validate


def test_averaged_weights_are_the_mean_of_the_first_steps_and_then_forget(config, tmp_path):
    one = prepare(options(changed(config, average=3), tmp_path / "run"), ALONE)
    weights = []
    for step in range(5):
        one.step(step)
        weights.append(one.trainer.model.to_pixels[1].weight.detach().clone())
        if step == 2:
            with one.trainer.averaged.in_place():
                torch.testing.assert_close(one.trainer.model.to_pixels[1].weight, torch.stack(weights).mean(0))
            assert torch.equal(one.trainer.model.to_pixels[1].weight, weights[-1])
    mean = torch.stack(weights[:3]).mean(0)
    for later in weights[3:]:
        mean = mean.lerp(later, 1 / 3)
    with one.trainer.averaged.in_place():
        torch.testing.assert_close(one.trainer.model.to_pixels[1].weight, mean)


def test_averaged_weights_are_resumed_bit_for_bit_validated_and_change_nothing_else(config, tmp_path):
    stage = (Stage(until=1.0, size=16),)
    config = changed(config, decay=0.0, average=4, validate_every=3, stages=stage)
    whole = run(changed(config, steps=6), tmp_path / "whole")
    run(changed(config, steps=3), tmp_path / "parts")
    resumed = run(changed(config, steps=6), tmp_path / "parts")
    plain = run(changed(config, steps=6, average=0), tmp_path / "plain")
    assert same_bits(resumed, whole) and same_bits(plain, whole) and "averaged" not in plain
    assert same_bits({"model": resumed["averaged"]}, {"model": whole["averaged"]})
    assert not same_bits({"model": whole["averaged"]}, whole)
    events = EventAccumulator(str(tmp_path / "whole"))
    events.Reload()
    psnr = events.Scalars("validation/psnr_16")[-1].value
    one = prepare(options(changed(config, steps=6), tmp_path / "whole"), ALONE)
    said = [validate(one.trainer.model, config, one.validation, 16, torch.float32, ALONE)[0]]
    with one.trainer.averaged.in_place():
        said.append(validate(one.trainer.model, config, one.validation, 16, torch.float32, ALONE)[0])
    assert said[1] == pytest.approx(psnr, abs=1e-4) and abs(said[0] - psnr) > 1e-3


def test_averaged_weights_in_shards_are_those_of_one_process(parallel_config, data, tmp_path):
    config = changed(parallel_config, average=3, validation=str(data / "val"), validate_every=2)
    one = run(config, tmp_path / "one")
    ranks = launch_ranks(options(config, tmp_path / "two", parallel="fsdp"), tmp_path / "two.txt", 2)
    assert [rank.ended() for rank in ranks] == [0, 0], ranks[0].says()[-3000:]
    two = load_state(tmp_path / "two" / LATEST)
    assert furthest(two, one) < 1e-6
    assert furthest({"model": two["averaged"]}, {"model": one["averaged"]}) < 1e-6
