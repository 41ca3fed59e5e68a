"""Camera and View: the two values that travel through the whole program.

A camera looks along +z of its own axes (OpenCV: x right, y down, z forward). The centre
of the top left pixel is at (0.5, 0.5), so an image's middle is (width / 2, height / 2).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import CameraError

# A photo's side beyond this is a mistake in a file rather than a camera (gigapixel stitches included).
MAX_SIDE = 65536
# Larger pictures are refused before they are decoded or made: no lens resolves as much, and memory is finite.
MAX_PIXELS = 300_000_000
TOO_MANY_PIXELS = f"more than the {MAX_PIXELS / 1e6:.0f} million that a picture may have"
# A picture may differ from its camera's shape by a pixel: solvers shrink and round.
SHAPE_TOLERANCE = 1.0
# How far from orthonormal a rotation may be and still count as rounding of a text file.
ROTATION_TOLERANCE = 1e-3

OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""Turns camera axes around: camera_to_world (OpenGL, Blender) @ this = camera_to_world (OpenCV), and back."""


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera at a pose.

    camera_to_world: (4, 4) float64, a rigid pose, OpenCV axes, world units.
    fx, fy, cx, cy: pixels. width, height: pixels.
    Raises CameraError for a pose or a lens that no camera can have.
    """

    camera_to_world: np.ndarray
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        pose = np.array(self.camera_to_world, dtype=np.float64)
        object.__setattr__(self, "camera_to_world", pose)
        _check_pose(pose)
        for name in ("fx", "fy", "cx", "cy"):
            value = float(getattr(self, name))
            object.__setattr__(self, name, value)
            if not np.isfinite(value) or (name in ("fx", "fy") and value <= 0):
                wanted = "a positive number of pixels" if name in ("fx", "fy") else "a number of pixels"
                raise CameraError(f"The camera's {name} is {value:g}: it must be {wanted}.")
        for name in ("width", "height"):
            value = getattr(self, name)
            if value != int(value) or not 1 <= value <= MAX_SIDE:
                raise CameraError(f"The camera's {name} is {value}: it must be a whole number from 1 to {MAX_SIDE}.")
            object.__setattr__(self, name, int(value))
        pose.flags.writeable = False

    @property
    def fxfycxcy(self) -> np.ndarray:
        """(4,) float64, pixels."""
        return np.array([self.fx, self.fy, self.cx, self.cy])

    @property
    def position(self) -> np.ndarray:
        """(3,) float64, world units."""
        return self.camera_to_world[:3, 3]

    @property
    def forward(self) -> np.ndarray:
        """(3,) unit vector of the optical axis, in the world."""
        return self.camera_to_world[:3, 2]


def _check_pose(pose: np.ndarray) -> None:
    if pose.shape != (4, 4):
        raise CameraError(f"The camera's pose has shape {pose.shape}: it must be a (4, 4) matrix, camera to world.")
    if not np.isfinite(pose).all():
        raise CameraError("The camera's pose has numbers that are not finite: solve the camera again or leave it out.")
    rotation = pose[:3, :3]
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise CameraError(
            "The camera's pose is not a rotation and a position (it is singular, scaled or mirrored):"
            " remove the scale, or solve the camera again."
        )
    if np.abs(pose[3] - [0, 0, 0, 1]).max() > ROTATION_TOLERANCE:
        raise CameraError(f"The camera's pose ends with the row {pose[3].tolist()}: it must be 0 0 0 1.")


@dataclass(frozen=True, slots=True)
class Distortion:
    """What a real lens does beside the pinhole, in OpenCV's words.

    kind: "brown" with coefficients (k1, k2, p1, p2[, k3[, k4, k5, k6]]), as cv2.undistort takes them, or
    "fisheye" with (k1, k2, k3, k4), as cv2.fisheye takes them.
    """

    kind: str
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        lengths = {"brown": (4, 5, 8), "fisheye": (4,)}
        if self.kind not in lengths or len(self.coefficients) not in lengths[self.kind]:
            raise CameraError(
                f"The lens distortion '{self.kind}' with {len(self.coefficients)} numbers is not supported:"
                " export the capture with an OpenCV (k1 k2 p1 p2) or fisheye (k1 k2 k3 k4) camera, or undistorted."
            )
        if not np.isfinite(self.coefficients).all():
            raise CameraError("The lens distortion has numbers that are not finite: solve the camera again.")


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A photo and the camera that took it.

    photo: a file; the bytes of one, as an (N,) uint8 array (PNG, JPEG, ...); or pixels, (H, W, 3 or 4) uint8. All are
    sRGB-encoded, with straight alpha. None: a camera without a photo, which can be a target only.
    camera: at the photo's own size; distortion is what its lens added (None: a pinhole).
    name: what the user calls it, for messages.
    mask: a file, its bytes (N,), or (H, W) uint8: 255 where the photo shows the subject, 0 where it is to be taken for
    transparent. Of the photo's shape, at any size. None: the whole photo counts.
    """

    camera: Camera
    photo: Path | np.ndarray | None
    name: str
    mask: Path | np.ndarray | None = None
    distortion: Distortion | None = None


def resized(camera: Camera, width: int, height: int) -> Camera:
    """The same camera for its image scaled to (width, height)."""
    across, down = width / camera.width, height / camera.height
    return replace(
        camera,
        fx=camera.fx * across,
        fy=camera.fy * down,
        cx=camera.cx * across,
        cy=camera.cy * down,
        width=width,
        height=height,
    )


def cropped(camera: Camera, left: int, top: int, width: int, height: int) -> Camera:
    """The same camera for the window of its image that starts at pixel (left, top)."""
    return replace(camera, cx=camera.cx - left, cy=camera.cy - top, width=width, height=height)


def check_picture_size(width: int, height: int) -> None:
    """Raises ValueError for more pixels than a picture may have."""
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width}x{height} pixels are {TOO_MANY_PIXELS}")


def is_of_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (width, height) are one picture's, scaled."""
    scale = size[0] / other[0]
    return abs(other[1] * scale - size[1]) <= SHAPE_TOLERANCE * max(1.0, scale)


def square_pixels(camera: Camera) -> Camera:
    """The camera of its photo resampled to fx = fy, at fx: the height follows. The same object where they are equal.

    Raises CameraError where that is higher than pictures may be.
    """
    if camera.fx == camera.fy:
        return camera
    down = camera.fx / camera.fy
    height = camera.height * down
    if not (height <= MAX_SIDE and height * camera.width <= MAX_PIXELS):
        raise CameraError(f"The camera's fx is {camera.fx:g} and its fy {camera.fy:g}: no lens is so, solve it again.")
    return replace(camera, fy=camera.fx, cy=camera.cy * down, height=max(1, round(height)))


def camera_of(camera_to_world: np.ndarray, fxfycxcy: np.ndarray, width: int, height: int) -> Camera:
    """The Camera of arrays (4, 4) and (4,)."""
    fx, fy, cx, cy = (float(value) for value in fxfycxcy)
    return Camera(camera_to_world, fx, fy, cx, cy, width, height)


def project(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World points (N, 3) -> pixels (N, 2) and depths (N,) along the optical axis.

    A point at or behind the camera (depth <= 0) gets pixels that mean nothing.
    """
    rotation, position = camera.camera_to_world[:3, :3], camera.position
    x, y, depth = ((np.asarray(points, dtype=np.float64) - position) @ rotation).T
    safe_depth = np.where(depth == 0, np.finfo(np.float64).tiny, depth)
    pixels = np.stack([camera.fx * x / safe_depth + camera.cx, camera.fy * y / safe_depth + camera.cy], axis=-1)
    return pixels, depth
