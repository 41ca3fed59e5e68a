"""Captures: posed photos on disk. One reader a format, a table of them; two writers.

    capture = load_capture("folder or file")
    export_capture(capture, folder, WRITERS["COLMAP"], encode)

numpy and the standard library only; a photo's size may need Pillow, where the file does not tell it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import CaptureError
from . import (
    bundler,
    colmap,
    meshroom,
    metashape,
    opencv_cameras,
    openmvg,
    polycam,
    realitycapture,
    record3d,
    transforms,
)
from .capture import Capture, Found, PhotoSize, size_by_pillow
from .export import WRITERS, export_capture
from .transforms import write_transforms

__all__ = ["FILE_PATTERNS", "WRITERS", "Capture", "export_capture", "find_format", "load_capture", "write_transforms"]


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table.

    name: for messages. patterns: what its files are called. in_folder: the files that it reads of a folder, or None.
    of_file: the files that it reads where this one is chosen; none where the file is not its own. read: the capture of
    these files, in this order. All raise CaptureError, read also CameraError.
    """

    name: str
    patterns: tuple[str, ...]
    in_folder: Callable[[Path], Found | None]
    of_file: Callable[[Path], tuple[Path, ...]]
    read: Callable[[tuple[Path, ...], PhotoSize], Capture]


FORMATS = tuple(
    Format(each.NAME, each.PATTERNS, each.in_folder, each.of_file, each.read)
    for each in (
        transforms,
        opencv_cameras,
        colmap,
        openmvg,
        metashape,
        realitycapture,
        meshroom,
        bundler,
        polycam,
        record3d,
    )
)
"""In the order in which a folder's are taken."""

FILE_PATTERNS = tuple(sorted({pattern for each in FORMATS for pattern in each.patterns}))
"""What a file that can be chosen may be called, for dialogs."""

# A folder with more files that might be captures is one of something else.
MAX_LOOKED_AT = 50


def find_format(path: Path) -> tuple[Format, Found]:
    """The format of what is at a path, a file or a folder, and the files that it reads there. Raises CaptureError.

    A file is read as what it is or refused. Where a folder has several, the first of the table is taken, and said.
    """
    if not os.path.exists(path):  # Path's own raises for names that are too long
        raise CaptureError(f"{path} does not exist: choose a folder or file with posed photos.")
    try:
        there = _in_folder(path) if path.is_dir() else _of_file(path)
    except OSError as error:
        raise CaptureError(f"{path} cannot be read ({error.strerror}): choose another file or folder.") from error
    if not there:
        known = ", ".join(each.name for each in FORMATS)
        raise CaptureError(f"{path} holds no posed photos in a known format ({known}): choose another file or folder.")
    reader, found = there[0]
    return reader, replace(found, warnings=(*found.warnings, *_not_read(path, there))) if path.is_dir() else found


def _in_folder(folder: Path) -> list[tuple[Format, Found]]:
    """All that formats find where they usually are; else what any file of the folder is, whatever it is called."""
    there = [(each, found) for each in FORMATS if (found := each.in_folder(folder)) is not None]
    if there:
        return there
    files = [file for file in sorted(folder.iterdir()) if any(map(file.match, FILE_PATTERNS))]
    return [found for file in files[:MAX_LOOKED_AT] for found in _of_file(file)]


def _of_file(path: Path) -> list[tuple[Format, Found]]:
    """What a file is, which no pipe or device is."""
    if not path.is_file():
        return []
    return [(each, Found(files)) for each in FORMATS if (files := each.of_file(path))]


def _not_read(folder: Path, there: list[tuple[Format, Found]]) -> tuple[str, ...]:
    """A warning of what else a folder has, if it has."""
    if len(there) < 2:
        return ()
    names = [found.files[0].relative_to(folder).as_posix() for _, found in there]
    return (f"{folder} holds several captures: {names[0]} was read, and not {', '.join(names[1:])}.",)


def load_capture(path: str | Path, photo_size: Callable[[Path], tuple[int, int]] | None = None) -> Capture:
    """The capture at a path (file or folder). Raises CaptureError or CameraError with the file and the frame.

    photo_size: tells a photo's (width, height) where the capture does not; by default Pillow reads it.
    """
    reader, found = find_format(Path(path))
    capture = reader.read(found.files, photo_size or size_by_pillow)
    if all(view.photo is None for view in capture.views):
        raise CaptureError(
            f"{found.files[0]}: none of its frames has a photo: put the photos where the file says they are."
        )
    return replace(capture, warnings=(*found.warnings, *capture.warnings))
