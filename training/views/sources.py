"""Where scenes come from: a folder of .npz views, a folder of shards, a posed capture, or procedural ones, all read alike.

    source = open_source(path, size=64)
    source.read(scene=3, views=np.array([0, 5]))      # Scene at 64 px, decoded or from memory

Knows which views a scene has without reading them. Knows nothing of batches and odds.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
import torch

from lvsm_engine.errors import CameraError, CaptureError
from lvsm_engine.photos import WHITE, fit_photo, load_photo, to_bytes
from lvsm_engine.scene.camera import View
from lvsm_engine.scene.captures import find_format, load_capture

from ..procedural import KINDS, ImageFolder, TextureError, procedural_scene
from .shards.folder import Shards, shard_files
from .stored import (
    Scene,
    ViewsError,
    at_size,
    check_divisor,
    read_file,
    scene_names,
    stored_shape,
    view_files,
)

# A pixel in memory: three codes and alpha.
BYTES_PER_PIXEL = 4

PROCEDURAL = "procedural"
PROCEDURAL_SCENES = 2**20
PROCEDURAL_VIEWS = 32


class SceneSource(Protocol):
    """Scenes at one image size. names: of the scenes. views: (N,) how many each has.

    needs_memory: whether all its views are kept in memory once they are read; shards can do without.
    """

    views: np.ndarray
    needs_memory: bool

    @property
    def names(self) -> Sequence[str]: ...

    def load(self) -> None:
        """Read all that is kept in memory, so that damage shows at once. Raises ViewsError."""

    def read(self, scene: int, views: np.ndarray) -> Scene:
        """These views of a scene, in this order. Raises ViewsError."""


def open_source(path: Path, size: int) -> SceneSource:
    """The scenes at a path, at size x size pixels. Raises ViewsError for one that holds none, or none of that size.

    "procedural:KIND" or "procedural:KIND:FOLDER_OF_TEXTURES" in a path's place are scenes made on the fly.
    """
    if is_procedural(path):
        return ProceduralSource(str(path), size)
    if shard_files(path):
        return ShardSource(path, size)
    if any(path.glob("*.npz")):
        return FileSource(path, size)
    try:
        find_format(path)
    except CaptureError as error:
        raise ViewsError(
            f"{path} has no views: give a folder of .npz files (training.render, training.procedural), of shards"
            " (training.views.shards), or a posed capture."
        ) from error
    return CaptureSource(path, size)


def is_procedural(path: str | Path) -> bool:
    """Whether a source's path is no path, but says which scenes are made on the fly."""
    return str(path).startswith(f"{PROCEDURAL}:")


def procedural_words(path: str | Path) -> tuple[str, str | None]:
    """Of procedural:KIND[:FOLDER_OF_TEXTURES] the kind, and the folder where there is one."""
    _, kind, *folder = str(path).split(":", maxsplit=2)
    return kind, folder[0] if folder else None


def memory_of(source: SceneSource, size: int) -> int:
    """Bytes that all views of a source take in memory."""
    return int(source.views.sum()) * size * size * BYTES_PER_PIXEL


def all_views(source: SceneSource, scene: int) -> Scene:
    """A scene with all its views in their order."""
    return source.read(scene, np.arange(source.views[scene]))


def read_scenes(path: Path, size: int) -> Iterator[Scene]:
    """The scenes of a folder or capture, in their order, at size x size pixels. Raises ViewsError."""
    source = open_source(path, size)
    return (all_views(source, scene) for scene in range(len(source.names)))


class FileSource:
    """A folder of .npz files, each read once and kept at the wanted size."""

    needs_memory = True

    def __init__(self, folder: Path, size: int) -> None:
        self._size = size
        self._files = view_files(folder)
        self._kept: dict[int, list[Scene]] = {}
        self.names: list[str] = []
        self._places: list[tuple[int, int]] = []  # of each scene: its file, and its number in there
        views: list[int] = []
        for number, path in enumerate(self._files):
            scenes, views_each, stored = stored_shape(path)
            check_divisor(path, stored, size)
            self.names += scene_names(path, scenes)
            self._places += [(number, index) for index in range(scenes)]
            views += [views_each] * scenes
        self.views = np.array(views, dtype=np.int64)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}

    def load(self) -> None:
        for number in range(len(self._files)):
            self._file(number)

    def read(self, scene: int, views: np.ndarray) -> Scene:
        number, index = self._places[scene]
        return self._file(number)[index].only(views)

    def _file(self, number: int) -> list[Scene]:
        if number not in self._kept:
            self._kept[number] = [at_size(scene, self._size) for scene in read_file(self._files[number])]
        return self._kept[number]


