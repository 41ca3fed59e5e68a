"""A tiny run on tiny scenes."""

import pytest
import torch

from tests.synthetic import tiny_training_config, write_ball_scenes


@pytest.fixture
def config(tmp_path):
    for name in ("train", "val"):
        write_ball_scenes(tmp_path / name, 4)
    return tiny_training_config(tmp_path / "train", tmp_path / "val")


@pytest.fixture(autouse=True)
def one_thread():
    """Two of them wait for each other at every operation, and time is short here."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
