"""What makes batches more various than their data: crops, windows, mirrors, other colours, a jitter of the scene frame.

Pure functions of a rng and arrays. A crop moves the camera's intrinsics exactly with the pixels; a jitter moves a
whole scene, so that what is seen stays the same. Knows nothing of models or files.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lvsm_engine.model.config import model_size

from ..srgb import to_linear, to_srgb

# One window of a target in so many is not aimed at the subject.
ANYWHERE = 8
# Of red, green and blue, all orders but their own.
OTHER_ORDERS = list(itertools.permutations(range(3)))[1:]


@dataclass(frozen=True, kw_only=True, slots=True)
class Crops:
    """Windows of the views: other fields of view, shapes and principal points. Raises ValueError.

    The defaults leave every view as it is.
    """

    zoom: tuple[float, float] = (1.0, 1.0)
    """The largest window that fits is divided by this; drawn once a scene (log-uniform)."""
    aspect: tuple[float, float] = (1.0, 1.0)
    """Width over height of the images; drawn once a step (log-uniform), for all scenes alike."""
    offset: float = 0.0
    """How far a window may leave the middle, drawn once a view: 0 not at all, 1 to the image's edge."""
    oversample: int = 1
    """Images are loaded this many times larger than the stage's size, so that a zoom up to it does not blur."""

    def __post_init__(self) -> None:
        for name in ("zoom", "aspect"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"crops.{name} is {low:g} to {high:g}: it must go from a positive number upward.")
        if self.zoom[0] < 1 or not 0 <= self.offset <= 1 or self.oversample < 1:
            raise ValueError("crops: zoom and oversample must be at least 1, and offset must lie from 0 to 1.")

    @property
    def is_on(self) -> bool:
        """Whether they change anything."""
        return self != Crops()


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameJitter:
    """How far a scene may stand from its frame: degrees, a factor, and units of the frame. The defaults leave it there."""

    turn: float = 0.0
    """Degrees about the frame's z axis, to either side."""
    tilt: float = 0.0
    """Degrees of the z axis, at most, to any side."""
    scale: float = 1.0
    """Factor by which it may grow or shrink."""
    shift: float = 0.0
    """Along each axis, to either side."""
    stretch: float = 1.0
    """Factor by which it may grow or shrink along each axis by itself: other shapes in the same pixels."""

    def __post_init__(self) -> None:
        if min(self.scale, self.stretch) < 1 or min(self.turn, self.tilt, self.shift) < 0:
            raise ValueError(
                "frame_jitter: scale and stretch must be at least 1, and turn, tilt and shift must not be negative."
            )

    @property
    def is_on(self) -> bool:
        """Whether it changes anything."""
        return self != FrameJitter()


