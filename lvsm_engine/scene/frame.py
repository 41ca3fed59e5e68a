"""The scene frame: the similarity that takes the world into the coordinates that a model was trained in.

It is computed from the input cameras alone, so that a moving target never shakes it. A similarity is a (4, 4) float64
matrix [[s R, t], [0, 1]] with a rotation R and a scale s > 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import CameraError
from .camera import Camera
from .subject import WEAK_DIRECTION, Subject, subject_similarity
from .subject_size import sized_subject_similarity

KINDS = ("identity", "mean_pose", "subject", "subject_size")


@dataclass(frozen=True, slots=True)
class SceneFrame:
    """Which frame a model was trained in; a part of its card.

    kind: "identity" (published, objects), "mean_pose" (published, scenes), "subject" (around what the cameras look at), or
    "subject_size" (the same, with the subject itself of one size: LaCT, objects).
    scale: of mean_pose, the factor 1.35 of the published LVSM, 1 of LaCT; of subject, the cameras' mean distance to the
    subject; of subject_size, half of the subject's longest side.
    """

    kind: str = "subject"
    scale: float = 2.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"scene frame is '{self.kind}': it must be one of {', '.join(KINDS)}.")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scene frame scale is {self.scale}: it must be positive.")


def world_to_model(
    frame: SceneFrame,
    input_cameras: Sequence[Camera],
    silhouettes: Sequence[np.ndarray] | None = None,
    subject: Subject | None = None,
) -> tuple[np.ndarray, str]:
    """The similarity (4, 4) of these inputs, and a warning ("" for none) where another than the frame's kind is taken.

    A mean pose that does not exist (one camera, or a ring that looks inward) becomes a frame around the subject.
    silhouettes: where each input shows the subject, (H, W) bool; None: not known. They tell a subject's size. subject: what
    the inputs are of, where someone names it; None: what their cameras look at.
    """
    camera_to_world = np.stack([camera.camera_to_world for camera in input_cameras])
    if frame.kind == "identity":
        return np.eye(4), ""
    if frame.kind == "subject_size":
        return sized_subject_similarity(input_cameras, frame.scale, silhouettes, subject)
    if frame.kind == "subject":
        return subject_similarity(camera_to_world, frame.scale, subject), ""
    try:
        return mean_pose_similarity(camera_to_world, frame.scale), ""
    except CameraError as error:
        # At 1 / 1.35 the cameras are as far out as the published normalisation puts the farthest one.
        fallback = subject_similarity(camera_to_world, 1 / frame.scale, subject)
        return fallback, f"{error} The subject's middle is used instead: expect a weaker picture from this model."


def poses_in_frame(similarity: np.ndarray, camera_to_world: np.ndarray) -> np.ndarray:
    """Poses (..., 4, 4) in the similarity's coordinates: positions are scaled, rotations stay rotations.

    A matrix that also stretches turns their axes into stretched ones: their rays pass the stretched points.
    """
    scale = np.cbrt(np.linalg.det(similarity[:3, :3]))
    poses = similarity @ camera_to_world
    poses[..., :3, :3] /= scale
    return poses


def mean_pose_frame(camera_to_world: np.ndarray, scale_factor: float = 1.35) -> np.ndarray:
    """The published normalisation of poses (V, 4, 4), OpenCV axes -> (V, 4, 4).

    The mean pose becomes the identity; positions are divided by scale_factor * the largest absolute coordinate.
    Raises CameraError where that is not defined: see mean_pose_similarity.
    """
    return poses_in_frame(
        mean_pose_similarity(camera_to_world, scale_factor), np.asarray(camera_to_world, dtype=np.float64)
    )


def mean_pose_similarity(camera_to_world: np.ndarray, scale_factor: float = 1.35) -> np.ndarray:
    """The similarity (4, 4) of the published normalisation: positions divided by scale_factor times the farthest.

    Raises CameraError for cameras without a mean pose: at one place, or looking inward from all sides.
    """
    poses = np.asarray(camera_to_world, dtype=np.float64)
    forward = poses[:, :3, 2].mean(axis=0)
    down = poses[:, :3, 1].mean(axis=0)
    if np.linalg.norm(forward) < WEAK_DIRECTION:
        raise CameraError("The input cameras look in opposite directions, so they have no mean pose.")
    forward = forward / np.linalg.norm(forward)
    right = np.cross(down, forward)
    if np.linalg.norm(right) < WEAK_DIRECTION:
        raise CameraError("The input cameras stand in a ring around their subject, so they have no mean pose.")
    right = right / np.linalg.norm(right)
    down = np.cross(forward, right)
    mean_pose = np.eye(4)
    mean_pose[:3] = np.stack([right, down, forward, poses[:, :3, 3].mean(axis=0)], axis=1)
    similarity = np.linalg.inv(mean_pose)
    farthest = np.abs(poses[:, :3, 3] @ similarity[:3, :3].T + similarity[:3, 3]).max()
    if farthest <= 1e-6 * max(1.0, np.abs(poses[:, :3, 3]).max()):
        raise CameraError("The input cameras stand at one place, so their distance gives no scale.")
    similarity[:3] /= scale_factor * farthest
    return similarity
