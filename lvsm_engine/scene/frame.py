"""The scene frame: the similarity that takes the world into the coordinates that a model was trained in.

It is computed from the input cameras alone, so that a moving target never shakes it. A similarity is a (4, 4) float64
matrix [[s R, t], [0, 1]] with a rotation R and a scale s > 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import CameraError
from .camera import Camera

KINDS = ("identity", "mean_pose", "subject", "subject_size")

# Lengths of mean directions (of unit vectors) below this are what rounding and chance leave.
WEAK_DIRECTION = 0.05
# Optical axes fix their nearest point when the directions spread by this much (smallest eigenvalue, 0 when parallel).
MIN_SPREAD = 1e-3
# Cameras that look alike see their subject at this many times the distance between them.
PARALLEL_DEPTH = 2.0


@dataclass(frozen=True, slots=True)
class SceneFrame:
    """Which frame a model was trained in; a part of its card.

    kind: "identity" (published, objects), "mean_pose" (published, scenes), or "subject" (around what the cameras look at).
    scale: of mean_pose, the factor 1.35 of the published models; of subject, the cameras' mean distance to the subject.
    """

    kind: str = "subject"
    scale: float = 2.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"scene frame is '{self.kind}': it must be one of {', '.join(KINDS)}.")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scene frame scale is {self.scale}: it must be positive.")


def world_to_model(frame: SceneFrame, input_cameras: Sequence[Camera]) -> tuple[np.ndarray, str]:
    """The similarity (4, 4) of these inputs, and a warning ("" for none) where another than the frame's kind is taken.

    A mean pose that does not exist (one camera, or a ring that looks inward) becomes a frame around the subject.
    """
    camera_to_world = np.stack([camera.camera_to_world for camera in input_cameras])
    if frame.kind == "identity":
        return np.eye(4), ""
    if frame.kind == "subject":
        return subject_similarity(camera_to_world, frame.scale), ""
    try:
        return mean_pose_similarity(camera_to_world, frame.scale), ""
    except CameraError as error:
        # At 1 / 1.35 the cameras are as far out as the published normalisation puts the farthest one.
        fallback = subject_similarity(camera_to_world, 1 / frame.scale)
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


def subject_similarity(camera_to_world: np.ndarray, mean_distance: float) -> np.ndarray:
    """The similarity (4, 4) that puts the subject at the origin, the cameras mean_distance away, their mean up at +z.

    camera_to_world: (V, 4, 4), OpenCV axes. The subject is the point nearest to all optical axes. Defined for any
    cameras: for parallel ones the subject is taken in front of them, for a single one nearest to the world's origin.
    """
    poses = np.asarray(camera_to_world, dtype=np.float64)
    positions = poses[:, :3, 3]
    centre = _subject_centre(positions, poses[:, :3, 2])
    distance = np.linalg.norm(positions - centre, axis=1).mean()
    scale = mean_distance / distance if distance > 1e-9 * max(1.0, np.abs(positions).max()) else 1.0
    similarity = np.eye(4)
    similarity[:3, :3] = scale * _rotation_to_z(-poses[:, :3, 1].mean(axis=0))
    similarity[:3, 3] = -similarity[:3, :3] @ centre
    return similarity


def _subject_centre(positions: np.ndarray, forwards: np.ndarray) -> np.ndarray:
    """The point (3,) that cameras at positions (V, 3) looking along forwards (V, 3) have in common."""
    across = np.eye(3) - forwards[:, :, None] * forwards[:, None, :]  # (V, 3, 3)
    if np.linalg.eigvalsh(across.mean(axis=0))[0] > MIN_SPREAD:
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


def _rotation_to_z(up: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that takes `up` to +z; none where up is too short to mean anything."""
    length = np.linalg.norm(up)
    if length < WEAK_DIRECTION:
        return np.eye(3)
    x, y, z = up / length
    if z < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    axis = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0]])  # the cross product with up x z
    return np.eye(3) + axis + axis @ axis / (1 + z)
