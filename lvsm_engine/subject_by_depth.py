"""The subject of cameras that look nearly the same way, as those of a flight do: their axes hardly tell how far away it is, and
their photos do."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from .detail import PhotoDetail
from .scene.camera import View
from .scene.subject import Subject, are_nearly_parallel

# So many photos are asked. One has an answer where half of what it shows lies within this factor of depth; this share of them
# must have one, and most of the answers must lie within this factor of the middle one.
ASKED, SURE_FACTOR, SURE_SHARE, AGREEING_FACTOR = 8, 2.0, 1 / 3, 1.5


def asked_photos(views: Sequence[View]) -> range:
    """The positions of the views whose photos are asked, evenly over all; none where the cameras tell enough."""
    poses = np.stack([view.camera.camera_to_world for view in views])
    return range(0, len(views), math.ceil(len(views) / ASKED)) if are_nearly_parallel(poses) else range(0)


def subject_by_depth(
    views: Sequence[View], asked: Sequence[int], detail: PhotoDetail, check: Callable[[], None]
) -> Subject | None:
    """The middle of what the photos at these positions show, as far away as about half of that lies; None where they do not tell,
    or contradict each other. asked: at least one. check: called before each of them; may raise to stop.

    Raises CaptureError, CameraError for photos that cannot be read.
    """
    near, depths, far = detail.depth_quartiles(asked, check).T
    is_sure = far < SURE_FACTOR * near
    if is_sure.mean() < SURE_SHARE:
        return None
    agrees = is_sure & (np.abs(np.log(depths / np.median(depths[is_sure]))) < math.log(AGREEING_FACTOR))
    if 2 * agrees.sum() <= is_sure.sum():
        return None
    poses = np.stack([views[position].camera.camera_to_world for position in np.array(asked)[agrees]])
    middles = poses[:, :3, 3] + depths[agrees, None] * poses[:, :3, 2]
    return Subject(tuple(np.median(middles, axis=0).tolist()))
