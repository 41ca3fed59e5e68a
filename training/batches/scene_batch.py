"""SceneBatch: scenes with as many views each, as tensors, in the coordinates of their own worlds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..views.stored import Scene


@dataclass(frozen=True, slots=True, eq=False)
class SceneBatch:
    """B scenes with V views each.

    images: (B, V, 3, H, W) float32 in [0, 1], sRGB-encoded, over white. alpha: (B, V, H, W) float32, the subject's share.
    camera_to_world: (B, V, 4, 4) and fxfycxcy (B, V, 4), float64; OpenCV axes, pixels of these images.
    frame_jitter: (B, 4, 4) float64, what moves each scene once it stands in its frame; None: nothing.
    """

    names: tuple[str, ...]
    images: Tensor
    alpha: Tensor
    camera_to_world: np.ndarray
    fxfycxcy: np.ndarray
    frame_jitter: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StackedScenes:
    """The same before it is torch's, as processes hand it on: images (B, V, S, S, 3) and alpha (B, V, S, S) uint8."""

    names: tuple[str, ...]
    images: np.ndarray
    alpha: np.ndarray
    camera_to_world: np.ndarray
    fxfycxcy: np.ndarray


def stacked(scenes: Sequence[Scene]) -> StackedScenes:
    """Scenes of as many views each, one after the other."""
    return StackedScenes(
        names=tuple(scene.name for scene in scenes),
        images=np.stack([scene.images for scene in scenes]),
        alpha=np.stack([scene.alpha for scene in scenes]),
        camera_to_world=np.stack([scene.camera_to_world for scene in scenes]),
        fxfycxcy=np.stack([scene.fxfycxcy for scene in scenes]),
    )


def as_tensors(scenes: StackedScenes) -> SceneBatch:
    """The batch that these scenes make."""
    images = torch.from_numpy(scenes.images)  # (B, V, S, S, 3)
    return SceneBatch(
        names=scenes.names,
        images=images.movedim(-1, 2).float() / 255,
        alpha=torch.from_numpy(scenes.alpha).float() / 255,
        camera_to_world=scenes.camera_to_world,
        fxfycxcy=scenes.fxfycxcy,
    )


def scene_batch(scenes: Sequence[Scene]) -> SceneBatch:
    """Scenes of as many views each as a batch."""
    return as_tensors(stacked(scenes))


def concatenated(batches: Sequence[SceneBatch]) -> SceneBatch:
    """Batches of as many views each as one; either all or none have a frame_jitter."""
    jitters = [batch.frame_jitter for batch in batches if batch.frame_jitter is not None]
    return SceneBatch(
        names=tuple(name for batch in batches for name in batch.names),
        images=torch.cat([batch.images for batch in batches]),
        alpha=torch.cat([batch.alpha for batch in batches]),
        camera_to_world=np.concatenate([batch.camera_to_world for batch in batches]),
        fxfycxcy=np.concatenate([batch.fxfycxcy for batch in batches]),
        frame_jitter=np.concatenate(jitters) if jitters else None,
    )
