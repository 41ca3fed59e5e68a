"""Small known things for tests: rings of cameras and views, models of a few thousand numbers with their card."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lvsm_engine.model.checkpoint import Model, ModelCard, build_model, save_checkpoint
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.photos import save_image
from lvsm_engine.scene.camera import Camera, View
from lvsm_engine.scene.captures import Capture, write_transforms
from lvsm_engine.scene.frame import SceneFrame
from training.configs import DataConfig, ScheduleConfig, Source, Stage, TrainingConfig, changed

# --- Models -----------------------------------------------------------------------------------------------------------

CARD = ModelCard(
    name="tiny",
    scene_frame=SceneFrame("subject", 2.0),
    resolution=32,
    input_views=(1, 4),
    field_of_view=(50.0, 50.0),
    background=(1.0, 1.0, 1.0),
    licence="GPL-3.0-or-later",
)
MODELS = {
    "full": ModelConfig(width=64, blocks=2),
    "inputs_first": ModelConfig(width=64, blocks=2, inputs_first=True, camera_encoding="proxy_point"),
    "dense": ModelConfig(width=64, blocks=2, inputs_first=True, camera_encoding="proxy_point", input_stride=4),
    "dense_targets": ModelConfig(width=64, blocks=2, inputs_first=True, camera_encoding="proxy_point", target_stride=4),
    "encoder_decoder": ModelConfig(architecture="encoder_decoder", width=64, blocks=2, encoder_blocks=1, latents=4),
    "fast_weights": ModelConfig(architecture="fast_weights", width=64, blocks=2, fast_head_width=32, fast_hidden=48),
}


def lively_model(name: str) -> Model:
    """One of MODELS, the same each time, with weights so large that its pictures differ from grey and from each other."""
    torch.manual_seed(0)
    model = build_model(MODELS[name])
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=1.2 / parameter.shape[1] ** 0.5)
    return model.eval().requires_grad_(False)


def write_tiny_model(path: Path, config: ModelConfig, **card: object) -> Path:
    """Write a model with initial weights, the same each time; what is given of the card differs from CARD."""
    torch.manual_seed(0)
    save_checkpoint(path, build_model(config), replace(CARD, **card))  # type: ignore[arg-type]
    return path


# --- Cameras and views ------------------------------------------------------------------------------------------------


def look_at(position, target=(0, 0, 0), up=(0, 0, 1)) -> np.ndarray:
    """The pose (4, 4), OpenCV axes, of a camera at a position that looks at a target."""
    forward = np.subtract(target, position) / np.linalg.norm(np.subtract(target, position))
    right = np.cross(forward, up)
    right = right / np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, position], axis=1)
    return pose


def ring_cameras(count: int, width: int = 32, height: int = 32) -> list[Camera]:
    """Cameras on a ring around the origin that look at it, square pixels."""
    angles = 2 * np.pi * np.arange(count) / count
    positions = [2.5 * np.array([np.cos(angle), np.sin(angle), 0.2]) / np.hypot(1, 0.2) for angle in angles]
    lens = (1.1 * width, 1.1 * width, width / 2, height / 2)
    return [Camera(look_at(position), *lens, width, height) for position in positions]


def ring_views(count: int, width: int = 32, height: int = 32) -> list[View]:
    """The ring's cameras with photos of noise."""
    generator = np.random.default_rng(0)
    return [
        View(camera, generator.integers(0, 256, (height, width, 3), dtype=np.uint8), f"view {number}")
        for number, camera in enumerate(ring_cameras(count, width, height))
    ]


def write_ring_capture(folder: Path, count: int, width: int, height: int) -> Path:
    """Write a ring of views as a capture: images/photo 0.png ..., and transforms.json."""
    (folder / "images").mkdir(parents=True)
    views = []
    for number, view in enumerate(ring_views(count, width, height)):
        path = folder / "images" / f"photo {number}.png"
        assert isinstance(view.photo, np.ndarray)
        save_image(path, view.photo)
        views.append(View(view.camera, path, path.name))
    write_transforms(Capture("ring", tuple(views)), folder / "transforms.json")
    return folder


# --- Training ---------------------------------------------------------------------------------------------------------


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
