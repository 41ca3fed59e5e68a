"""The render engine's passes: which a view layer has, and their pixels from what the engine of LVSM answers."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import bpy
import numpy as np

from lvsm_engine.scene.camera import Camera
from lvsm_engine.scene.srgb import to_linear
from lvsm_engine.worker.client import PASSES

from .mist import MistSettings, mist_of

# Blender's depth of what is nowhere.
NO_DEPTH = 1e10
# What is as good as transparent: its colour cannot be told.
LEAST_ALPHA = 1 / 255


@dataclass(frozen=True)
class Pass:
    """A pass as Blender registers it."""

    name: str
    channels: str
    kind: str


COMBINED = Pass("Combined", "RGBA", "COLOR")
DEPTH = Pass("Depth", "Z", "VALUE")
MIST = Pass("Mist", "Z", "VALUE")
CONFIDENCE = Pass("Confidence", "X", "VALUE")
NEAREST_PHOTO = Pass("Nearest Photo", "X", "VALUE")


@dataclass(frozen=True, slots=True)
class Film:
    """How a scene wants its passes: whether Blender is to see through what is not there, and the world's mist."""

    is_transparent: bool
    mist: MistSettings

    @classmethod
    def of(cls, scene: bpy.types.Scene) -> "Film":
        world = scene.world.mist_settings if scene.world is not None else None
        mist = MistSettings() if world is None else MistSettings(world.start, world.depth, world.falloff)
        return cls(scene.render.film_transparent, mist)


class LVSM_ViewLayerSettings(bpy.types.PropertyGroup):
    use_pass_confidence: bpy.props.BoolProperty(
        name="Confidence",
        description="How far each pixel is known from the photos: 1 where they agree, 0 where the model guesses",
        default=False,
    )
    use_pass_nearest_photo: bpy.props.BoolProperty(
        name="Nearest Photo",
        description="The number of the photo that each pixel's color is mostly of, 1 the first by the names of the cameras"
        " whose photos are used: 0 where the model guesses, or nothing is there",
        default=False,
    )


def passes_of(view_layer: bpy.types.ViewLayer, also: Collection[Pass] = ()) -> list[Pass]:
    """The passes that a view layer asks for, and these."""
    asked = (
        (COMBINED, True),
        (DEPTH, view_layer.use_pass_z),
        (MIST, view_layer.use_pass_mist),
        (CONFIDENCE, view_layer.lvsm.use_pass_confidence),
        (NEAREST_PHOTO, view_layer.lvsm.use_pass_nearest_photo),
    )
    return [entry for entry, is_asked in asked if is_asked or entry in also]


def pixels_of(entry: Pass, picture: dict[str, np.ndarray], camera: Camera, film: Film) -> np.ndarray:
    """A pass's pixels (H, W, channels) float32, from the top.

    picture: images (H, W, 3), laid over background (3,); depths, confidences, alphas and main_photos (H, W) where they are
    known: without them nothing is near, and all is guessed and opaque. camera: which sees it.
    """
    image = picture["images"]
    alpha = picture.get("alphas", np.ones(image.shape[:2], np.float32))
    depth = np.where(alpha > LEAST_ALPHA, picture.get("depths", np.float32(NO_DEPTH)), np.float32(NO_DEPTH))
    if entry is DEPTH:
        return depth[..., None]
    if entry is MIST:
        return mist_of(depth, alpha, camera, film.mist)[..., None]
    if entry is CONFIDENCE:
        return picture.get("confidences", np.zeros_like(alpha))[..., None]
    if entry is NEAREST_PHOTO:
        return picture.get("main_photos", np.zeros_like(alpha))[..., None]
    if film.is_transparent:
        return _premultiplied(image, alpha, picture["background"])
    return np.dstack([scene_linear(image), np.ones_like(alpha)])


def of_each_camera(result: dict) -> Iterator[dict[str, np.ndarray]]:
    """What the engine answered for T cameras, one camera after the other."""
    arrays = {name: result[name] for name in ("images", *PASSES) if name in result}
    background = np.array(result["background"], np.float32)
    for number in range(len(result["images"])):
        yield {"background": background, **{name: array[number] for name, array in arrays.items()}}


def scene_linear(image: np.ndarray) -> np.ndarray:
    """sRGB-encoded [0, 1] -> scene-linear float32, which the Standard view transform takes back to the same bytes."""
    return to_linear(np.asarray(image, np.float32)).astype(np.float32, copy=False)


def _premultiplied(image: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The picture without the background that it was laid over, as Blender keeps it: linear, times its alpha. (H, W, 4)."""
    opacity = alpha[..., None]
    colour = (background + (image - background) / np.maximum(opacity, LEAST_ALPHA)).clip(0, 1)
    return np.concatenate([scene_linear(colour) * opacity, opacity], axis=-1)


def register():
    bpy.utils.register_class(LVSM_ViewLayerSettings)
    bpy.types.ViewLayer.lvsm = bpy.props.PointerProperty(type=LVSM_ViewLayerSettings)


def unregister():
    del bpy.types.ViewLayer.lvsm
    bpy.utils.unregister_class(LVSM_ViewLayerSettings)
