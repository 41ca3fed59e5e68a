"""What makes scenes more various than the data: each augmentation a value, all of them in one ordered list.

An augmentation's `apply` takes a scene (a batch of one) and a generator, and gives the scene that is trained on. It changes
cameras with pictures, so that known points stay where the cameras say. To add one: a class here, a field of Augmentations
and its place in `in_order`. Imports without torch, so that configurations do.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

import numpy as np
import tyro

from lvsm_engine.model.config import model_size

from ..limits import SHARE, ConfigError, Limits, check_number, check_numbers

if TYPE_CHECKING:
    from torch import Tensor

    from .scene_batch import SceneBatch

# Of red, green and blue, all orders but their own.
OTHER_ORDERS = list(itertools.permutations(range(3)))[1:]
LIMITS = {
    "zoom": Limits(1, 100),
    "aspect": Limits(0.01, 100),
    "offset": SHARE,
    "oversample": Limits(1, 64, whole=True),
    "turn": Limits(0, 180),
    "tilt": Limits(0, 180),
    "scale": Limits(1, 100),
    "shift": Limits(0, 100),
    "anisotropic_scale": Limits(1, 100),
}


class RandomStream(IntEnum):
    """What a generator draws for. No two draw the same numbers, and none is ever renumbered: batches stay what they are."""

    STEP = 1
    CROPS = 2
    FRAME_JITTER = 3
    TARGET_CROP = 4
    KEPT_TOKENS = 5
    FLIP = 6
    CHANNEL_PERMUTATION = 7


def rng_of(seed: int, number: int, stream: RandomStream) -> np.random.Generator:
    """The generator of a stream, for a scene's number (of STEP: for a step's)."""
    return np.random.default_rng((seed, number, int(stream)))


class Augmentation(Protocol):
    """One way to vary scenes. is_on: whether it changes anything."""

    stream: ClassVar[RandomStream]

    @property
    def is_on(self) -> bool: ...

    def apply(self, scene: "SceneBatch", rng: np.random.Generator) -> "SceneBatch":
        """The scene (a batch of one) as it is trained on; all that is drawn comes from rng."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Flip:
    """Scenes as they are in a mirror: the plane x = 0 of their world."""

    stream: ClassVar[RandomStream] = RandomStream.FLIP

    share: Annotated[float, tyro.conf.arg(name="")] = 0.0
    """This share of the scenes is seen in a mirror."""

    def __post_init__(self) -> None:
        check_number("--flip", self.share, SHARE)

    @property
    def is_on(self) -> bool:
        return self.share > 0

    def apply(self, scene: "SceneBatch", rng: np.random.Generator) -> "SceneBatch":
        if rng.random() >= self.share:
            return scene
        camera_to_world, fxfycxcy = flipped_cameras(scene.camera_to_world, scene.fxfycxcy, scene.images.shape[-1])
        return replace(
            scene,
            images=scene.images.flip(-1),
            alpha=scene.alpha.flip(-1),
            camera_to_world=camera_to_world,
            fxfycxcy=fxfycxcy,
        )


