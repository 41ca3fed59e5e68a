"""The subject of some cameras: the point that they look at, or one that is told, and a frame around it. Knows cameras only."""

from dataclasses import dataclass

import numpy as np

from ..errors import CameraError

# Lengths of mean directions (of unit vectors) below this are what rounding and chance leave.
WEAK_DIRECTION = 0.05
# Optical axes fix their nearest point when the directions spread by this much (smallest eigenvalue, 0 when parallel).
MIN_SPREAD = 1e-3
# How far away it is they tell well when they spread by this (10 degrees); below, photos tell it better.
SURE_SPREAD = 0.03
# Cameras that look alike see their subject at this many times the distance between them.
PARALLEL_DEPTH = 2.0


@dataclass(frozen=True, slots=True)
class Subject:
    """What photos are of, where someone names it or their depth tells: its middle, and half of its longest side, in the world's
    units; None where that is not known."""

    centre: tuple[float, float, float]
    half_side: float | None = None

    def __post_init__(self) -> None:
        half_side = 1.0 if self.half_side is None else self.half_side
        if not (np.isfinite([*self.centre, half_side]).all() and half_side > 0):
            raise CameraError(
                "The subject's place or size is no number, or its size is not above 0: move it to what the photos show, and"
                " give it that size."
            )


def subject_similarity(camera_to_world: np.ndarray, mean_distance: float, subject: Subject | None = None) -> np.ndarray:
    """The similarity (4, 4) that puts the subject at the origin, the cameras mean_distance away, their mean up at +z.

    camera_to_world: (V, 4, 4), OpenCV axes. A subject that nobody names is the point nearest to all optical axes. Defined for
    any cameras: for parallel ones it is taken in front of them, for a single one nearest to the world's origin.
    """
    poses = np.asarray(camera_to_world, dtype=np.float64)
    positions = poses[:, :3, 3]
    centre = subject_centre(poses) if subject is None else np.array(subject.centre)
    distance = np.linalg.norm(positions - centre, axis=1).mean()
    scale = mean_distance / distance if distance > 1e-9 * max(1.0, np.abs(positions).max()) else 1.0
    similarity = np.eye(4)
    similarity[:3, :3] = scale * rotation_to_z(-poses[:, :3, 1].mean(axis=0))
    similarity[:3, 3] = -similarity[:3, :3] @ centre
    return similarity


def subject_centre(camera_to_world: np.ndarray) -> np.ndarray:
    """The point (3,) that cameras (V, 4, 4), OpenCV axes, have in common: see subject_similarity."""
    positions, forwards = camera_to_world[:, :3, 3], camera_to_world[:, :3, 2]
    across = _across(forwards)
    if _spread(across) > MIN_SPREAD:
        centre = np.linalg.solve(across.sum(axis=0), np.einsum("vij,vj->i", across, positions))
        if np.median(np.einsum("vi,vi->v", centre - positions, forwards)) > 0:
            return centre
    middle, forward = positions.mean(axis=0), forwards.mean(axis=0)
    spread = np.linalg.norm(positions - middle, axis=1).max()
    length = np.linalg.norm(forward)
    if length < WEAK_DIRECTION:  # looking outward, to all sides
        return middle
    forward = forward / length
    to_origin = -middle @ forward
    is_one_place = spread < 1e-6 * max(1.0, np.abs(positions).max())
    if is_one_place:
        return middle + forward * (to_origin if to_origin > 1e-3 else 1.0)
    return middle + forward * PARALLEL_DEPTH * 2 * spread


def are_nearly_parallel(camera_to_world: np.ndarray) -> bool:
    """Whether cameras (V, 4, 4) in several places look one way, so that their axes hardly tell how far away their subject is."""
    positions, forwards = camera_to_world[:, :3, 3], camera_to_world[:, :3, 2]
    apart = np.ptp(positions, axis=0).max()
    return bool(apart > 1e-6 * max(1.0, np.abs(positions).max()) and _spread(_across(forwards)) < SURE_SPREAD)


def _across(forwards: np.ndarray) -> np.ndarray:
    """(V, 3, 3): projections onto the planes across directions (V, 3)."""
    return np.eye(3) - forwards[:, :, None] * forwards[:, None, :]


def _spread(across: np.ndarray) -> float:
    """How far the directions spread to which these planes (V, 3, 3) stand across: 0 for parallel ones, 2/3 for all."""
    return float(np.linalg.eigvalsh(across.mean(axis=0))[0])


def rotation_to_z(up: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that takes `up` to +z; none where up is too short to mean anything."""
    length = np.linalg.norm(up)
    if length < WEAK_DIRECTION:
        return np.eye(3)
    x, y, z = up / length
    if z < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    axis = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0]])  # the cross product with up x z
    return np.eye(3) + axis + axis @ axis / (1 + z)
