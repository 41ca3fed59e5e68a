"""Which cameras to take: the one nearest to a target, and few that see the subject from all sides."""

from collections.abc import Sequence

import numpy as np

from .camera import Camera
from .frame import poses_in_frame, subject_similarity


def nearest_view(target: Camera, cameras: Sequence[Camera]) -> int:
    """The position in `cameras` of the one that looks at their subject most as the target does.

    The angle between the directions from which they see it; distance decides between equal angles.
    """
    return nearest_views(target, cameras, 1)[0]


def nearest_views(target: Camera, cameras: Sequence[Camera], count: int) -> list[int]:
    """At most `count` positions in `cameras`, the nearest first: those that look at their subject as the target does."""
    likeness, apart = _likeness_and_distance(target, cameras)
    return [int(position) for position in np.lexsort((apart, -likeness.round(6)))[:count]]


def photos_for(target: Camera, cameras: Sequence[Camera], count: int) -> list[int]:
    """At most `count` positions in `cameras`, the best first: those whose photos can be copied from for a target.

    They stand near it and look as it does: distance in units of the cameras' median spread, plus one minus the cosine
    between the optical axes.
    """
    poses = np.stack([camera.camera_to_world for camera in cameras])
    spread = np.median(np.linalg.norm(poses[:, :3, 3] - np.median(poses[:, :3, 3], axis=0), axis=1))
    away = np.linalg.norm(poses[:, :3, 3] - target.camera_to_world[:3, 3], axis=1)
    turned = 1 - poses[:, :3, 2] @ target.camera_to_world[:3, 2]
    unlikeness = away / spread + turned if spread > 0 else turned
    return [int(position) for position in np.argsort(unlikeness, kind="stable")[:count]]


def angles_to(target: Camera, cameras: Sequence[Camera]) -> np.ndarray:
    """(N,) degrees between the directions from which each camera and the target see the cameras' subject."""
    likeness, _ = _likeness_and_distance(target, cameras)
    return np.degrees(np.arccos(likeness.clip(-1, 1)))


def _likeness_and_distance(target: Camera, cameras: Sequence[Camera]) -> tuple[np.ndarray, np.ndarray]:
    """Of each camera to the target: cosine between their directions from the subject (N,), and the way (N,)."""
    similarity = subject_similarity(np.stack([camera.camera_to_world for camera in cameras]), 1.0)
    positions = poses_in_frame(similarity, np.stack([camera.camera_to_world for camera in (target, *cameras)]))[
        :, :3, 3
    ]
    directions = _unit(positions)
    return directions[1:] @ directions[0], np.linalg.norm(positions[1:] - positions[0], axis=1)


def spread_views(cameras: Sequence[Camera], count: int) -> list[int]:
    """At most `count` positions in `cameras`, sorted, that see their subject from directions as different as can be.

    Farthest-point selection, from the camera that sees it most as all do on average.
    """
    if len(cameras) <= count:
        return list(range(len(cameras)))
    similarity = subject_similarity(np.stack([camera.camera_to_world for camera in cameras]), 1.0)
    directions = _unit(poses_in_frame(similarity, np.stack([camera.camera_to_world for camera in cameras]))[:, :3, 3])
    chosen = [int(np.argmax(directions @ directions.mean(axis=0)))]
    while len(chosen) < count:
        nearest = (directions @ directions[chosen].T).max(axis=1)  # cosine to the nearest chosen one
        nearest[chosen] = np.inf
        chosen.append(int(np.argmin(nearest)))
    return sorted(chosen)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """(N, 3) of length 1; a vector without length stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
