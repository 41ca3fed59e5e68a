"""Tiny scenes and runs on them."""

import pytest

from lvsm_engine.model.config import ModelConfig
from tests.synthetic import tiny_training_config, write_ball_scenes
from tests.training.train.runs import run
from training.batches.augment import Crops, FrameJitter
from training.configs import Stage


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder with scenes in train and in val."""
    folder = tmp_path_factory.mktemp("data")
    write_ball_scenes(folder / "train", 8)
    write_ball_scenes(folder / "val", 2, seed=1)
    return folder


@pytest.fixture
def config(data):
    return tiny_training_config(data / "train", data / "val")


@pytest.fixture(scope="session")
def parallel_config(data):
    """Without Muon: its orthogonalisation makes rounding errors of small singular values large."""
    return tiny_training_config(
        data / "train",
        model=ModelConfig(width=64, blocks=2, inputs_first=True, camera_encoding="prope"),
        stages=(Stage(until=1.0, size=16),),
        steps=6,
        adamw_lr=4e-4,
        muon_lr=0.0,
        frame_jitter=FrameJitter(turn=30, scale=1.2),
        crops=Crops(zoom=(1.0, 1.3), aspect=(0.5, 2.0), offset=0.3),
    )


@pytest.fixture(scope="session")
def one_process(parallel_config, tmp_path_factory):
    """What that run ends with in one process."""
    return run(parallel_config, tmp_path_factory.mktemp("one") / "run")
