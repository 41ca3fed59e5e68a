"""The speed that is told: of steps alone, and against a card's peak."""

import pytest

from lvsm_engine.model.costs import forward_flops
from training.configs import changed
from training.train.speed import SpeedMeter, images_per_second, utilisation


def test_the_speed_that_is_told_is_that_of_the_steps_alone():
    times = iter([0.0, 2.0, 10.0, 14.0, 100.0, 107.0])  # two steps, then one
    meter = SpeedMeter(clock=lambda: next(times))
    for _ in range(2):
        with meter.step():
            pass
    assert meter.take_seconds_a_step() == 3.0
    with meter.step():
        pass
    assert meter.take_seconds_a_step() == 7.0


def test_images_are_those_of_all_views_and_utilisation_is_by_the_stage_s_tokens(config):
    assert images_per_second(config, 0.5) == 4 * 4 / 0.5
    config = changed(config, input_views=(2,))
    expected = 3 * 4 * forward_flops(config.model, 2, 2, 4) / (0.5 * 1e9)  # 16 px are 4 tokens
    assert utilisation(config, 20, 0.5, peak=1e9) == pytest.approx(expected)