class ShardSource:
    """A folder of shards, of which only the views that are asked for are decoded; kept in memory where `keep` says so."""

    needs_memory = False

    def __init__(self, folder: Path, size: int) -> None:
        self._size = size
        self._shards = Shards(folder)
        for stored in np.unique(self._shards.sizes):
            check_divisor(folder, int(stored), size)
        self.names, self.views = self._shards.names, self._shards.views
        self.keep = False
        self._kept: dict[tuple[int, int], Scene] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}

    def load(self) -> None:
        """Nothing: a damaged record is told when it is drawn, or by training.views.shards verify."""

    def read(self, scene: int, views: np.ndarray) -> Scene:
        if not self.keep:
            return at_size(self._shards.read(scene, views), self._size)
        missing = [view for view in views.tolist() if (scene, view) not in self._kept]
        if missing:
            decoded = at_size(self._shards.read(scene, missing), self._size)
            for place, view in enumerate(missing):
                self._kept[scene, view] = decoded.only(np.array([place]))
        return _concatenated([self._kept[scene, view] for view in views.tolist()])


class CaptureSource:
    """A posed capture: one scene, whose photos are straightened, cut square around their middle and kept.

    Views whose photo is not on disk are left out. alpha is 255 throughout: a photo has no background to leave out.
    """

    needs_memory = True

    def __init__(self, path: Path, size: int) -> None:
        self._size, self._path = size, path
        with _told_of(path):
            capture = load_capture(path)
        self._photos: tuple[View, ...] = tuple(view for view in capture.views if view.photo is not None)
        self._kept: Scene | None = None
        self.names = [capture.name]
        self.views = np.array([len(self._photos)], dtype=np.int64)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}

    def load(self) -> None:
        self._all()

    def read(self, scene: int, views: np.ndarray) -> Scene:
        return self._all().only(views)

    def _all(self) -> Scene:
        if self._kept is None:
            with _told_of(self._path):
                size = self._size
                fitted = [fit_photo(*load_photo(view, WHITE, size), size, size) for view in self._photos]
            images = np.stack([to_bytes(image) for image, _ in fitted])
            poses = np.stack([camera.camera_to_world for _, camera in fitted])
            fxfycxcy = np.stack([camera.fxfycxcy for _, camera in fitted])
            alpha = np.broadcast_to(np.uint8(255), images.shape[:3])
            self._kept = Scene(self.names[0], images, alpha, poses, fxfycxcy)
        return self._kept


class ProceduralSource:
    """Scenes that are made when they are drawn: "procedural:KIND" or "procedural:KIND:FOLDER_OF_TEXTURES".

    On the training device in the training process (a card where there is one), on the CPU in loading processes.
    """

    needs_memory = False

    def __init__(self, word: str, size: int) -> None:
        kind, folder = procedural_words(word)
        if kind not in KINDS:
            raise ViewsError(f"{word}: the kind of procedural scenes must be one of {', '.join(KINDS)}.")
        try:
            self._images = ImageFolder.of(Path(folder)) if folder else None
        except TextureError as error:
            raise ViewsError(str(error)) from error
        self._kind, self._size = kind, size
        self.names: Sequence[str] = _Numbered(kind, PROCEDURAL_SCENES)
        self.views = np.broadcast_to(np.int64(PROCEDURAL_VIEWS), (PROCEDURAL_SCENES,))

    def load(self) -> None:
        """Nothing: there is nothing to read."""

    def read(self, scene: int, views: np.ndarray) -> Scene:
        device = "cuda" if torch.cuda.is_available() and parent_process() is None else "cpu"
        made = procedural_scene(
            0,
            scene,
            self._kind,
            views=PROCEDURAL_VIEWS,
            size=self._size,
            device=device,
            images=self._images,
            only=views,
        )
        images, alpha = made.images.cpu().numpy(), made.alpha.cpu().numpy()
        return Scene(self.names[scene], images, alpha, made.camera_to_world, made.fxfycxcy)


class _Numbered(Sequence[str]):
    """ "word/0", "word/1" and so on, without keeping them."""

    def __init__(self, word: str, count: int) -> None:
        self._word, self._numbers = word, range(count)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [f"{self._word}/{number}" for number in self._numbers[index]]
        return f"{self._word}/{self._numbers[index]}"


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """What is wrong with a capture, as ViewsError with its path."""
    try:
        yield
    except (CaptureError, CameraError) as error:
        sentence = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise ViewsError(sentence, error.remedy) from error


def _concatenated(parts: Sequence[Scene]) -> Scene:
    """One scene's views, one after the other."""
    return Scene(
        parts[0].name,
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.alpha for part in parts]),
        np.concatenate([part.camera_to_world for part in parts]),
        np.concatenate([part.fxfycxcy for part in parts]),
    )
