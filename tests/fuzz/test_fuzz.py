"""Some of `make fuzz`, and that it sees what must not be."""

import os
import time
from pathlib import Path

import pytest

from lvsm_engine.errors import CaptureError
from tests.fuzz.targets import TARGETS, Attack
from tests.fuzz.trial import Trials

INPUTS = {"kills": 2, "message_fields": 100}


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_is_read_or_refused_in_a_sentence(name):
    trials = Trials(TARGETS[name])
    outcomes = {seed: trials.run(seed) for seed in range(10_000, 10_000 + INPUTS.get(name, 200))}
    trials.close()
    assert {seed: outcome.fault for seed, outcome in outcomes.items() if outcome.fault is not None} == {}
    assert name == "kills" or any(outcome.is_refused for outcome in outcomes.values())


def good(_: Path) -> Attack:
    return lambda rng: None


def refuses(_: Path) -> Attack:
    def attack(rng):
        raise CaptureError("a.png is missing: locate it.")

    return attack


def mumbles(_: Path) -> Attack:
    def attack(rng):
        raise CaptureError("[PosixPath('a')]")

    return attack


def fails(_: Path) -> Attack:
    return lambda rng: {}["nothing"]


def dies(_: Path) -> Attack:
    return lambda rng: os._exit(3)


def hangs(_: Path) -> Attack:
    return lambda rng: time.sleep(1000)


def gorges(_: Path) -> Attack:
    return lambda rng: len(b"x" * (2 * 10**9 + 10**8))


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        (mumbles, "no sentence"),
        (fails, "KeyError: 'nothing'"),
        (dies, "the process ended with status 3"),
        (hangs, "no end within 3 s"),
        (gorges, "2.1 GB"),
    ],
)
def test_a_fault_is_seen_and_the_next_input_is_tried(target, fault):
    trials = Trials(target, max_wait=3) if target is hangs else Trials(target)
    for seed in range(2):
        assert fault in str(trials.run(seed).fault)
    trials.close()


@pytest.mark.parametrize(("target", "is_refused"), [(good, False), (refuses, True)])
def test_what_is_read_or_refused_is_no_fault(target, is_refused):
    trials = Trials(target)
    outcome = trials.run(0)
    trials.close()
    assert (outcome.is_refused, outcome.fault) == (is_refused, None)
