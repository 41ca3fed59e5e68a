"""Scenes of the photos nearest to each target: for models that were trained on two photos, between which the target stood.

More photos than that a model has never seen at once, and two that are spread over a capture show little of any one view.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Protocol, TypeVar

import numpy as np

from .detail import Passes
from .errors import CameraError
from .progress import Cancel, OnProgress
from .scene.camera import Camera
from .scene.selection import photos_for

# Encodings kept: as many as a target has neighbours that it may come back to.
KEPT = 8

Result = TypeVar("Result")


class EncodedScene(Protocol):
    """Photos that were taken in, ready to be seen from anywhere: a synthesizer.Scene, or NearestScenes.

    warnings: sentences about the input views and about the last render.
    """

    warnings: tuple[str, ...]

    def render(
        self, cameras: Sequence[Camera], on_progress: OnProgress | None = None, cancel: Cancel | None = None
    ) -> np.ndarray: ...

    def render_detail(
        self, cameras: Sequence[Camera], on_progress: OnProgress | None = None, cancel: Cancel | None = None
    ) -> Passes: ...


Encode = Callable[[tuple[int, ...], OnProgress | None, Cancel | None], EncodedScene]


def common_size(cameras: Sequence[Camera]) -> tuple[int, int]:
    """Width and height of cameras. Raises CameraError where there are none, or several sizes."""
    if not cameras:
        raise CameraError("There is no camera to render: choose at least one.")
    sizes = {(camera.width, camera.height) for camera in cameras}
    if len(sizes) > 1:
        raise CameraError(f"The cameras have {len(sizes)} sizes: render those of one size at a time.")
    return sizes.pop()


class NearestScenes:
    """Sees like a Scene. encode: makes the scene that photos at these positions of all feed, in the order of positions.

    warnings: sentences about the input views and about the last render.
    """

    def __init__(self, encode: Encode, photo_cameras: Sequence[Camera], count: int) -> None:
        self._encode, self._photo_cameras, self._count = encode, photo_cameras, count
        self._scenes: OrderedDict[tuple[int, ...], EncodedScene] = OrderedDict()
        self.warnings: tuple[str, ...] = ()

    def render(
        self, cameras: Sequence[Camera], on_progress: OnProgress | None = None, cancel: Cancel | None = None
    ) -> np.ndarray:
        """What cameras of one size see: Scene.render."""

        def render(scene: EncodedScene, some: Sequence[Camera]) -> list[np.ndarray]:
            return list(scene.render(some, on_progress, cancel))

        images: list[np.ndarray] = self._of_each(cameras, render, on_progress, cancel)
        return np.stack(images)

    def render_detail(
        self, cameras: Sequence[Camera], on_progress: OnProgress | None = None, cancel: Cancel | None = None
    ) -> Passes:
        """The same sharpened by the photos nearest to each camera: Scene.render_detail."""

        def render(scene: EncodedScene, some: Sequence[Camera]) -> list[tuple]:
            passes = scene.render_detail(some, on_progress, cancel)
            return list(zip(*(getattr(passes, field.name) for field in fields(Passes)), strict=True))

        columns = zip(*self._of_each(cameras, render, on_progress, cancel), strict=True)
        return Passes(*(np.stack(column) for column in columns))

    def _of_each(
        self,
        cameras: Sequence[Camera],
        render: Callable[[EncodedScene, Sequence[Camera]], list[Result]],
        on_progress: OnProgress | None,
        cancel: Cancel | None,
    ) -> list[Result]:
        """What each camera's own scene gives, in the cameras' order."""
        common_size(cameras)
        groups: dict[tuple[int, ...], list[int]] = {}
        for number, camera in enumerate(cameras):
            nearest = tuple(sorted(photos_for(camera, self._photo_cameras, self._count)))
            groups.setdefault(nearest, []).append(number)
        found: dict[int, Result] = {}
        warnings: list[str] = []
        for nearest, numbers in groups.items():
            scene = self._scene(nearest, on_progress, cancel)
            found |= zip(numbers, render(scene, [cameras[number] for number in numbers]), strict=True)
            warnings += scene.warnings
        self.warnings = tuple(dict.fromkeys(warnings))
        return [found[number] for number in range(len(cameras))]

    def _scene(self, nearest: tuple[int, ...], on_progress: OnProgress | None, cancel: Cancel | None) -> EncodedScene:
        if nearest not in self._scenes:
            self._scenes[nearest] = self._encode(nearest, on_progress, cancel)
            while len(self._scenes) > KEPT:
                self._scenes.popitem(last=False)
        self._scenes.move_to_end(nearest)
        return self._scenes[nearest]
