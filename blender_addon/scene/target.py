"""The camera whose picture is asked for: which it is, what its picture depends on and is made from, how far photos can tell."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import bpy
import numpy as np

from lvsm_engine.errors import LvsmError
from lvsm_engine.known_models import DEFAULT, model_called
from lvsm_engine.scene.camera import Camera
from lvsm_engine.scene.selection import (
    MAX_MODEL_VIEWS,
    PAIR,
    PHOTOS_A_TARGET,
    angles_to,
    feeding_views,
    goes_by_target,
    photos_for,
    presences,
)
from lvsm_engine.scene.subject import Subject
from lvsm_engine.scene.trust import GOOD, Trust, trust

from . import input_views, scene_cameras
from .camera_list import Cameras, camera_list


def target_camera(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The camera to be synthesized: the one chosen in the panel, else the scene's own."""
    chosen = scene.lvsm.target_camera
    return chosen if chosen is not None and _is_in(scene, chosen) else scene.camera


def _is_in(scene: bpy.types.Scene, item: bpy.types.Object) -> bool:
    """Whether an object is in a scene, which pointers to it outlive."""
    collections = {scene.collection, *scene.collection.children_recursive}
    return any(collection in collections for collection in item.users_collection)


def selected_cameras(context: bpy.types.Context) -> list[bpy.types.Object]:
    return [item for item in context.selected_objects if item.type == "CAMERA"]


def ingredients(scene: bpy.types.Scene, camera_object: bpy.types.Object | None = None) -> str:
    """A digest of what a camera's picture, the target's unless one is named, depends on: with another, it is out of date.

    Quick, for a panel: of Blender's own numbers, as it last evaluated them, and not of photos' pixels.
    """
    camera_object, settings = camera_object or target_of(scene), scene.lvsm
    parts: list[object] = [
        scene.frame_current,
        settings.model,
        settings.use_detail,
        settings.max_model_views,
        *scene_cameras.render_size(scene.render),
    ]
    parts += [_parts_of(camera_object), last_photos.digest(scene)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


class LastPhotos:
    """A digest of what pictures depend on of the photos that are used, of their cameras and their subject; made anew when they
    change."""

    def __init__(self) -> None:
        self._cameras: Cameras | None = None
        self._quick: tuple = ()
        self._digest = ""

    def digest(self, scene: bpy.types.Scene) -> str:
        cameras = camera_list.of(scene)
        used = [item for item in cameras.objects if input_views.is_input_view(item)]
        subject = input_views.subject_empty(scene)
        named = [] if subject is None else [subject.empty_display_size, *_place_of(subject)]
        # Blender tells of moved cameras, but neither of a switched photo, nor of a new frame.
        quick = scene.frame_current, *named, *((item.name, item.data.lvsm.photo.session_uid) for item in used)
        if cameras is not self._cameras or quick != self._quick:
            self._cameras, self._quick = cameras, quick
            self._digest = hashlib.sha256(repr([named, *map(_parts_of, used)]).encode()).hexdigest()
        return self._digest


last_photos = LastPhotos()


def _parts_of(camera_object: bpy.types.Object) -> list[object]:
    lens, photo = camera_object.data, camera_object.data.lvsm.photo
    numbers = lens.lens, lens.sensor_width, lens.shift_x, lens.shift_y
    return [camera_object.name, _place_of(camera_object), *numbers, photo and photo.name_full]


def _place_of(item: bpy.types.Object) -> list[float]:
    return [round(value, 5) for row in item.matrix_world for value in row]


NO_DOUBT = Trust(GOOD)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the photos can tell of the target camera's view. By the names of their cameras: angles, in degrees between the
    directions from which they and the target see the subject; those that feed the model; and those that detail comes from."""

    trust: Trust = NO_DOUBT
    angles: Mapping[str, float] = field(default_factory=dict)
    for_model: frozenset[str] = frozenset()
    for_detail: frozenset[str] = frozenset()

    @property
    def used(self) -> frozenset[str]:
        return self.for_model | self.for_detail


class LastOutlook:
    """The outlook of the scene that was asked for last, looked at anew when a picture would be another one."""

    def __init__(self) -> None:
        self._of, self.shown = "", Outlook()
        self._photos_of: tuple | None = None
        self._cameras: dict[str, Camera] = {}

    def now(self, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, made_of: str) -> Outlook:
        """Of a scene that has a target camera and photos, by its ingredients. A camera that is none is the button's to tell."""
        if made_of != self._of:
            self._of, self.shown = made_of, self._look(scene, depsgraph)
        return self.shown

    def forget(self) -> Outlook:
        """Of a scene that has no target camera, or no photos."""
        self._of, self.shown = "", Outlook()
        return self.shown

    def _look(self, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> Outlook:
        try:
            target = scene_cameras.camera_from_blender(target_of(scene), depsgraph)
            cameras = self.photo_cameras(scene, depsgraph)
            subject = input_views.named_subject(scene, depsgraph)
            return _outlook(target, cameras, scene.lvsm, subject) if cameras else Outlook()
        except (LvsmError, np.linalg.LinAlgError):
            return Outlook()

    def photo_cameras(self, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> dict[str, Camera]:
        """By their names, with Blender's own lenses, which are as good here as the calibrations that photos have. Raises
        CameraError.

        Kept until one moves: the target is what someone moves about, and 200 cameras take 20 ms.
        """
        made_of = scene_cameras.render_size(scene.render), last_photos.digest(scene)
        if made_of != self._photos_of:
            used = (item for item in camera_list.of(scene).objects if input_views.is_input_view(item))
            self._cameras = {item.name: scene_cameras.camera_from_blender(item, depsgraph) for item in used}
            self._photos_of = made_of
        return self._cameras


last_outlook = LastOutlook()


def _outlook(
    target: Camera,
    photos: Mapping[str, Camera],
    settings: "input_views.LVSM_SceneSettings",
    subject: Subject | None,
) -> Outlook:
    names = sorted(photos)  # as the engine gets them
    cameras = [photos[name] for name in names]
    near = presences(target, cameras, PHOTOS_A_TARGET) if settings.use_detail else {}
    return Outlook(
        trust(target, cameras, subject),
        dict(zip(names, angles_to(target, cameras, subject).tolist(), strict=True)),
        frozenset(names[position] for position in _feeding(target, cameras, settings, subject)),
        frozenset(names[position] for position in near),
    )


def _feeding(
    target: Camera,
    cameras: Sequence[Camera],
    settings: "input_views.LVSM_SceneSettings",
    subject: Subject | None,
) -> list[int]:
    """The positions of the photos that feed the model. Of a file that nobody knows, as of one that takes what there is."""
    known, most = model_called(settings.model or DEFAULT), settings.max_model_views or None
    trained = known.photos[1] if known is not None else MAX_MODEL_VIEWS
    if goes_by_target(len(cameras), trained, most):
        return photos_for(target, cameras, PAIR)
    return feeding_views(cameras, trained, most, subject)


def what_comes_next(scene: bpy.types.Scene) -> str:
    """What the button will make of a scene that has a target camera, for a person."""
    width, height, _, _ = scene_cameras.render_size(scene.render)
    return f"{target_of(scene).name}, {width} x {height} px, frame {scene.frame_current}"


def target_of(scene: bpy.types.Scene) -> bpy.types.Object:
    camera_object = target_camera(scene)
    assert camera_object is not None, "there is an obstacle"
    return camera_object
