"""Weights in parts: together they are the file again, and what is missing or damaged is told."""

import os

import pytest

from training.card.weights import WeightsError, join_weights, split_weights


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(os.urandom(2500))
    return path


def test_parts_are_small_and_become_the_file_again(file, tmp_path):
    parts = split_weights(file, tmp_path, 300, part_bytes=1000)
    assert [part.stat().st_size for part in parts] == [1000, 1000, 500]
    assert join_weights(tmp_path, tmp_path / "joined") == 300
    assert (tmp_path / "joined").read_bytes() == file.read_bytes()


def test_later_weights_take_the_place_of_earlier_ones(file, tmp_path):
    split_weights(file, tmp_path, 300, part_bytes=1000)
    file.write_bytes(b"better")
    parts = split_weights(file, tmp_path, 400)
    assert sorted(tmp_path.glob("weights.*")) == parts
    assert join_weights(tmp_path, tmp_path / "joined") == 400


def test_where_the_later_ones_are_not_whole_the_earlier_are_taken(file, tmp_path):
    later, folder = split_weights(file, tmp_path, 400, part_bytes=1000), tmp_path / "earlier"
    folder.mkdir()
    file.write_bytes(b"earlier")
    split_weights(file, folder, 300)
    for part in later[:2]:
        part.rename(folder / part.name)
    assert join_weights(folder, tmp_path / "joined") == 300


def test_none_are_no_weights(tmp_path):
    assert join_weights(tmp_path / "nothing", tmp_path / "joined") is None


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_parts_that_make_no_file_are_told(file, tmp_path, harm):
    part = split_weights(file, tmp_path, 300, part_bytes=1000)[1]
    if harm == "missing":
        part.unlink()
    else:
        part.write_bytes(bytes(1000))
    with pytest.raises(WeightsError, match="parts of the weights are missing or damaged: bring all of them again"):
        join_weights(tmp_path, tmp_path / "joined")
