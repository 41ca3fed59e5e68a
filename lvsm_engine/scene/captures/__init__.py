"""Captures: posed photos on disk. One reader a format, found by content; one writer.

    capture = load_capture("folder or file")

numpy and the standard library only; COLMAP's reader loads pycolmap, and a photo's size may need Pillow, where the
file does not tell it.
"""

from collections.abc import Callable
from pathlib import Path

from ...errors import CaptureError
from . import colmap, opencv_cameras, transforms
from .capture import Capture, PhotoSize, size_by_pillow
from .transforms import write_transforms

__all__ = ["Capture", "find_format", "load_capture", "write_transforms"]

FORMATS = (transforms, opencv_cameras, colmap)
"""Each has NAME, find(path) -> the file or folder it reads there, or None; and read(found, photo_size) -> Capture."""


def find_format(path: Path):
    """The first format that finds something of its own at a path, and what it found. Raises CaptureError."""
    if not path.exists():
        raise CaptureError(f"{path} does not exist: choose a folder or file with posed photos.")
    for reader in FORMATS:
        found = reader.find(path)
        if found is not None:
            return reader, found
    known = ", ".join(reader.NAME for reader in FORMATS)
    raise CaptureError(f"{path} holds no posed photos in a known format ({known}).")


def load_capture(path: str | Path, photo_size: Callable[[Path], tuple[int, int]] | None = None) -> Capture:
    """The capture at a path (file or folder). Raises CaptureError or CameraError with the file and the frame.

    photo_size: tells a photo's (width, height) where the capture does not; by default Pillow reads it.
    """
    reader, found = find_format(Path(path))
    size: PhotoSize = photo_size or size_by_pillow
    capture = reader.read(found, size)
    if all(view.photo is None for view in capture.views):
        raise CaptureError(f"{found}: none of its frames has a photo: put the photos where the file says they are.")
    return capture
