"""What a model is asked: input views, cameras to be seen from, and the truth. From objects' views and from captures.

Knows which photos are inputs and which are targets; knows no model and no score.
"""

import functools
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from lvsm_engine.errors import CaptureError
from lvsm_engine.model.config import model_size
from lvsm_engine.photos import fit_photo, load_photo, to_bytes
from lvsm_engine.scene.camera import Camera, View, camera_of
from lvsm_engine.scene.captures import Capture, find_format, load_capture
from lvsm_engine.scene.selection import angles_to, nearest_views, spread_views

from .. import protocol
from ..views.sources import read_scenes
from ..views.stored import Scene, ViewsError

Choice = Literal["nearest", "spread"]
PhotoAt = Callable[[int], tuple[np.ndarray, Camera]]

# Decoded photos that are kept: the inputs of two targets that stand beside each other are mostly the same.
PHOTOS_IN_MEMORY = 32


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """N input views, and T targets of one size with what is really to be seen there.

    name: of the question, group: of the object or capture. inputs: their photos are in memory, opaque, without distortion.
    input_images: (N, H, W, 3) float32, the same photos at the targets' size. targets: names. truth: (T, H, W, 3) float32.
    alpha: (T, H, W) float32, the subject's share, or None where nobody told it. angles: (T, N) degrees between the
    directions from which a target and an input see the subject.
    """

    name: str
    group: str
    inputs: tuple[View, ...]
    input_images: np.ndarray
    targets: tuple[str, ...]
    cameras: tuple[Camera, ...]
    truth: np.ndarray
    alpha: np.ndarray | None
    angles: np.ndarray


class Subjects(Protocol):
    """Objects or captures: whatever can be asked about."""

    def questions(self, inputs: int, only: Container[str] | None = None) -> Iterator[Question]:
        """The questions with this number of inputs, in a fixed order; only those of these names, where given."""
        ...

    def count(self) -> int | None:
        """How many questions there are, where that is known without reading them all."""
        ...

    def smallest_side(self) -> int:
        """Of all pictures that are asked for, in pixels."""
        ...

    def files(self) -> list[Path]:
        """What was read, for its hashes."""
        ...


class ObjectFolder:
    """Objects by the validation protocol (training.render --sampling protocol), at one image size.

    choice: inputs stand evenly around an object, the same for all its targets; or they are the nearest to each target, of all
    the inputs that the protocol has. limit: only the first objects. Raises ViewsError for a folder without views, or with too
    few of them.
    """

    def __init__(self, folder: Path, size: int, choice: Choice = "spread", limit: int | None = None) -> None:
        self._folder, self._size, self._choice, self._limit = folder, size, choice, limit

    def questions(self, inputs: int, only: Container[str] | None = None) -> Iterator[Question]:
        for scene in islice(read_scenes(self._folder, self._size), self._limit):
            for question in object_questions(scene, inputs, self._choice):
                if only is None or question.name in only:
                    yield question

    def count(self) -> int | None:
        files = self.files()
        each = len(protocol.TARGETS) if self._choice == "nearest" else 1
        return len(files) * each if all(path.suffix == ".npz" for path in files) else None

    def smallest_side(self) -> int:
        return self._size

    def files(self) -> list[Path]:
        single = sorted(self._folder.glob("*.npz"))[: self._limit]
        return single or sorted(self._folder.glob("*.array_record"))


def object_questions(scene: Scene, inputs: int, choice: Choice) -> Iterator[Question]:
    """The protocol's 10 targets from this number of its inputs: all at once, or each from the nearest to it.

    Raises ViewsError where the scene has too few views.
    """
    pool = protocol.input_views(protocol.MAX_INPUTS if choice == "nearest" else inputs)
    needed = max(max(pool) + 1, protocol.TARGETS.stop)
    if len(scene.images) < needed:
        raise ViewsError(
            f"{scene.name} has {len(scene.images)} views, and {inputs} inputs of the protocol need {needed}:"
            " render it again with --sampling protocol, or ask for fewer inputs."
        )
    height, width = scene.images.shape[1:3]
    cameras = [camera_of(*one, width, height) for one in zip(scene.camera_to_world, scene.fxfycxcy, strict=True)]
    targets = list(protocol.TARGETS)
    if choice == "spread":
        yield _object_question(scene, cameras, scene.name, pool, targets)
        return
    for target in targets:
        nearest = nearest_views(cameras[target], [cameras[view] for view in pool], inputs)
        yield _object_question(
            scene, cameras, f"{scene.name}/view {target}", [pool[place] for place in nearest], [target]
        )


