"""Which of a scene's objects are cameras, for the panel's list of them.

The panel is drawn ten times a second during a synthesis: what takes time in a large scene is kept until the scene changes.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bpy
from bpy.app.handlers import persistent


@dataclass(frozen=True, slots=True)
class Cameras:
    """A scene's cameras, and which of the scene's objects they are, as a list of the interface's filters it."""

    scene_uid: int
    objects: tuple[bpy.types.Object, ...]
    is_camera: tuple[bool, ...]


def places(ranks: Sequence[Any]) -> list[int]:
    """Where each item goes in a list of the interface's that is sorted by their ranks."""
    found = [0] * len(ranks)
    for place, number in enumerate(sorted(range(len(ranks)), key=ranks.__getitem__)):
        found[number] = place
    return found


class CameraList:
    """The cameras of the scene that was asked for last, as of its last change that Blender evaluated: for drawing only."""

    def __init__(self) -> None:
        self._cameras: Cameras | None = None

    def of(self, scene: bpy.types.Scene) -> Cameras:
        if self._cameras is None or self._cameras.scene_uid != scene.session_uid:
            objects = list(scene.objects)
            is_camera = tuple(item.type == "CAMERA" for item in objects)
            self._cameras = Cameras(scene.session_uid, tuple(itertools.compress(objects, is_camera)), is_camera)
        return self._cameras

    def forget(self) -> None:
        self._cameras = None


camera_list = CameraList()


@persistent
def forget_cameras(*_) -> None:
    """Objects may have come, gone or been replaced."""
    camera_list.forget()


def _handlers_of_changes() -> tuple[list, ...]:
    handlers = bpy.app.handlers
    return handlers.depsgraph_update_post, handlers.undo_post, handlers.redo_post, handlers.load_pre, handlers.load_post


def register() -> None:
    for handlers in _handlers_of_changes():
        handlers.append(forget_cameras)


def unregister() -> None:
    for handlers in _handlers_of_changes():
        handlers.remove(forget_cameras)
    camera_list.forget()
