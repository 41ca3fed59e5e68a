"""Which cameras to take: the one nearest to a target, and few that see the subject from all sides.

Everywhere `subject` is what someone names as the cameras' subject; None: what they look at.
"""

from collections.abc import Sequence

import numpy as np

from .camera import Camera
from .frame import poses_in_frame
from .subject import Subject, subject_similarity

# More photos than these, or than it was trained with, cost the model memory and time sooner than they improve its picture; detail
# is what the others are for.
MAX_MODEL_VIEWS = 8
# A model that was trained on so many photos, between which its targets stood, gets no more of them: those nearest to each target.
PAIR = 2
# Photos that serve a target's detail: more of them stand further away, and blur it.
PHOTOS_A_TARGET = 6


def nearest_view(target: Camera, cameras: Sequence[Camera], subject: Subject | None = None) -> int:
    """The position in `cameras` of the one that looks at their subject most as the target does.

    The angle between the directions from which they see it; distance decides between equal angles.
    """
    return nearest_views(target, cameras, 1, subject)[0]


def nearest_views(target: Camera, cameras: Sequence[Camera], count: int, subject: Subject | None = None) -> list[int]:
    """At most `count` positions in `cameras`, the nearest first: those that look at their subject as the target does."""
    likeness, apart = _likeness_and_distance(target, cameras, subject)
    return [int(position) for position in np.lexsort((apart, -likeness.round(6)))[:count]]


# A photo fades out over the last share of the way to where it is no longer chosen.
FADING = 0.25


def photos_for(target: Camera, cameras: Sequence[Camera], count: int) -> list[int]:
    """At most `count` positions in `cameras`, the best first: those whose photos can be copied from for a target."""
    return [int(position) for position in np.argsort(_unlikeness(target, cameras), kind="stable")[:count]]


def presences(target: Camera, cameras: Sequence[Camera], count: int) -> dict[int, float]:
    """How far each of the photos_for a target counts, in (0, 1], best first: 1 near it, 0 where the next one would be chosen.

    A function of the target alone that has no jumps: as it moves, photos fade in and out.
    """
    unlike = _unlikeness(target, cameras)
    chosen = photos_for(target, cameras, count)
    if len(cameras) <= count:
        return dict.fromkeys(chosen, 1.0)
    gone = np.sort(unlike)[count]
    present = np.clip((gone - unlike[chosen]) / max(FADING * gone, 1e-9), 0, 1)
    return {position: float(share) for position, share in zip(chosen, present, strict=True) if share > 0 or gone == 0}


def goes_by_target(count: int, trained: int, most: int | None = None) -> bool:
    """Whether the photos that feed a model are the PAIR nearest to each target, and not some of all around.

    count: of all photos. trained: how many the model was trained with, at most. most: how many it may get, None: by itself.
    """
    return trained == PAIR and most is None and count > PAIR


def feeding_views(
    cameras: Sequence[Camera], trained: int, most: int | None = None, subject: Subject | None = None
) -> list[int]:
    """The positions of the photos that feed a model that does not go_by_target: see there."""
    return spread_views(cameras, most or max(MAX_MODEL_VIEWS, trained), subject)


def photos_beside(
    position: int, cameras: Sequence[Camera], count: int, narrow: float, subject: Subject | None = None
) -> list[int]:
    """At most `count` other positions in `cameras`, the best first: those beside whose photos one's depth can be told.

    They are like it; but those that stand nearer to it, or to one already taken, than `narrow` times the distance to their
    subject come last: without a baseline nothing tells depth.
    """
    places = np.stack([camera.camera_to_world for camera in cameras])
    places = poses_in_frame(subject_similarity(places, 1.0, subject), places)[:, :3, 3]
    taken: list[int] = []
    late: list[int] = []
    for other in photos_for(cameras[position], cameras, len(cameras)):
        if other == position:
            continue
        apart = np.linalg.norm(places[[position, *taken]] - places[other], axis=1).min()
        (late if apart < narrow else taken).append(other)
        if len(taken) == count:
            break
    return [*taken, *late][:count]


def _unlikeness(target: Camera, cameras: Sequence[Camera]) -> np.ndarray:
    """(N,), of the photos of cameras to a target's: distance in units of the cameras' median spread, plus one minus the
    cosine between the optical axes."""
    poses = np.stack([camera.camera_to_world for camera in cameras])
    spread = np.median(np.linalg.norm(poses[:, :3, 3] - np.median(poses[:, :3, 3], axis=0), axis=1))
    away = np.linalg.norm(poses[:, :3, 3] - target.camera_to_world[:3, 3], axis=1)
    turned = 1 - poses[:, :3, 2] @ target.camera_to_world[:3, 2]
    return away / spread + turned if spread > 0 else turned


def angles_to(target: Camera, cameras: Sequence[Camera], subject: Subject | None = None) -> np.ndarray:
    """(N,) degrees between the directions from which each camera and the target see the cameras' subject."""
    likeness, _ = _likeness_and_distance(target, cameras, subject)
    return np.degrees(np.arccos(likeness.clip(-1, 1)))


def _likeness_and_distance(
    target: Camera, cameras: Sequence[Camera], subject: Subject | None
) -> tuple[np.ndarray, np.ndarray]:
    """Of each camera to the target: cosine between their directions from the subject (N,), and the way (N,)."""
    similarity = subject_similarity(np.stack([camera.camera_to_world for camera in cameras]), 1.0, subject)
    positions = poses_in_frame(similarity, np.stack([camera.camera_to_world for camera in (target, *cameras)]))[
        :, :3, 3
    ]
    directions = _unit(positions)
    return directions[1:] @ directions[0], np.linalg.norm(positions[1:] - positions[0], axis=1)


def spread_views(cameras: Sequence[Camera], count: int, subject: Subject | None = None) -> list[int]:
    """At most `count` positions in `cameras`, sorted, that see their subject from directions as different as can be.

    Farthest-point selection, from the camera that sees it most as all do on average.
    """
    if len(cameras) <= count:
        return list(range(len(cameras)))
    similarity = subject_similarity(np.stack([camera.camera_to_world for camera in cameras]), 1.0, subject)
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