def _object_question(
    scene: Scene, cameras: Sequence[Camera], name: str, chosen: list[int], targets: list[int]
) -> Question:
    angles = np.stack([angles_to(cameras[target], cameras) for target in targets])
    return Question(
        name=name,
        group=scene.name,
        inputs=tuple(View(cameras[view], scene.images[view], f"view {view}") for view in chosen),
        input_images=scene.images[chosen].astype(np.float32) / 255,
        targets=tuple(f"view {view}" for view in targets),
        cameras=tuple(cameras[view] for view in targets),
        truth=scene.images[targets].astype(np.float32) / 255,
        alpha=scene.alpha[targets].astype(np.float32) / 255,
        angles=angles[:, chosen],
    )


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """Which photos of a capture are targets, and which are the inputs of each.

    every: every k-th photo is a target, the first one included; targets: positions of the targets instead.
    choice: inputs are the others nearest to the target, or others spread around the subject; inputs: positions of the
    inputs of all targets instead.
    """

    every: int = 8
    targets: tuple[int, ...] = ()
    choice: Choice = "nearest"
    inputs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.every < 1:
            raise CaptureError(f"Each {self.every}th photo cannot be left out: give 1 or more.")

    def targets_of(self, capture: Capture) -> list[int]:
        """Positions in the capture's views. Raises CaptureError for one that is not there or has no photo."""
        return _checked(capture, self.targets, "target") if self.targets else _with_photo(capture)[:: self.every]

    def inputs_of(self, capture: Capture, target: int, count: int) -> list[int]:
        """Positions in the capture's views, the target left out. Raises CaptureError where there are too few."""
        if self.inputs:
            if target in self.inputs:
                raise CaptureError(
                    f"{capture.name}: the position {target} is an input and a target: make it one of them."
                )
            return _checked(capture, self.inputs, "input")
        others = [position for position in _with_photo(capture) if position != target]
        if count > len(others):
            raise CaptureError(
                f"{capture.name}: {count} inputs are asked for, and beside a target it has {len(others)}: ask for fewer."
            )
        cameras = [capture.views[position].camera for position in others]
        if self.choice == "nearest":
            return [others[i] for i in nearest_views(capture.views[target].camera, cameras, count)]
        return [others[i] for i in spread_views(cameras, count)]


class Captures:
    """Posed photos, some of which are left out to be synthesized from others.

    size: the targets have about size x size pixels, each in its photo's own shape, cut so that both sides are multiples
    of `multiple` (which then is rendered without resizing by a model of that size). background: of RGBA photos, sRGB-encoded.
    limit: only the first targets of each. Raises CaptureError or CameraError with the file.
    """

    def __init__(
        self,
        captures: dict[str, Path],
        rule: LeaveOneOut,
        size: int,
        multiple: int,
        background: tuple[float, float, float],
        limit: int | None = None,
    ) -> None:
        self._captures = {name: load_capture(path) for name, path in captures.items()}
        self._found = [find_format(path)[1].files for path in captures.values()]
        self._rule, self._size, self._multiple, self._background = rule, size, multiple, background
        self._targets = {name: rule.targets_of(capture)[:limit] for name, capture in self._captures.items()}

    def questions(self, inputs: int, only: Container[str] | None = None) -> Iterator[Question]:
        for group, capture in self._captures.items():
            photo_at = self._photos_of(capture)
            for target in self._targets[group]:
                if only is None or f"{group}/{capture.views[target].name}" in only:
                    chosen = self._rule.inputs_of(capture, target, inputs)
                    yield self._question(group, capture, target, chosen, photo_at)

    def count(self) -> int:
        return sum(map(len, self._targets.values()))

    def smallest_side(self) -> int:
        sizes = [self._size_of(self._captures[name].views[at].camera) for name, at in self._all_targets()]
        return min(map(min, sizes))

    def files(self) -> list[Path]:
        photos = [view.photo for capture in self._captures.values() for view in capture.views]
        poses = [file for files in self._found for file in files]
        return sorted({path for path in (*photos, *poses) if isinstance(path, Path) and path.is_file()})

    def _all_targets(self) -> list[tuple[str, int]]:
        return [(name, position) for name, positions in self._targets.items() for position in positions]

    def _photos_of(self, capture: Capture) -> PhotoAt:
        """Reads a position's photo (H, W, 3) uint8, opaque and undistorted, with its camera; keeps the latest."""

        @functools.lru_cache(maxsize=PHOTOS_IN_MEMORY)
        def photo_at(position: int) -> tuple[np.ndarray, Camera]:
            image, camera = load_photo(capture.views[position], self._background)
            return to_bytes(image), camera

        return photo_at

    def _size_of(self, camera: Camera) -> tuple[int, int]:
        aspect = (camera.width / camera.fx) / (camera.height / camera.fy)
        return model_size(self._size, self._multiple, aspect)

    def _question(
        self, group: str, capture: Capture, target: int, chosen: Sequence[int], photo_at: PhotoAt
    ) -> Question:
        width, height = self._size_of(capture.views[target].camera)

        def fitted(position: int) -> tuple[np.ndarray, Camera]:
            photo, camera = photo_at(position)
            return fit_photo(photo.astype(np.float32) / 255, camera, width, height)

        truth, camera = fitted(target)
        others = [position for position in _with_photo(capture) if position != target]
        angles = angles_to(camera, [capture.views[position].camera for position in others])
        names = [capture.views[position].name for position in chosen]
        photos = [photo_at(position) for position in chosen]
        return Question(
            name=f"{group}/{capture.views[target].name}",
            group=group,
            inputs=tuple(View(own, photo, name) for (photo, own), name in zip(photos, names, strict=True)),
            input_images=np.stack([fitted(position)[0] for position in chosen]),
            targets=(capture.views[target].name,),
            cameras=(camera,),
            truth=truth[None],
            alpha=None,
            angles=angles[[others.index(position) for position in chosen]][None],
        )


def _with_photo(capture: Capture) -> list[int]:
    return [position for position, view in enumerate(capture.views) if view.photo is not None]


def _checked(capture: Capture, positions: Sequence[int], role: str) -> list[int]:
    known = set(_with_photo(capture))
    for position in positions:
        if position not in known:
            raise CaptureError(
                f"{capture.name} has no photo at the position {position}, which is to be {'an' if role == 'input' else 'a'}"
                f" {role}: give positions from 0 to {len(capture.views) - 1}."
            )
    return list(positions)