def flipped_cameras(camera_to_world: np.ndarray, fxfycxcy: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The cameras whose images, turned left to right, show the scene as it is in a mirror.

    camera_to_world: (..., 4, 4). fxfycxcy: (..., 4), pixels of images of this width. What stood at (x, y) stands at
    (width - x, y).
    """
    negate_x = np.array([-1.0, 1, 1, 1])
    flipped = fxfycxcy.copy()
    flipped[..., 2] = width - flipped[..., 2]
    return negate_x[:, None] * camera_to_world * negate_x, flipped


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelPermutation:
    """Scenes whose red, green and blue are in another order, the same in all views."""

    stream: ClassVar[RandomStream] = RandomStream.CHANNEL_PERMUTATION

    share: Annotated[float, tyro.conf.arg(name="")] = 0.0
    """This share of the scenes has its red, green and blue in another order, drawn for each."""

    def __post_init__(self) -> None:
        check_number("--channel-permutation", self.share, SHARE)

    @property
    def is_on(self) -> bool:
        return self.share > 0

    def apply(self, scene: "SceneBatch", rng: np.random.Generator) -> "SceneBatch":
        if rng.random() >= self.share:
            return scene
        order = list(OTHER_ORDERS[rng.integers(len(OTHER_ORDERS))])
        return replace(scene, images=scene.images[:, :, order])


@dataclass(frozen=True, kw_only=True, slots=True)
class Crops:
    """Parts of the views: other fields of view, shapes and principal points. Raises ConfigError.

    The defaults leave every view as it is.
    """

    zoom: tuple[float, float] = (1.0, 1.0)
    """The largest crop that fits is divided by this; drawn once a scene (log-uniform)."""
    aspect: tuple[float, float] = (1.0, 1.0)
    """Width over height of the images; drawn once a step (log-uniform), for all scenes alike."""
    offset: float = 0.0
    """How far a crop may leave the middle, drawn once a view: 0 not at all, 1 to the image's edge."""
    oversample: int = 1
    """Images are loaded this many times larger than the stage's size, so that a zoom up to it does not blur."""

    def __post_init__(self) -> None:
        check_numbers(self, LIMITS, "crops.")
        for name in ("zoom", "aspect"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigError(f"--crops.{name} is {low:g} to {high:g}: the larger number comes second.")

    def draw_image_size(self, rng: np.random.Generator, size: int, multiple: int) -> tuple[int, int]:
        """(width, height) of a step's images: about size * size pixels, multiples of `multiple`, of a random aspect."""
        return model_size(size, multiple, _log_uniform(rng, *self.aspect))


@dataclass(frozen=True, slots=True)
class CropTo:
    """Crops, for a step whose images have this (width, height)."""

    stream: ClassVar[RandomStream] = RandomStream.CROPS

    crops: Crops
    image_size: tuple[int, int]

    @property
    def is_on(self) -> bool:
        return self.crops != Crops()

    def apply(self, scene: "SceneBatch", rng: np.random.Generator) -> "SceneBatch":
        V, _, H, W = scene.images.shape[1:]
        boxes = draw_boxes(rng, self.crops, V, (W, H), *self.image_size)
        images, fxfycxcy = crop(scene.images[0], scene.fxfycxcy[0], boxes, *self.image_size)
        alpha = resized_boxes(scene.alpha[0][:, None], boxes, *self.image_size)[:, 0]
        return replace(scene, images=images[None], alpha=alpha[None], fxfycxcy=fxfycxcy[None])


def draw_boxes(
    rng: np.random.Generator, crops: Crops, views: int, stored: tuple[int, int], width: int, height: int
) -> np.ndarray:
    """Boxes (V, 4) of whole pixels (left, top, width, height) in images of `stored` (width, height).

    They have about the aspect of width x height (to the rounding of whole pixels, which `crop` puts into fx and fy).
    """
    zoom = _log_uniform(rng, *crops.zoom)
    pixels = min(stored[0] / width, stored[1] / height) / zoom  # stored pixels for one of the result
    box = [max(1, min(full, round(side * pixels))) for full, side in zip(stored, (width, height), strict=True)]
    free = np.array(stored) - box
    leave = rng.uniform(-crops.offset, crops.offset, (views, 2))
    corner = np.round(free / 2 * (1 + leave)).astype(int)  # (V, 2)
    return np.concatenate([corner, np.broadcast_to(box, (views, 2))], axis=1)


def crop(
    images: "Tensor", fxfycxcy: np.ndarray, boxes: np.ndarray, width: int, height: int
) -> tuple["Tensor", np.ndarray]:
    """Boxes of views, resized in linear light, and their intrinsics.

    images: (V, 3, H, W) in [0, 1], sRGB-encoded. fxfycxcy: (V, 4), pixels. boxes: (V, 4), as draw_boxes gives them.
    Returns (V, 3, height, width) and (V, 4). What stood at pixel (x, y) stands at ((x - left) * width / box's width,
    (y - top) * height / box's height).
    """
    from ..srgb import to_linear, to_srgb  # Here, since it imports torch.

    factors = np.array([width, height]) / boxes[:, 2:]  # (V, 2)
    moved = np.concatenate([fxfycxcy[:, :2] * factors, (fxfycxcy[:, 2:] - boxes[:, :2]) * factors], axis=1)
    return to_srgb(resized_boxes(to_linear(images), boxes, width, height)), moved


def resized_boxes(images: "Tensor", boxes: np.ndarray, width: int, height: int) -> "Tensor":
    """Boxes (V, 4) of images (V, C, H, W), as (V, C, height, width)."""
    import torch  # Here, so that configurations import without it.

    resized = [
        torch.nn.functional.interpolate(
            image[None, :, top : top + down, left : left + across],
            (height, width),
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )
        for image, (left, top, across, down) in zip(images, boxes, strict=True)
    ]
    return torch.cat(resized)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameJitter:
    """How far a scene may stand from its frame: degrees, a factor, and units of the frame. The defaults leave it there."""

    stream: ClassVar[RandomStream] = RandomStream.FRAME_JITTER

    turn: float = 0.0
    """Degrees about the frame's z axis, to either side."""
    tilt: float = 0.0
    """Degrees of the z axis, at most, to any side."""
    scale: float = 1.0
    """Factor by which it may grow or shrink."""
    shift: float = 0.0
    """Along each axis, to either side."""
    anisotropic_scale: float = 1.0
    """Factor by which it may grow or shrink along each axis by itself: other shapes in the same pixels."""

    def __post_init__(self) -> None:
        check_numbers(self, LIMITS, "frame_jitter.")

    @property
    def is_on(self) -> bool:
        return self != FrameJitter()

    def apply(self, scene: "SceneBatch", rng: np.random.Generator) -> "SceneBatch":
        return replace(scene, frame_jitter=self.draw(rng)[None])

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """The matrix (4, 4) that takes a scene frame's coordinates to jittered ones: a similarity but for anisotropic scales.

        With those a scene is seen along rays that are scaled as it is, so that every pixel stays; its cameras' axes are
        no longer orthogonal.
        """
        turn = math.radians(rng.uniform(-self.turn, self.turn))
        tilt = math.radians(rng.uniform(0, self.tilt))
        towards = rng.uniform(0, 2 * math.pi)
        scale = _log_uniform(rng, 1 / self.scale, self.scale)
        about_z = _rotation(np.array([0.0, 0.0, 1.0]), turn)
        leaning = _rotation(np.array([math.cos(towards), math.sin(towards), 0.0]), tilt)
        shift = rng.uniform(-self.shift, self.shift, 3)
        axes = [_log_uniform(rng, 1 / self.anisotropic_scale, self.anisotropic_scale) for _ in range(3)]
        moved = np.eye(4)
        moved[:3, :3] = scale * np.diag(axes) @ leaning @ about_z
        moved[:3, 3] = shift
        return moved


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentations:
    """How scenes are varied. The defaults leave them as they are."""

    flip: Flip = field(default_factory=Flip)
    channel_permutation: ChannelPermutation = field(default_factory=ChannelPermutation)
    crops: Crops = field(default_factory=Crops)
    frame_jitter: FrameJitter = field(default_factory=FrameJitter)

    def in_order(self, image_size: tuple[int, int]) -> list[Augmentation]:
        """Those that are on, in the order in which a scene passes them; image_size: (width, height) of the step's images."""
        ordered: list[Augmentation] = [
            self.flip,
            self.channel_permutation,
            CropTo(self.crops, image_size),
            self.frame_jitter,
        ]
        return [augmentation for augmentation in ordered if augmentation.is_on]


def augmented(scene: "SceneBatch", augmentations: Sequence[Augmentation], seed: int, number: int) -> "SceneBatch":
    """The scene with this number after all augmentations, each of which draws from a stream of its own."""
    for augmentation in augmentations:
        scene = augmentation.apply(scene, rng_of(seed, number, augmentation.stream))
    return scene


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """The rotation (3, 3) by an angle (radians) about a unit axis: Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
