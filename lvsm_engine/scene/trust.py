"""How far photos can be trusted to tell what a camera sees: by angle, distance and overlap, before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .camera import Camera, project
from .selection import angles_to
from .subject import Subject, subject_centre

LEVELS = GOOD, DOUBTFUL, POOR = "good", "doubtful", "poor"
# Degrees between the directions from which the target and the nearest photo see the subject.
DOUBTFUL_ANGLE, POOR_ANGLE = 25.0, 50.0
# The target's distance to the subject, by the nearest and the furthest photo's: nearer, or further, by so many times.
DOUBTFUL_DISTANCE, POOR_DISTANCE = 2.0, 4.0
# The share of the target's frame, at the subject's distance, that any photo shows.
DOUBTFUL_OVERLAP, POOR_OVERLAP = 0.6, 0.25
POINTS_A_SIDE = 8
# The share of photos that show one subject in their frames, from which on a target is to show it, too.
AGREED = 0.8


@dataclass(frozen=True, slots=True)
class Trust:
    """level: GOOD, DOUBTFUL or POOR. reasons: what is wrong, the worst first, to follow "The camera "; none where it is good."""

    level: str
    reasons: tuple[str, ...] = ()


def trust(target: Camera, cameras: Sequence[Camera], subject: Subject | None = None) -> Trust:
    """How far the photos of cameras, of which there is one at least, can tell what a target sees.

    subject: what someone names as theirs; None: what they look at.
    """
    centre = centre_of(cameras, subject)
    angle, overlap = float(angles_to(target, cameras, subject).min()), _overlap(target, cameras, centre)
    nearer, further = _distances(target, cameras, centre)
    found = [
        (_blindness(target, cameras, centre), "does not look at what the photos show"),
        (
            _level(-overlap, -DOUBTFUL_OVERLAP, -POOR_OVERLAP),
            f"sees mostly what no photo shows ({overlap:.0%} is shown)",
        ),
        (_level(angle, DOUBTFUL_ANGLE, POOR_ANGLE), f"looks from {angle:.0f} degrees beside the nearest photo"),
        (
            _level(nearer, DOUBTFUL_DISTANCE, POOR_DISTANCE),
            f"is {nearer:.1f} times as near to the subject as any photo",
        ),
        (
            _level(further, DOUBTFUL_DISTANCE, POOR_DISTANCE),
            f"is {further:.1f} times as far from the subject as any photo",
        ),
    ]
    reasons = sorted((entry for entry in found if entry[0] > 0), key=lambda entry: -entry[0])
    return Trust(LEVELS[max(level for level, _ in found)], tuple(reason for _, reason in reasons))


def doubts(targets: Sequence[Camera], cameras: Sequence[Camera], subject: Subject | None = None) -> tuple[str, ...]:
    """A sentence where photos of cameras cannot tell what targets see, or hardly; none where they can."""
    found = [one for one in (trust(target, cameras, subject) for target in targets) if one.level != GOOD]
    if not found:
        return ()
    worst = next((one for one in found if one.level == POOR), found[0])
    what = "The picture is" if len(targets) == 1 else f"{len(found)} of {len(targets)} pictures are"
    likely = "probably" if worst.level == POOR else "perhaps"
    return (f"{what} {likely} wrong: the camera {worst.reasons[0]}.",)


def _blindness(target: Camera, cameras: Sequence[Camera], centre: np.ndarray) -> int:
    """2 where the subject that the photos share lies behind the target, 1 where beside its frame, else 0."""
    point = centre[None]
    shared = _shown_by(cameras, point).mean() >= AGREED
    if not shared or _shown_by([target], point).all():
        return 0
    return 1 if project(target, point)[1][0] > 0 else 2


def centre_of(cameras: Sequence[Camera], subject: Subject | None = None) -> np.ndarray:
    """(3,) in the world: the middle of a subject, or what cameras look at."""
    if subject is not None:
        return np.array(subject.centre)
    return subject_centre(np.stack([camera.camera_to_world for camera in cameras]))


def _shown_by(cameras: Sequence[Camera], points: np.ndarray) -> np.ndarray:
    """(V, N) whether points (N, 3) lie in the frames of V cameras; all at once, since a panel asks while a camera is moved."""
    poses = np.stack([camera.camera_to_world for camera in cameras])
    seen = (points[None] - poses[:, None, :3, 3]) @ poses[:, :3, :3]  # (V, N, 3)
    lenses = np.stack([camera.fxfycxcy for camera in cameras])[:, None]  # (V, 1, 4)
    depths = seen[..., 2:]
    pixels = lenses[..., :2] * seen[..., :2] / np.where(depths > 0, depths, 1) + lenses[..., 2:]
    sizes = np.array([[camera.width, camera.height] for camera in cameras])[:, None]
    return (depths[..., 0] > 0) & ((pixels > 0) & (pixels < sizes)).all(axis=-1)


def _level(value: float, doubtful: float, poor: float) -> int:
    return int(value > doubtful) + int(value > poor)


def _distances(target: Camera, cameras: Sequence[Camera], centre: np.ndarray) -> tuple[float, float]:
    """How many times nearer to the subject than the nearest camera the target is, and further than the furthest; 1 at least."""
    away = np.linalg.norm([camera.position - centre for camera in (target, *cameras)], axis=1)
    own, others = max(float(away[0]), 1e-6), away[1:]
    return max(1.0, float(others.min()) / own), max(1.0, own / max(float(others.max()), 1e-6))


def _overlap(target: Camera, cameras: Sequence[Camera], centre: np.ndarray) -> float:
    """The share of points all over the target's frame, as far away as the subject, that lie in any camera's frame."""
    ahead = float((centre - target.position) @ target.forward)
    depth = ahead if ahead > 0 else float(np.mean([np.linalg.norm(camera.position - centre) for camera in cameras]))
    across, down = ((np.arange(POINTS_A_SIDE) + 0.5) / POINTS_A_SIDE * side for side in (target.width, target.height))
    x, y = np.meshgrid((across - target.cx) / target.fx, (down - target.cy) / target.fy)
    points = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3) * depth
    points = points @ target.camera_to_world[:3, :3].T + target.position
    return float(_shown_by(cameras, points).any(axis=0).mean())
