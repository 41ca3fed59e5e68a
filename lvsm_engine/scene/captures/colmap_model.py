"""What COLMAP's files hold, however they are written: cameras, images, points, rigs and frames.

COLMAP's conventions (colmap.github.io/format.html, cameras.html): poses are cam_from_world with OpenCV axes, seven
numbers QW QX QY QZ TX TY TZ; the corner of the first pixel is (0, 0). Knows no files.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import CaptureError
from ..camera import Distortion

POSE_NUMBERS = 7
# What rounding in text files may change in a pose.
POSE_TOLERANCE = 1e-3

# The parameters of each camera model, whose place in this table is its number in binary files. A fisheye's first angle
# is COLMAP's "k" or "k1".
CAMERA_MODELS: dict[str, tuple[str, ...]] = {
    name: tuple(parameters.split())
    for name, parameters in {
        "SIMPLE_PINHOLE": "f cx cy",
        "PINHOLE": "fx fy cx cy",
        "SIMPLE_RADIAL": "f cx cy k1",
        "RADIAL": "f cx cy k1 k2",
        "OPENCV": "fx fy cx cy k1 k2 p1 p2",
        "OPENCV_FISHEYE": "fx fy cx cy k1 k2 k3 k4",
        "FULL_OPENCV": "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6",
        "FOV": "fx fy cx cy omega",
        "SIMPLE_RADIAL_FISHEYE": "f cx cy k1",
        "RADIAL_FISHEYE": "f cx cy k1 k2",
        "THIN_PRISM_FISHEYE": "fx fy cx cy k1 k2 p1 p2 k3 k4 sx1 sy1",
        "RAD_TAN_THIN_PRISM_FISHEYE": "fx fy cx cy k0 k1 k2 k3 k4 k5 p0 p1 s0 s1 s2 s3",
        "SIMPLE_DIVISION": "f cx cy k",
        "DIVISION": "fx fy cx cy k",
        "SIMPLE_FISHEYE": "f cx cy",
        "FISHEYE": "fx fy cx cy",
        "EUCM": "fx fy cx cy alpha beta",
        "EQUIRECTANGULAR": "w h",
    }.items()
}
_PINHOLES = ("SIMPLE_PINHOLE", "PINHOLE")
_BROWN = ("SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV")
_FISHEYES = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_FISHEYE", "FISHEYE")


@dataclass(frozen=True, slots=True)
class ColmapCamera:
    """A lens. model: one of CAMERA_MODELS, or a name that is not known here. parameters: pixels, and numbers."""

    model: str
    width: int
    height: int
    parameters: tuple[float, ...]

    def __post_init__(self) -> None:
        wanted = CAMERA_MODELS.get(self.model)
        if wanted is not None and len(wanted) != len(self.parameters):
            raise ValueError(
                f"a camera {self.model} with {len(self.parameters)} parameters, where {len(wanted)} are wanted"
            )


@dataclass(frozen=True, slots=True, eq=False)
class ColmapImage:
    """A photo. name: bytes that are no UTF-8 are kept as surrogates. cam_from_world: (4, 4)."""

    name: str
    camera_id: int
    cam_from_world: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class ColmapFrame:
    """What a rig took at one time. rig_from_world: (4, 4). images: (camera_id, image_id) of each photo."""

    rig_id: int
    rig_from_world: np.ndarray
    images: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class ColmapModel:
    """A model's files. points: (N, 3). rigs: by rig_id, then camera_id: sensor_from_rig (4, 4), None where unknown.

    Without frames, as before COLMAP 3.12, images' own poses count. warnings: sentences.
    """

    cameras: dict[int, ColmapCamera]
    images: dict[int, ColmapImage]
    points: np.ndarray
    rigs: dict[int, dict[int, np.ndarray | None]] = field(default_factory=dict)
    frames: dict[int, ColmapFrame] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def add_once(entries: dict[int, Any], identifier: int, entry: Any) -> None:
    """Raises ValueError for an identifier that is there already."""
    if identifier in entries:
        raise ValueError(f"the number {identifier} comes twice")
    entries[identifier] = entry


def pose_matrix(numbers: Sequence[float]) -> np.ndarray:
    """(4, 4) of QW QX QY QZ TX TY TZ; the quaternion may have any length but 0. Raises ValueError."""
    if not np.isfinite(numbers).all():
        raise ValueError("a pose with numbers that are not finite")
    length = math.hypot(*numbers[:4])
    if length == 0:
        raise ValueError("a pose whose quaternion QW QX QY QZ has no direction")
    w, x, y, z = (number / length for number in numbers[:4])
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = numbers[4:]
    return matrix


def pose_numbers(matrix: np.ndarray) -> list[float]:
    """QW QX QY QZ TX TY TZ of a rigid (4, 4), QW not negative: the inverse of pose_matrix."""
    (a, b, c), (d, e, f), (g, h, i) = matrix[:3, :3].tolist()
    # Each row is the quaternion times one of its own numbers: the one with the largest is the most exact.
    rows = [
        [1 + a + e + i, h - f, c - g, d - b],
        [h - f, 1 + a - e - i, b + d, c + g],
        [c - g, b + d, 1 - a + e - i, f + h],
        [d - b, c + g, f + h, 1 - a - e + i],
    ]
    largest = max(range(4), key=lambda number: rows[number][number])
    length = math.copysign(math.hypot(*rows[largest]), rows[largest][0])
    return [*(number / length for number in rows[largest]), *matrix[:3, 3].tolist()]


def poses_of(model: ColmapModel) -> dict[int, np.ndarray]:
    """cam_from_world (4, 4) of each image, by image_id: its frame's where there are frames, else its own.

    An image of a camera whose place on its rig is not known has no pose, and is left out. Raises CaptureError for an
    image that no frame holds.
    """
    if not model.frames:
        return {image_id: image.cam_from_world for image_id, image in model.images.items()}
    poses, known = {}, set()
    for frame in model.frames.values():
        rig = model.rigs.get(frame.rig_id)
        for camera_id, image_id in frame.images:
            known.add(image_id)
            if rig is None or camera_id not in rig:
                raise CaptureError(
                    f"frames: the rig {frame.rig_id} with the camera {camera_id} is not among the rigs: export the model"
                    " again."
                )
            sensor_from_rig = rig[camera_id]
            if sensor_from_rig is not None and image_id in model.images:
                poses[image_id] = sensor_from_rig @ frame.rig_from_world
    lost = next((image.name for image_id, image in model.images.items() if image_id not in known), None)
    if lost is not None:
        raise CaptureError(
            f"frames: none holds the image {lost}: export the model again, or remove its rigs and frames files, if its"
            " images file is newer."
        )
    return poses


def differing_poses(model: ColmapModel, poses: dict[int, np.ndarray]) -> list[str]:
    """The names of the images whose own pose is another than their frame's."""
    return [
        model.images[number].name
        for number, pose in poses.items()
        if not np.allclose(pose, model.images[number].cam_from_world, rtol=POSE_TOLERANCE, atol=POSE_TOLERANCE)
    ]


def lens_of(camera: ColmapCamera) -> tuple[np.ndarray, Distortion | None]:
    """fx, fy, cx, cy (4,) in pixels, and the distortion in OpenCV's words. Raises CaptureError for other models."""
    if camera.model not in (*_PINHOLES, *_BROWN, *_FISHEYES):
        raise CaptureError(
            f"the camera model {camera.model} is not supported: export as OPENCV, OPENCV_FISHEYE or PINHOLE."
        )
    values = dict(zip(CAMERA_MODELS[camera.model], camera.parameters, strict=True))
    focal = values.get("f", 0.0)
    fxfycxcy = np.array([values.get("fx", focal), values.get("fy", focal), values["cx"], values["cy"]])

    def coefficients(names: str) -> tuple[float, ...]:
        return tuple(values.get(name, 0.0) for name in names.split())

    if camera.model in _FISHEYES:
        return fxfycxcy, Distortion("fisheye", coefficients("k1 k2 k3 k4"))
    brown = coefficients("k1 k2 p1 p2 k3 k4 k5 k6" if camera.model == "FULL_OPENCV" else "k1 k2 p1 p2")
    return fxfycxcy, Distortion("brown", brown) if any(brown) else None
