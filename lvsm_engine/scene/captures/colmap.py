"""COLMAP models, text and binary: a model's folder or one of its files, or a project's folder with sparse/0 and images.

The files themselves are colmap_text's and colmap_binary's; here they become views. Names in other code pages than UTF-8
are told by the photos that are there.
"""

from pathlib import Path

import numpy as np

from ...errors import CaptureError
from ..camera import View, camera_of
from . import colmap_binary, colmap_text
from .capture import Capture, Found, PhotoSize, mean_up, reading
from .colmap_model import ColmapModel, differing_poses, lens_of, poses_of
from .frames import PictureSizes
from .photo_files import PhotoFile, find_photos, photo_warnings

NAME = "COLMAP"
PATTERNS = ("*.bin", "*.txt")
STEMS = ("cameras", "images", "points3D", "rigs", "frames")
# Binary first, as COLMAP does where both are there.
READERS = {".bin": colmap_binary, ".txt": colmap_text}
# Where models lie in a project's folder: each is a model, or has models called 0, 1, 2, ...
MODEL_FOLDERS = ("sparse", "colmap/sparse", "")
# How far above the model the photos are looked for.
LEVELS_ABOVE = 3
# Of Western and Central Europe, China, Japan, Korea, Taiwan, Russia; the first shows names whose photos are not there.
CODE_PAGES = ("cp1252", "cp1250", "gbk", "cp932", "cp949", "big5", "cp1251")


def in_folder(folder: Path) -> Found | None:
    """The folder's own model, or else the one with most images below it. Raises CaptureError for a damaged one."""
    if files := _model(folder):
        return Found(files)
    for below in MODEL_FOLDERS:
        models = [files for at in _numbered(folder / below) if (files := _model(at))]
        if len(models) > 1:
            return _largest(folder, models)
        if models:
            return Found(models[0])
    return None


def _numbered(folder: Path) -> list[Path]:
    """The folders 0, 1, 2, ... of a folder, and itself."""
    numbered = [below for below in folder.glob("*") if below.name.isascii() and below.name.isdecimal()]
    return [*sorted(numbered, key=lambda below: int(below.name[:18])), folder]


def _largest(folder: Path, models: list[tuple[Path, ...]]) -> Found:
    counts = [READERS[files[0].suffix].count_images(files[0].parent) for files in models]
    places = [files[0].parent.relative_to(folder).as_posix() for files in models]
    names = [f"{place} ({count} images)" for place, count in zip(places, counts, strict=True)]
    largest = counts.index(max(counts))
    others = ", ".join(name for at, name in enumerate(names) if at != largest)
    return Found(models[largest], (f"Of the COLMAP models of {folder}, {names[largest]} was read, and not {others}.",))


def _model(folder: Path) -> tuple[Path, ...]:
    """The model's files in a folder; none where cameras or images are missing."""
    return next((files for ending in READERS if (files := _files(folder, ending))), ())


def _files(folder: Path, ending: str) -> tuple[Path, ...]:
    files = [folder / (stem + ending) for stem in STEMS]
    is_whole = files[0].is_file() and files[1].is_file()
    return tuple(file for file in files if file.is_file()) if is_whole else ()


def of_file(path: Path) -> tuple[Path, ...]:
    """The files of the model that a file is part of. Raises CaptureError where cameras or images are missing."""
    if path.stem not in STEMS or path.suffix not in READERS:
        return ()
    files = _files(path.parent, path.suffix)
    if not files:
        needed = " and ".join(stem + path.suffix for stem in STEMS[:2])
        raise CaptureError(
            f"{path} is part of a COLMAP model that lacks its other files: put {needed} into one folder."
        )
    return files


def read(files: tuple[Path, ...], photo_size: PhotoSize) -> Capture:
    """The images of the model that have a pose, in the order of their names. Raises CaptureError, CameraError."""
    folder = files[0].parent
    model = READERS[files[0].suffix].read_model(folder)
    with reading(folder, "its rigs"):
        poses = poses_of(model)
    names, photos = _photos(folder, [model.images[image_id].name for image_id in poses])
    sizes, views = PictureSizes(photos, photo_size), []
    for name, image_id, photo in sorted(zip(names, poses, photos, strict=True), key=lambda entry: entry[0]):
        with reading(folder, f"image {name}"):
            views.append(_view(model, image_id, poses[image_id], name, photo, sizes))
    points = model.points if len(model.points) else None
    warnings = (*model.warnings, *_disagreement(folder, model, poses), *photo_warnings(names, photos))
    return Capture(_name(folder), tuple(views), points, mean_up([view.camera for view in views]), warnings)


def _disagreement(folder: Path, model: ColmapModel, poses: dict[int, np.ndarray]) -> tuple[str, ...]:
    """A warning where the images' own poses are others than their frames', as scripts that know no frames leave them."""
    stale = differing_poses(model, poses)
    sentence = f"{folder}: frames and images tell other poses for {len(stale)} photos: the frames' were read."
    return (sentence,) if stale else ()


def _view(
    model: ColmapModel, image_id: int, pose: np.ndarray, name: str, photo: PhotoFile | None, sizes: PictureSizes
) -> View:
    camera_id = model.images[image_id].camera_id
    if camera_id not in model.cameras:
        raise CaptureError(f"its camera {camera_id} is not among the cameras: export the model again.")
    lens = model.cameras[camera_id]
    fxfycxcy, distortion = lens_of(lens)
    camera = camera_of(np.linalg.inv(pose), fxfycxcy, lens.width, lens.height)
    path = photo.path if photo is not None else None
    return View(sizes.scaled(camera, photo), path, name, distortion=distortion)


def _photos(folder: Path, names: list[str]) -> tuple[list[str], list[PhotoFile | None]]:
    """The names as they read, and their photos. Raises CaptureError where there is no photo at all."""
    above = [folder, *list(folder.resolve().parents)[:LEVELS_ABOVE]]
    readable, photos = names, find_photos(above, names)
    if any(_has_surrogates(name) for name in names):
        readings = [[_in_code_page(name, page) for name in names] for page in CODE_PAGES]
        found = [find_photos(above, reading) for reading in readings]
        counts = [sum(photo is not None for photo in each) for each in found]
        most = counts.index(max(counts))
        readable = readings[most]
        photos = found[most] if counts[most] > sum(photo is not None for photo in photos) else photos
    if names and not any(photos):
        raise CaptureError(
            f"{folder}: the photos of this COLMAP model ({readable[0]}, ...) were not found: put them in a folder 'images'"
            " beside it."
        )
    return readable, photos


def _has_surrogates(name: str) -> bool:
    return any("\udc80" <= letter <= "\udcff" for letter in name)


def _in_code_page(name: str, page: str) -> str:
    """A name whose bytes are no UTF-8, read in a code page; others as they are."""
    return name.encode("utf-8", "surrogateescape").decode(page, "replace") if _has_surrogates(name) else name


def _name(folder: Path) -> str:
    """The project's: of the first folder above the model that is none of COLMAP's own."""
    own = ("sparse", "colmap")
    places = (folder.resolve(), *folder.resolve().parents)
    return next((at.name for at in places if at.name not in own and not at.name.isdecimal()), folder.name)
