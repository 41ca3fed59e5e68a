"""Cameras as a photographer holds them, in numpy. Knows where the subject is, and how far a camera may go.

A viewpoint is a camera_to_world (4, 4) float64 with OpenCV axes; fields of view are in degrees, horizontal.
"""

from dataclasses import dataclass

import numpy as np

from ..render.cameras import look_at, on_sphere

FIELDS_OF_VIEW = (28.0, 70.0)
ROLL = 2.5  # Degrees, standard deviation.


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What is photographed: a ball. middle: (3,); radius: of about all of it."""

    middle: np.ndarray
    radius: float


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Where cameras may be: between two corners (3,)."""

    low: np.ndarray
    high: np.ndarray

    def clamp(self, position: np.ndarray) -> np.ndarray:
        return np.clip(position, self.low, self.high)


def hand_held_arc(
    rng: np.random.Generator, subject: Subject, bounds: Bounds, views: int
) -> tuple[np.ndarray, np.ndarray]:
    """Around the subject, a part of a circle or all of it, at about one height: poses (V, 4, 4) and fields of view (V,)."""
    fields = _fields_of_view(rng, views)
    start, span = rng.uniform(0, 360), rng.choice([rng.uniform(50, 180), 360.0])
    steps = (np.arange(views) + rng.uniform(-0.4, 0.4, size=views)) / views
    elevation, closeness = rng.uniform(2, 45), rng.uniform(0.9, 1.7)
    poses = []
    for step, field in zip(steps, fields, strict=True):
        distance = closeness * subject.radius / np.sin(np.radians(field) / 2) * rng.uniform(0.93, 1.07)
        offset = on_sphere(elevation + rng.normal(scale=2.5), start + span * step, distance)
        poses.append(_held(rng, bounds.clamp(subject.middle + offset), subject))
    return np.stack(poses), fields


def walk(rng: np.random.Generator, subject: Subject, bounds: Bounds, views: int) -> tuple[np.ndarray, np.ndarray]:
    """Along a bowed path at eye height, the subject in view: poses (V, 4, 4) and fields of view (V,)."""
    fields = _fields_of_view(rng, views)
    reach = rng.uniform(2.0, 3.5) * subject.radius / np.sin(np.radians(fields.mean()) / 2)
    turn = rng.uniform(0, 360)
    ends = [on_sphere(0, turn + side * rng.uniform(25, 80), reach * rng.uniform(0.5, 1.0)) for side in (-1, 1)]
    bow = on_sphere(0, turn, reach * rng.uniform(0.5, 1.2))
    height = subject.middle[2] + subject.radius * rng.uniform(0.2, 1.4)
    poses = []
    for step in (np.arange(views) + rng.uniform(-0.3, 0.3, size=views)) / max(views - 1, 1):
        position = (1 - step) ** 2 * ends[0] + 2 * step * (1 - step) * bow + step**2 * ends[1] + subject.middle
        position[2] = height + rng.normal(scale=0.05) * subject.radius
        poses.append(_held(rng, bounds.clamp(position), subject))
    return np.stack(poses), fields


def square_fxfycxcy(fields_of_view: np.ndarray, size: int) -> np.ndarray:
    """fxfycxcy (V, 4) float64 of square images of `size` pixels."""
    focal = size / 2 / np.tan(np.radians(fields_of_view) / 2)
    middle = np.full_like(focal, size / 2)
    return np.stack([focal, focal, middle, middle], axis=-1)


def _fields_of_view(rng: np.random.Generator, views: int) -> np.ndarray:
    """One lens for all views, or, in a quarter of all scenes, a zoom."""
    low, high = FIELDS_OF_VIEW
    middle = rng.uniform(low, high)
    if rng.uniform() < 0.25:
        return np.clip(middle * rng.uniform(0.8, 1.25, size=views), low, high)
    return np.full(views, middle)


def _held(rng: np.random.Generator, position: np.ndarray, subject: Subject) -> np.ndarray:
    """Aimed at about the subject's middle, and not quite level."""
    pose = look_at(position, subject.middle + rng.normal(scale=0.12 * subject.radius, size=3))
    roll = np.radians(rng.normal(scale=ROLL))
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]
    return pose @ turn
