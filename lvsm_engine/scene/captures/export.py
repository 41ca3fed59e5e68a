"""A capture as a folder that any program can take: photos below `images`, masks below `masks`, and the poses in a format."""

import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...errors import LOCATE_PHOTOS, CaptureError, OutputError
from ...progress import Cancel, OnProgress, Tracker
from ...whole_files import make_folder, write_whole
from ..camera import View
from ..picture_formats import Unreadable, ending_of
from .capture import Capture
from .colmap_writer import MODEL_FOLDER, PHOTOS, write_colmap
from .transforms import NAME as TRANSFORMS
from .transforms import write_transforms

MASKS = "masks"
Encode = Callable[[np.ndarray], bytes]
"""Pixels (H, W), (H, W, 3) or (H, W, 4) uint8 -> the bytes of a PNG file."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A format that captures are written in. poses: its file, below the folder that `write` gets."""

    poses: Path
    write: Callable[[Capture, Path], None]


WRITERS = {
    TRANSFORMS: Writer(Path(TRANSFORMS), lambda capture, folder: write_transforms(capture, folder / TRANSFORMS)),
    "COLMAP": Writer(MODEL_FOLDER / "images.txt", write_colmap),
}


def export_capture(
    capture: Capture,
    folder: Path,
    writer: Writer,
    encode: Encode,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> None:
    """Write a capture into a folder: copies of its photos and masks, then its poses, so that a folder with poses is whole.

    No file is written over; a photo that lies where its copy would is left there. Raises OutputError, CaptureError,
    Cancelled; what was copied is removed then.
    """
    folder, made = folder.absolute(), list[Path]()
    try:
        _refuse_existing(folder / writer.poses)
        tracker, names, views = Tracker("Copying photos", len(capture.views), on_progress, cancel), set[str](), []
        for view in capture.views:
            name = _free_name(view, names)
            try:
                photo = _copied(view.photo, folder / PHOTOS / name, encode, made)
                mask = _copied(view.mask, folder / MASKS / name, encode, made)
            except Unreadable as error:
                raise CaptureError(f"{view.name}: its picture is not known ({error}): save it as PNG.") from error
            views.append(replace(view, photo=photo, mask=mask))
            tracker.step()
        writer.write(replace(capture, views=tuple(views)), folder)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise OutputError(f"{path} is there already: choose an empty folder.")


def _free_name(view: View, names: set[str]) -> str:
    """The name of a view's photo without its ending, with a number where another has it; and keep it.

    Of letters that all systems have in names; COLMAP reads a name in a text file up to its first space.
    """
    stem = view.photo.stem if isinstance(view.photo, Path) else view.name
    plain = (
        "".join("_" if letter in '/\\:*?"<>| ' or not letter.isprintable() else letter for letter in stem) or "photo"
    )
    name, number = plain, 1
    while name.lower() in names:  # file systems that know no case
        number += 1
        name = f"{plain}_{number}"
    names.add(name.lower())
    return name


def _copied(picture: Path | np.ndarray | None, bare: Path, encode: Encode, made: list[Path]) -> Path | None:
    """Write a picture under this name and its own ending. Returns where it is; `made` gets what is new."""
    if picture is None:
        return None
    if isinstance(picture, Path):
        path, source = bare.with_name(bare.name + picture.suffix), picture
        if path.exists() and path.samefile(picture):
            return path
        if not picture.is_file():
            raise CaptureError(f"{picture} does not exist: locate it.", LOCATE_PHOTOS)
        _write(path, lambda part: shutil.copyfile(source, part), made)
    else:
        content = picture.tobytes() if picture.ndim == 1 else encode(picture)
        path = bare.with_name(bare.name + ending_of(io.BytesIO(content)))
        _write(path, lambda part: part.write_bytes(content), made)
    return path


def _write(path: Path, write: Callable[[Path], object], made: list[Path]) -> None:
    _refuse_existing(path)
    make_folder(path.parent)
    made.append(path)
    write_whole(path, write)
