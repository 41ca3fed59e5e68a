"""A run on tiny data: it learns, goes on where it was stopped, and ends with a sentence where it cannot go on."""

import json
import math
import re
import signal

import numpy as np
import pytest
import torch

from tests.training.train.launch import launch
from tests.training.train.runs import ALONE, options, run, same_bits
from training.batches.augment import FrameJitter
from training.configs import Stage, changed
from training.train.log import StepReport
from training.train.preparation import prepare
from training.train.state import BEFORE_DECAY, LATEST, RunProgress, RunStateError, load_state


def test_a_short_run_learns(config, tmp_path, capsys):
    run(config, tmp_path / "run")
    first, *_, validation = (float(value) for value in re.findall(r"psnr ([\d.]+)", capsys.readouterr().out))
    assert validation > first + 3
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["model"]["camera_encoding"] == "proxy_point"


@pytest.mark.parametrize("parts", [{"target_crop": 0.5}, {"input_keep_ratio": 0.5}])
def test_a_run_that_is_shown_parts_learns(config, tmp_path, parts):
    half = (Stage(until=1.0, size=16, **parts),)
    one = prepare(options(changed(config, stages=half, steps=40), tmp_path / "run"), ALONE)
    losses = [one.step(step)[0].loss for step in range(40)]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


def test_a_run_that_was_killed_ends_with_the_same_weights_bit_for_bit(config, tmp_path):
    """Its steps do not depend on how many there will be, so that one which has no end can be compared with a short one."""
    endless = changed(
        config,
        steps=1_000_000,
        stages=(Stage(until=1.0, size=16),),
        decay=0.0,
        save_every=1,
        frame_jitter=FrameJitter(turn=90),
    )
    for seconds in np.random.default_rng().uniform(0, 0.5, 2):
        killed = launch(options(endless, tmp_path / "killed"), tmp_path / "killed.txt")
        killed.signal_when(tmp_path / "killed" / LATEST, signal.SIGKILL, seconds)
        assert killed.ended() == -signal.SIGKILL
    step = load_state(tmp_path / "killed" / LATEST)["step"]
    assert step > 0
    short = changed(endless, steps=step + 10, save_every=1000)
    resumed, whole = run(short, tmp_path / "killed"), run(short, tmp_path / "whole")
    assert resumed["step"] == whole["step"] == step + 10
    assert same_bits(resumed, whole), f"killed at step {step}"


def test_a_run_that_is_terminated_saves_first_and_says_so(config, tmp_path):
    config = changed(config, steps=5000, save_every=5000, validate_every=5000, decay=0.9999)
    ended = launch(options(config, tmp_path / "run"), tmp_path / "ended.txt")
    ended.signal_when(tmp_path / "run" / BEFORE_DECAY, signal.SIGTERM, 0.2)
    assert ended.ended() == 143
    step = load_state(tmp_path / "run" / LATEST)["step"]
    assert f"Terminated: saved before step {step}; the same command goes on from there." in ended.says()
    assert 2 < step < 5000


def test_a_longer_run_goes_on_from_before_the_decay(config, tmp_path, capsys):
    run(config, tmp_path / "run")
    assert load_state(tmp_path / "run" / BEFORE_DECAY)["step"] == 21
    capsys.readouterr()
    longer = changed(config, steps=40)
    assert run(longer, tmp_path / "run")["step"] == 40
    assert "from step 21 to 40" in capsys.readouterr().out


def test_a_longer_run_that_was_stopped_goes_on_from_where_it_was_stopped(config, tmp_path, capsys):
    run(config, tmp_path / "run")
    longer = changed(config, steps=50, save_every=1)
    one = prepare(options(longer, tmp_path / "run"), ALONE)
    for step in range(21, 25):
        report, _ = one.step(step)
        one.advance(step, report, 0.0)
    one.save(LATEST)
    capsys.readouterr()
    prepare(options(longer, tmp_path / "run"), ALONE)
    assert "from step 25 to 50" in capsys.readouterr().out


def test_a_run_whose_loss_stays_not_finite_ends_with_a_sentence(config, tmp_path):
    broken = prepare(options(changed(config, stop_after_skips=4), tmp_path / "run"), ALONE)
    with torch.no_grad():
        broken.trainer.model.to_pixels[1].weight[0, 0] = math.nan
    with pytest.raises(RunStateError, match="4 steps in a row were skipped"):
        broken.train()


def test_a_good_step_ends_the_row_of_skipped_ones(config, tmp_path):
    one = prepare(options(config, tmp_path), ALONE)
    good = StepReport(0.1, 0.1, 0.0, 0.5, skipped=False)
    one.progress = RunProgress(skipped=2, skipped_in_a_row=2)
    one.advance(4, good, 1.0)
    assert (one.progress.skipped, one.progress.skipped_in_a_row) == (2, 0)