def mirrored(camera_to_world: np.ndarray, fxfycxcy: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The cameras whose images, turned left to right, show the scene as it is in a mirror: the plane x = 0 of its world.

    camera_to_world: (V, 4, 4). fxfycxcy: (V, 4), pixels of images of this width. What stood at (x, y) stands at
    (width - x, y).
    """
    flip = np.array([-1.0, 1, 1, 1])
    lenses = fxfycxcy.copy()
    lenses[:, 2] = width - lenses[:, 2]
    return flip[:, None] * camera_to_world * flip, lenses


def draw_order_of_channels(rng: np.random.Generator) -> list[int]:
    """The channels of an image in another order than their own."""
    return list(OTHER_ORDERS[rng.integers(len(OTHER_ORDERS))])


def draw_image_size(rng: np.random.Generator, crops: Crops, size: int, multiple: int) -> tuple[int, int]:
    """(width, height) of a step's images: about size * size pixels, multiples of `multiple`, of a random aspect."""
    return model_size(size, multiple, _log_uniform(rng, *crops.aspect))


def crop_size(image_size: tuple[int, int], share: float, multiple: int) -> tuple[int, int]:
    """Pixels (width, height) of a window that takes this share of each of an image's sides: multiples of `multiple`."""
    width, height = (max(multiple, round(share * side / multiple) * multiple) for side in image_size)
    return width, height


def draw_windows(
    rng: np.random.Generator, crops: Crops, views: int, stored: tuple[int, int], width: int, height: int
) -> np.ndarray:
    """Windows (V, 4) of whole pixels (left, top, width, height) in images of `stored` (width, height).

    They have about the aspect of width x height (to the rounding of whole pixels, which `crop` puts into fx and fy).
    """
    zoom = _log_uniform(rng, *crops.zoom)
    pixels = min(stored[0] / width, stored[1] / height) / zoom  # stored pixels for one of the result
    window = [max(1, min(full, round(side * pixels))) for full, side in zip(stored, (width, height), strict=True)]
    free = np.array(stored) - window
    leave = rng.uniform(-crops.offset, crops.offset, (views, 2))
    corner = np.round(free / 2 * (1 + leave)).astype(int)  # (V, 2)
    return np.concatenate([corner, np.broadcast_to(window, (views, 2))], axis=1)


def crop(
    images: Tensor, fxfycxcy: np.ndarray, windows: np.ndarray, width: int, height: int
) -> tuple[Tensor, np.ndarray]:
    """Windows of views, resized in linear light, and their intrinsics.

    images: (V, 3, H, W) in [0, 1], sRGB-encoded. fxfycxcy: (V, 4), pixels. windows: (V, 4), as draw_windows gives them.
    Returns (V, 3, height, width) and (V, 4). What stood at pixel (x, y) stands at ((x - left) * width / window's width,
    (y - top) * height / window's height).
    """
    factors = np.array([width, height]) / windows[:, 2:]  # (V, 2)
    lenses = np.concatenate([fxfycxcy[:, :2] * factors, (fxfycxcy[:, 2:] - windows[:, :2]) * factors], axis=1)
    return to_srgb(resized_windows(to_linear(images), windows, width, height)), lenses


def resized_windows(images: Tensor, windows: np.ndarray, width: int, height: int) -> Tensor:
    """Windows (V, 4) of images (V, C, H, W), as (V, C, height, width)."""
    cut = []
    for image, (left, top, across, down) in zip(images, windows, strict=True):
        window = image[None, :, top : top + down, left : left + across]
        cut.append(
            torch.nn.functional.interpolate(
                window, (height, width), mode="bilinear", antialias=True, align_corners=False
            )
        )
    return torch.cat(cut)


def draw_target_corners(rng: np.random.Generator, alpha: np.ndarray, width: int, height: int) -> np.ndarray:
    """Corners (T, 2), as (left, top), of windows of width x height pixels in views (T, H, W) whose alpha tells the subject.

    The middle of a window is a random pixel of the subject, as far as the image's edges let it; one window in
    ANYWHERE, and that of an empty view, lies anywhere.
    """
    most = np.array([alpha.shape[2] - width, alpha.shape[1] - height])  # the last corner from which a window fits
    corners = []
    for view in alpha:
        rows, columns = np.nonzero(view > 0)
        if len(rows) == 0 or rng.integers(ANYWHERE) == 0:
            corners.append(rng.integers(0, most + 1))
        else:
            pixel = rng.integers(len(rows))
            middle = np.array([columns[pixel], rows[pixel]])
            corners.append(np.clip(middle - (width // 2, height // 2), 0, most))
    return np.stack(corners)


def draw_jitter(rng: np.random.Generator, jitter: FrameJitter) -> np.ndarray:
    """The matrix (4, 4) that takes a scene frame's coordinates to jittered ones: a similarity unless they are stretched.

    What is stretched is seen along stretched rays, so that every pixel stays; its cameras' axes are no longer orthogonal.
    """
    turn = math.radians(rng.uniform(-jitter.turn, jitter.turn))
    tilt = math.radians(rng.uniform(0, jitter.tilt))
    towards = rng.uniform(0, 2 * math.pi)
    scale = _log_uniform(rng, 1 / jitter.scale, jitter.scale)
    about_z = _rotation(np.array([0.0, 0.0, 1.0]), turn)
    leaning = _rotation(np.array([math.cos(towards), math.sin(towards), 0.0]), tilt)
    shift = rng.uniform(-jitter.shift, jitter.shift, 3)
    stretch = [_log_uniform(rng, 1 / jitter.stretch, jitter.stretch) for _ in range(3)]
    moved = np.eye(4)
    moved[:3, :3] = scale * np.diag(stretch) @ leaning @ about_z
    moved[:3, 3] = shift
    return moved


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """The rotation (3, 3) by an angle (radians) about a unit axis: Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
