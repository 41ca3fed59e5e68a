"""Scenes and configurations with known answers, small enough for tests."""

from pathlib import Path
from typing import Any

import numpy as np

from lvsm_engine.model.config import ModelConfig
from training.configs import DataConfig, ScheduleConfig, Source, Stage, TrainingConfig, changed


def write_ball_scenes(folder: Path, count: int, views: int = 6, size: int = 16, seed: int = 0) -> Path:
    """Balls of one colour before white, as training.procedural writes scenes, simple enough to learn at once.

    Cameras stand 2 away from the ball, around it, and look at its middle. Returns the folder.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    angles = rng.uniform(0, 2 * np.pi, (count, views))
    forward = np.stack([-np.cos(angles), -np.sin(angles), np.zeros_like(angles)], axis=-1)
    right = np.stack([-np.sin(angles), np.cos(angles), np.zeros_like(angles)], axis=-1)
    poses = np.zeros((count, views, 4, 4))
    poses[..., :3, :] = np.stack([right, np.cross(forward, right), forward, -2 * forward], axis=-1)
    poses[..., 3, 3] = 1
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    disc = (x**2 + y**2 < (0.25 * size) ** 2)[None, None, :, :, None]
    colour = rng.integers(0, 200, (count, 1, 1, 1, 3))
    images = np.broadcast_to(np.where(disc, colour, 255), (count, views, size, size, 3)).astype(np.uint8)
    fxfycxcy = np.broadcast_to(np.array([1.1 * size, 1.1 * size, size / 2, size / 2]), (count, views, 4))
    np.savez(folder / "000.npz", images=images, camera_to_world=poses, fxfycxcy=fxfycxcy)
    return folder


def tiny_training_config(data: Path, validation: Path | None = None, **options: Any) -> TrainingConfig:
    """A run of a second on scenes of balls at `data`: 8, then 16 px; options: as `changed` takes them."""
    config = TrainingConfig(
        name="tiny",
        model=ModelConfig(width=64, blocks=1, inputs_first=True, camera_encoding="proxy_point", predicted_depth=True),
        data=DataConfig(
            sources=(Source(folder=str(data)),),
            validation=None if validation is None else str(validation),
            batch=4,
            views=4,
            input_views=(1, 2),
        ),
        schedule=ScheduleConfig(stages=(Stage(until=0.5, size=8), Stage(until=1.0, size=16)), steps=30, warmup=2),
        save_every=10,
        validate_every=30,
    )
    return changed(config, **options)
