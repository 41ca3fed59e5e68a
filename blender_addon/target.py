"""The camera whose picture is asked for: which it is, what its picture depends on, how far photos can tell of it."""

import hashlib

import bpy
import numpy as np

from lvsm_engine.errors import LvsmError
from lvsm_engine.scene.trust import GOOD, Trust, trust

from . import input_views, scene_cameras
from .camera_list import camera_list


def target_camera(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The camera to be synthesized: the one chosen in the panel, else the scene's own."""
    chosen = scene.lvsm.target_camera
    return chosen if chosen is not None and _is_in(scene, chosen) else scene.camera


def _is_in(scene: bpy.types.Scene, item: bpy.types.Object) -> bool:
    """Whether an object is in a scene, which pointers to it outlive."""
    collections = {scene.collection, *scene.collection.children_recursive}
    return any(collection in collections for collection in item.users_collection)


def ingredients(scene: bpy.types.Scene) -> str:
    """A digest of what the target camera's picture depends on: with another one, the picture is out of date.

    Quick, for a panel: of Blender's own numbers, as it last evaluated them, and not of photos' pixels.
    """
    camera_object, settings = target_of(scene), scene.lvsm
    parts: list[object] = [
        scene.frame_current,
        settings.model,
        settings.use_detail,
        *scene_cameras.render_size(scene.render),
    ]
    parts += [_parts_of(camera_object), ingredients_of_photos(scene)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def ingredients_of_photos(scene: bpy.types.Scene) -> list[list[object]]:
    """What pictures depend on of the photos that are used, and of their cameras."""
    return [_parts_of(item) for item in camera_list.of(scene).objects if input_views.is_input_view(item)]


def _parts_of(camera_object: bpy.types.Object) -> list[object]:
    lens, photo = camera_object.data, camera_object.data.lvsm.photo
    place = [round(value, 5) for row in camera_object.matrix_world for value in row]
    numbers = lens.lens, lens.sensor_width, lens.shift_x, lens.shift_y
    return [camera_object.name, place, *numbers, photo and photo.name_full]


class LastTrust:
    """How far the photos can tell what the target camera sees; looked at anew when a picture would be another one."""

    def __init__(self) -> None:
        self._of, self._trust = "", Trust(GOOD)

    def now(self, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, made_of: str) -> Trust:
        """Of a scene that has a target camera and photos, by its ingredients. A camera that is none is the button's to tell."""
        if made_of != self._of:
            self._of, self._trust = made_of, _trust_of(scene, depsgraph)
        return self._trust


last_trust = LastTrust()


def _trust_of(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> Trust:
    """By Blender's own lenses, which are as good here as the calibrations that photos have."""
    used = (item for item in camera_list.of(scene).objects if input_views.is_input_view(item))
    try:
        cameras = [scene_cameras.camera_from_blender(item, depsgraph) for item in (target_of(scene), *used)]
        return trust(cameras[0], cameras[1:]) if len(cameras) > 1 else Trust(GOOD)
    except (LvsmError, np.linalg.LinAlgError):
        return Trust(GOOD)


def what_comes_next(scene: bpy.types.Scene) -> str:
    """What the button will make of a scene that has a target camera, for a person."""
    width, height, _, _ = scene_cameras.render_size(scene.render)
    return f"{target_of(scene).name}, {width} x {height} px, frame {scene.frame_current}"


def target_of(scene: bpy.types.Scene) -> bpy.types.Object:
    camera_object = target_camera(scene)
    assert camera_object is not None, "there is an obstacle"
    return camera_object
