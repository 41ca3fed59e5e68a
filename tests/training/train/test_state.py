"""A run on disk: what cannot be read, written or resumed stops the run with a sentence."""

import dataclasses

import pytest

from lvsm_engine.errors import LvsmError
from tests.full_disk import no_file_larger_than
from tests.training.train.runs import run
from training.configs import changed
from training.train.state import LATEST


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda _: b"", lambda _: b"not a state"])
def test_a_state_that_cannot_be_read_stops_the_run(config, tmp_path, damage):
    run(changed(config, steps=2), tmp_path / "run")
    state = tmp_path / "run" / LATEST
    state.write_bytes(damage(state.read_bytes()))
    with pytest.raises(LvsmError, match="latest.pt: the run's state cannot be read"):
        run(config, tmp_path / "run")


def test_a_state_without_its_configuration_stops_the_run(config, tmp_path):
    run(changed(config, steps=2), tmp_path / "run")
    (tmp_path / "run" / "config.json").unlink()
    with pytest.raises(LvsmError, match="config.json: the configuration of the run cannot be read"):
        run(config, tmp_path / "run")


def test_a_run_is_resumed_with_its_own_configuration_alone(config, tmp_path):
    run(changed(config, steps=2), tmp_path / "run")
    wider = changed(config, model=dataclasses.replace(config.model, width=128))
    with pytest.raises(LvsmError, match="was started with model.width 64, and 128 is asked for"):
        run(wider, tmp_path / "run")
    run(changed(config, steps=3, save_every=1, validation=None), tmp_path / "run")


def test_a_full_disk_is_told_and_the_former_state_stays(config, tmp_path):
    run(changed(config, steps=2), tmp_path / "run")
    before = (tmp_path / "run" / LATEST).read_bytes()
    told = pytest.raises(LvsmError, match=r"latest.pt: the run's state cannot be written \(File too large\)")
    with no_file_larger_than(len(before) // 2), told:
        run(config, tmp_path / "run")
    assert (tmp_path / "run" / LATEST).read_bytes() == before
