"""Frames of a pose file become a capture: photos found, sizes known, cameras made, whatever the format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from ...errors import LOCATE_PHOTOS, CaptureError
from ..camera import Camera, Distortion, View, is_of_shape, resized
from .capture import Capture, PhotoSize, mean_up, reading
from .photo_files import PhotoFile, find_photos, photo_warnings

# Of a part of a path, in letters; file systems have at most 255.
MAX_NAME = 255


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A posed photo as a file has it.

    file, place: where it stands, for messages. name, mask_name: as the file calls its photo and its mask; "" where it has
    none. size: (width, height) in pixels, None where only the photo tells. camera: makes, for a size, the camera and what
    its lens adds; what it raises is told with file and place.
    """

    file: Path
    place: str
    name: str
    size: tuple[int, int] | None
    camera: Callable[[int, int], tuple[Camera, Distortion | None]]
    mask_name: str = ""


def capture_of(
    frames: Sequence[Frame],
    folders: Sequence[Path],
    photo_size: PhotoSize,
    points: np.ndarray | None = None,
    warnings: tuple[str, ...] = (),
) -> Capture:
    """The capture of a file's frames, of which there is one at least, in their order.

    folders: where their photos may be. points, warnings: the capture's, which gets its own warnings beside. Raises
    CaptureError, CameraError with the file and the frame.
    """
    names, mask_names = [frame.name for frame in frames], [frame.mask_name for frame in frames]
    photos, masks = find_photos(folders, names), find_photos(folders, mask_names)
    sizes, views = PictureSizes(photos, photo_size), []
    for frame, photo, mask in zip(frames, photos, masks, strict=True):
        with reading(frame.file, frame.place):
            camera, distortion = frame.camera(*(frame.size or sizes.of(photo)))
            camera = sizes.scaled(camera, photo)
        name = photo.path.name if photo is not None else PureWindowsPath(frame.name or frame.place).name
        paths = [found.path if found is not None else None for found in (photo, mask)]
        views.append(View(camera, paths[0], name, paths[1], distortion))
    told = (*warnings, *photo_warnings(names, photos), *photo_warnings(mask_names, masks, "masks"))
    name = frames[0].file.resolve().parent.name
    return Capture(name, tuple(views), points, mean_up([view.camera for view in views]), told)


def of_different_photos(frames: Sequence[Frame]) -> Sequence[Frame]:
    """The frames of a format that names photos without their folders. Raises CaptureError where two have one name."""
    known: set[str] = set()
    for frame in frames:
        if frame.name in known:
            raise CaptureError(
                f"{frame.file} has two cameras called {frame.name}: give the photos different names and export again."
            )
        known.add(frame.name)
    return frames


class PictureSizes:
    """The sizes (width, height) of a capture's pictures, in pixels, by its photos.

    photos: of all its frames. photo_size: tells a photo's.
    """

    def __init__(self, photos: Sequence[PhotoFile | None], photo_size: PhotoSize) -> None:
        self._photos, self._photo_size = photos, photo_size
        self._all: set[tuple[int, int]] | None = None

    def of(self, photo: PhotoFile | None) -> tuple[int, int]:
        """A photo's; that of one that is missing is the one that all others have. Raises CaptureError."""
        if photo is not None and photo.is_shrunk:
            raise CaptureError(
                f"its photo is there only shrunk, in {photo.path.parent.name}, and the file does not tell its full size:"
                " put the photos of full size beside it."
            )
        if photo is not None:
            return self._photo_size(photo.path)
        if self._all is None:
            self._all = {self._photo_size(other.path) for other in self._photos if other and not other.is_shrunk}
        if len(self._all) == 1:
            return next(iter(self._all))
        raise CaptureError(
            "its photo is missing and its size is not given: locate it, or add w and h to the file.", LOCATE_PHOTOS
        )

    def scaled(self, camera: Camera, photo: PhotoFile | None) -> Camera:
        """The camera at its photo's size, where that is another copy than the one named, and of the same shape."""
        if photo is None or photo.is_as_named:
            return camera
        size = self._photo_size(photo.path)
        return resized(camera, *size) if is_of_shape(size, (camera.width, camera.height)) else camera


def whole(value: Any) -> int:
    """A size or an identifier, which may be written as 640.0. Raises ValueError."""
    number = float(value)
    if not number.is_integer():
        raise ValueError(f"{value} where a whole number is wanted")
    return int(number)


def file_name(value: Any) -> str:
    """The name of a frame's file; "" where it has none. Raises ValueError for what no file can be called."""
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value or any(len(part) > MAX_NAME for part in value.split("/")):
        raise ValueError("a file's name that is no path")
    return value
