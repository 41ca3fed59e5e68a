"""A frame in which the subject itself has a known size: by its silhouettes, else by lenses and distances.

For models that were trained on subjects of one size, whose photos may come from any lens. numpy only.
"""

from collections.abc import Sequence

import numpy as np

from .camera import Camera, project
from .subject import Subject, subject_centre, subject_similarity

# The share of half the picture that a subject fills whose silhouette is not known.
USUAL_FILL = 0.7
# Silhouettes from fewer sides leave its depth open.
MIN_SILHOUETTES = 3
# Points a side of the grid that is carved: first around where the subject should be, then around what was left.
GRID = 48
# Half of the first grid, in the subject's guessed half sides: it may be twice as large, and stand beside its place.
FIRST_REACH = 3.0
# A point is of the subject where this share of the pictures that show it say so, and half of all show it.
AGREEMENT, MIN_SEEN = 0.95, 0.5
# What silhouettes leave is larger than the subject: of boxes seen from 8 to 24 sides by this (measured, 1.01 to 1.12).
HULL_EXCESS = 1.05
# What is left of a subject that is seen from too few sides is longer than any silhouette by more than this factor.
MAX_DEPTH_OVER_SILHOUETTE = 1.25
# Angles about the vertical among which the subject's own sides are looked for.
TURNS = np.radians(np.arange(0, 90, 5))

DISAGREEMENT = (
    "The photos' cut-outs do not agree on where the subject is, so its size is guessed: check the masks, or solve the cameras"
    " again."
)


def sized_subject_similarity(
    cameras: Sequence[Camera],
    half_side: float,
    silhouettes: Sequence[np.ndarray] | None,
    subject: Subject | None = None,
) -> tuple[np.ndarray, str]:
    """The similarity (4, 4) in which half of the subject's longest side is half_side, its middle the origin, mean up +z.

    silhouettes: where each camera's picture shows the subject, (H, W) bool of the camera's size; None: not known. Also
    a warning ("" for none) where they do not agree. A subject whose size is told is taken as it is.
    """
    poses = np.stack([camera.camera_to_world for camera in cameras])
    if subject is not None and subject.half_side is not None:
        away = np.linalg.norm(poses[:, :3, 3] - subject.centre, axis=1).mean()
        return subject_similarity(poses, half_side * away / subject.half_side, subject), ""
    tangents = _half_sides_seen(cameras, silhouettes)
    positions = _positions(subject_similarity(poses, 1.0, subject), cameras)
    seen = tangents * np.linalg.norm(positions, axis=1)  # half sides, where the mean distance is 1
    guess = subject_similarity(poses, half_side / float(seen.mean()), subject)
    if silhouettes is None or sum(map(np.any, silhouettes)) < MIN_SILHOUETTES:
        return guess, ""
    box = _carved_box(cameras, silhouettes, guess, half_side)
    if box is None:
        return guess, DISAGREEMENT
    middle, found = box
    if found > MAX_DEPTH_OVER_SILHOUETTE * half_side * seen.max() / seen.mean():
        return guess, ""
    scale = half_side * HULL_EXCESS / found
    to_box = np.diag([scale, scale, scale, 1.0])
    to_box[:3, 3] = -scale * middle
    return to_box @ guess, ""


def guessed_subject(cameras: Sequence[Camera]) -> Subject:
    """What cameras look at, as large as usual subjects are in their pictures."""
    centre = subject_centre(np.stack([camera.camera_to_world for camera in cameras]))
    away = np.linalg.norm([camera.position - centre for camera in cameras], axis=1)
    return Subject(tuple(centre.tolist()), max(float((_half_sides_seen(cameras, None) * away).mean()), 1e-6))


def _half_sides_seen(cameras: Sequence[Camera], silhouettes: Sequence[np.ndarray] | None) -> np.ndarray:
    """(V,), of each camera's picture the longer half side of the subject, at distance 1."""
    halves = np.array([[camera.width / camera.fx, camera.height / camera.fy] for camera in cameras]) / 2
    usual = USUAL_FILL * halves.min(axis=1)
    if silhouettes is None or not any(map(np.any, silhouettes)):
        return usual
    seen = [
        max(np.ptp(np.nonzero(mask.any(axis=0))) / camera.fx, np.ptp(np.nonzero(mask.any(axis=1))) / camera.fy) / 2
        if mask.any()
        else np.nan
        for camera, mask in zip(cameras, silhouettes, strict=True)
    ]
    return np.where(np.isnan(seen), np.nanmean(seen), seen)


def _carved_box(
    cameras: Sequence[Camera], silhouettes: Sequence[np.ndarray], similarity: np.ndarray, half_side: float
) -> tuple[np.ndarray, float] | None:
    """Middle (3,) and longest half side of what the silhouettes leave, in the similarity's coordinates; None: nothing."""
    low, high = np.full(3, -FIRST_REACH * half_side), np.full(3, FIRST_REACH * half_side)
    for _ in range(2):
        steps = (high - low) / GRID
        axes = [
            np.linspace(*ends, GRID, endpoint=False) for ends in zip(low + steps / 2, high + steps / 2, strict=True)
        ]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        left = points[_is_of_subject(points, cameras, silhouettes, similarity)]
        if not len(left):
            return None
        low, high = left.min(axis=0) - steps, left.max(axis=0) + steps
    return _box(left, steps)


def _is_of_subject(
    points: np.ndarray, cameras: Sequence[Camera], silhouettes: Sequence[np.ndarray], similarity: np.ndarray
) -> np.ndarray:
    """(N,) bool, of points (N, 3) in the similarity's coordinates."""
    to_world = np.linalg.inv(similarity)
    world = points @ to_world[:3, :3].T + to_world[:3, 3]
    shown, inside = np.zeros((2, len(points)), int)
    told = [(camera, mask) for camera, mask in zip(cameras, silhouettes, strict=True) if mask.any()]
    for camera, mask in told:
        pixels, depths = project(camera, world)
        columns, rows = np.floor(pixels.clip(-1, 2**20)).astype(int).T
        is_shown = (depths > 0) & (columns >= 0) & (rows >= 0) & (columns < mask.shape[1]) & (rows < mask.shape[0])
        shown += is_shown
        inside[is_shown] += mask[rows[is_shown], columns[is_shown]]
    return (shown >= MIN_SEEN * len(told)) & (inside >= AGREEMENT * shown)


def _box(points: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, float]:
    """Middle and longest half side of the upright box of points (N, 3) a step apart, turned to the least footprint."""
    boxes = []
    for angle in TURNS:
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        turned = points @ turn
        low, high = turned.min(axis=0) - steps / 2, turned.max(axis=0) + steps / 2
        boxes.append((float(np.prod((high - low)[:2])), turn @ (low + high) / 2, float((high - low).max()) / 2))
    _, middle, half_side = min(boxes, key=lambda box: box[0])
    return middle, half_side


def _positions(similarity: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    return np.stack([similarity[:3, :3] @ camera.position + similarity[:3, 3] for camera in cameras])
