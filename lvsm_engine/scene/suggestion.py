"""Where one more photo would help a target most: as near to the photos that are there as makes the target trusted."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .camera import Camera
from .selection import nearest_view
from .subject import Subject
from .trust import LEVELS, Trust, centre_of, trust

# Shares of the way from the nearest photo's direction and from the photos' usual distance to the target's own.
SHARES = (0.0, 0.5, 0.75, 1.0)


def suggested_photo(target: Camera, cameras: Sequence[Camera], subject: Subject | None = None) -> Camera | None:
    """The camera of one more photo beside those of cameras, of which there is one at least; None where none would help.

    It has the lens of the nearest photo. Of places between that and the target the first is taken with which the target is
    trusted most: a photo on the way is easier to take than one at the target's own place, and often enough. None helps a
    target that looks away from what all photos show. subject: what someone names as theirs; None: what they look at.
    """
    best = min(_candidates(target, cameras, subject), key=lambda each: _doubt(trust(target, [*cameras, each], subject)))
    helps = _doubt(trust(target, [*cameras, best], subject)) < _doubt(trust(target, cameras, subject))
    return best if helps else None


def _doubt(found: Trust) -> tuple[int, int]:
    return LEVELS.index(found.level), len(found.reasons)


def _candidates(target: Camera, cameras: Sequence[Camera], subject: Subject | None) -> list[Camera]:
    """The least effort first."""
    centre = centre_of(cameras, subject)
    nearest = cameras[nearest_view(target, cameras, subject)]
    begin, own = nearest.position - centre, target.position - centre
    usual = float(np.median([np.linalg.norm(camera.position - centre) for camera in cameras]))
    distance = float(np.linalg.norm(own))
    if distance < 1e-6 * max(usual, 1e-9):  # at the subject itself: where it comes from is told by where it looks
        own, distance = -target.forward, usual
    aim = target.position + target.forward * max(float((centre - target.position) @ target.forward), 0.5 * distance)
    places = sorted(itertools.product((0, 1), SHARES, SHARES), key=lambda place: (sum(place), place))
    found = []
    for beside, turned, away in places:
        position = centre + _turned(begin, own, turned) * usual ** (1 - away) * distance**away
        pose = _looking(position, aim if beside else centre, target.camera_to_world[:3, 1])
        found.append(replace(nearest, camera_to_world=pose))
    return found


def _turned(begin: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """(3,) the unit vector that is a share of the way round from the direction of one vector to another's."""
    begin, end = (vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in (begin, end))
    across = end - (begin @ end) * begin
    if np.linalg.norm(across) < 1e-9:  # alike, or opposite: any way round
        across = np.cross(begin, np.eye(3)[int(np.argmin(np.abs(begin)))])
    angle = share * np.arccos(np.clip(begin @ end, -1, 1))
    return np.cos(angle) * begin + np.sin(angle) * across / np.linalg.norm(across)


def _looking(position: np.ndarray, at: np.ndarray, down: np.ndarray) -> np.ndarray:
    """The pose (4, 4), OpenCV axes, of a camera that looks from a position at a point, its y axis as far `down` as can be."""
    forward = at - position
    forward = forward / max(float(np.linalg.norm(forward)), 1e-12)
    right = np.cross(down, forward)
    if np.linalg.norm(right) < 1e-6:
        right = np.cross(np.eye(3)[int(np.argmin(np.abs(forward)))], forward)
    right = right / np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, position], axis=1)
    return pose
