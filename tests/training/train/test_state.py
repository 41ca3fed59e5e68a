"""A run on disk: what cannot be read, written or resumed stops the run with a sentence."""

import dataclasses
import io
import os
import zipfile

import pytest
import torch

from lvsm_engine.errors import LvsmError
from tests.full_disk import no_file_larger_than
from tests.training.train.runs import run
from training.configs import changed
from training.train.state import LATEST


def with_a_flipped_bit(content):
    """In the middle of the largest entry: one of a tensor's numbers."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    damaged = bytearray(content)
    damaged[largest.header_offset + largest.file_size // 2 + 100] ^= 1
    return bytes(damaged)


@pytest.mark.parametrize(
    "damage", [lambda content: content[:1000], lambda _: b"", lambda _: b"not a state", with_a_flipped_bit]
)
def test_a_state_that_cannot_be_read_stops_the_run(config, tmp_path, damage):
    run(changed(config, steps=2), tmp_path / "run")
    state = tmp_path / "run" / LATEST
    state.write_bytes(damage(state.read_bytes()))
    with pytest.raises(LvsmError, match="latest.pt: the run's state cannot be read"):
        run(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state["model"].clear(), r"does not fit its model \(the tensor '\S+' is missing\)"),
        (lambda state: state["model"].popitem(), r"does not fit its model \(the tensor '\S+' is missing\)"),
        (lambda state: state["model"].update({"a.b": torch.zeros(1)}), "does not fit its model"),
        (lambda state: state["model"].update({next(iter(state["model"])): torch.zeros(1)}), "does not fit its model"),
        (lambda state: state["optimizers"].clear(), "does not fit its model"),
        (
            lambda state: state.update(step="many"),
            r"latest.pt: the run's state cannot be read \(it holds something else",
        ),
        (lambda state: state.update(model=[1]), r"latest.pt: the run's state cannot be read \(it holds something else"),
    ],
    ids=["no tensors", "a tensor less", "a tensor more", "another shape", "no optimizers", "step", "model"],
)
def test_a_state_that_lacks_something_stops_the_run(config, tmp_path, change, words):
    run(changed(config, steps=2), tmp_path / "run")
    path = tmp_path / "run" / LATEST
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    with pytest.raises(LvsmError, match=words) as caught:
        run(config, tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_state_that_is_a_pipe_or_a_dead_link_stops_the_run(config, tmp_path):
    run(changed(config, steps=2), tmp_path / "run")
    path = tmp_path / "run" / LATEST
    path.unlink()
    path.symlink_to(tmp_path / "gone.pt")
    with pytest.raises(LvsmError, match="latest.pt: the run's state cannot be read .*No such file"):
        run(config, tmp_path / "run")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(LvsmError, match="latest.pt: .* it is a device, a pipe or a socket"):
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
