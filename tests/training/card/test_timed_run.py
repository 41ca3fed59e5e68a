"""A run until a time: how many steps fit, in which micro-batches, compiled or not; and to the end with what was measured."""

import time
from dataclasses import replace

import pytest
import torch

from tests.training.train.runs import ALONE, options
from training.card.timed_run import (
    FILLED,
    TimeError,
    fitted,
    seconds_of,
    steps_that_fit,
    train,
    train_with_room,
    with_room,
)
from training.configs import ScheduleConfig, Stage, changed
from training.train.preparation import prepare
from training.train.run import termination
from training.train.state import BEFORE_DECAY, LATEST, load_state

STAGES = (Stage(until=0.5, size=8), Stage(until=1.0, size=16))
SCHEDULE = ScheduleConfig(stages=STAGES, steps=100)


@pytest.fixture
def asked(config, tmp_path):
    """Four scenes a step, in two stages."""
    return options(changed(config, stages=STAGES, input_views=(1, 2), validation=None), tmp_path / "run")


def fake_card(fitting, compiled=1.0):
    """A card in whose memory so many scenes fit, and on which a pixel's row takes a second, compiled less."""

    def probe(options, stage, inputs):
        if options.config.data.batch // options.accumulate > fitting:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return stage.size * (compiled if options.compile_blocks else 1.0)

    return probe


def test_a_stretch_of_steps_takes_each_stage_s_time():
    assert seconds_of(SCHEDULE, (1.0, 3.0), 0, 100) == 50 + 150
    assert seconds_of(SCHEDULE, (1.0, 3.0), 40, 60) == 10 + 30


@pytest.mark.parametrize(("left", "begun", "steps"), [(200, 0, 100), (199, 0, 99), (150, 50, 100), (0, 7, 8)])
def test_as_many_steps_as_fit(left, begun, steps):
    assert steps_that_fit(SCHEDULE, (1.0, 3.0), left, begun) == steps


def test_micro_batches_are_halved_until_they_fit(asked):
    assert [with_room(asked, fake_card(fitting)).accumulate for fitting in (4, 3, 1)] == [1, 2, 4]
    with pytest.raises(TimeError, match="a micro-batch of 1 scenes does not fit into the card's memory"):
        with_room(asked, fake_card(0))


@pytest.mark.parametrize(("compiled", "is_taken"), [(0.5, True), (1.5, False)])
def test_blocks_are_compiled_where_that_is_faster(asked, compiled, is_taken):
    chosen, seconds = fitted(replace(asked, compile_blocks=True), fake_card(4, compiled), time.time() + 10_000)
    assert chosen.compile_blocks == is_taken
    assert len(seconds) == 2
    assert seconds_of(chosen.config.schedule, seconds, 0, chosen.config.schedule.steps) <= FILLED * 10_000
    assert chosen.config.save_every == max(1, int(60 / max(seconds)))


def test_a_run_that_meets_its_memory_s_end_goes_on_in_smaller_micro_batches(asked):
    tried = []

    def train_it(options):
        tried.append(options.accumulate)
        if options.accumulate < 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return None, True

    chosen, _, is_done = train_with_room(asked, train_it)
    assert (tried, chosen.accumulate, is_done) == ([1, 2, 4], 4, True)


def test_a_run_fills_its_time_and_comes_to_its_end(asked):
    ends = time.time() + 15
    with termination():
        train(asked, ALONE, ends)
    assert time.time() < ends + 5
    step = load_state(asked.folder / LATEST)["step"]
    assert step > 10 and (asked.folder / BEFORE_DECAY).exists()


def test_a_run_that_was_lost_goes_on_from_its_last_state(asked, capsys):
    config = changed(asked.config, steps=20)
    run = prepare(replace(asked, config=config), ALONE)
    for step in range(5):
        run.advance(step, run.step(step)[0], 0.1 * step)
    run.save(LATEST)
    with termination():
        train(asked, ALONE, time.time() + 10)
    assert "that are left, 5 are done" in capsys.readouterr().out
    assert load_state(asked.folder / LATEST)["step"] > 5
