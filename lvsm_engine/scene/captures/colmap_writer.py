"""A capture as a COLMAP model of text files (colmap.github.io/format.html): cameras.txt, images.txt, points3D.txt."""

from pathlib import Path

import numpy as np

from ...errors import CaptureError
from ...whole_files import make_folder, write_bytes
from ..camera import View
from .capture import Capture
from .colmap_model import CAMERA_MODELS, pose_numbers

MODEL_FOLDER = Path("sparse/0")
PHOTOS = "images"
# Points have no colour and no error here.
POINT = "128 128 128 0"


def write_colmap(capture: Capture, folder: Path) -> None:
    """Write the model into `sparse/0` of a folder whose photos are below `images`, each file whole or not at all.

    Views without a photo are left out: COLMAP knows no cameras without one. Raises OutputError, CaptureError.
    """
    views = [view for view in capture.views if view.photo is not None]
    lenses = list(dict.fromkeys(_lens(view) for view in views))
    cameras = [f"{number} {lens}" for number, lens in enumerate(lenses, 1)]
    images = []
    for number, view in enumerate(views, 1):
        pose = " ".join(map(repr, pose_numbers(np.linalg.inv(view.camera.camera_to_world))))
        images += [f"{number} {pose} {lenses.index(_lens(view)) + 1} {_name(view, folder / PHOTOS)}", ""]
    points = capture.points if capture.points is not None else np.zeros((0, 3))
    rows = [f"{number} {' '.join(map(repr, place))} {POINT}" for number, place in enumerate(points.tolist(), 1)]
    make_folder(folder / MODEL_FOLDER)
    for stem, lines in (("cameras", cameras), ("points3D", rows), ("images", images)):
        text = "".join(f"{line}\n" for line in lines)
        write_bytes(folder / MODEL_FOLDER / f"{stem}.txt", text.encode("utf-8", "surrogateescape"))


def _lens(view: View) -> str:
    """MODEL WIDTH HEIGHT PARAMETERS of a view's camera."""
    camera = view.camera
    model, coefficients = "PINHOLE", tuple[float, ...]()
    if view.distortion is not None:
        coefficients = view.distortion.coefficients
        is_fisheye, has_more = view.distortion.kind == "fisheye", len(coefficients) > 4
        model = "OPENCV_FISHEYE" if is_fisheye else "FULL_OPENCV" if has_more else "OPENCV"
    wanted = len(CAMERA_MODELS[model]) - 4
    numbers = (*camera.fxfycxcy.tolist(), *coefficients, *[0.0] * (wanted - len(coefficients)))
    return f"{model} {camera.width} {camera.height} {' '.join(repr(float(number)) for number in numbers)}"


def _name(view: View, photos: Path) -> str:
    if not isinstance(view.photo, Path) or not view.photo.is_relative_to(photos):
        raise CaptureError(f"{view.name}: its photo is not below {photos}: copy it there before the model is written.")
    return view.photo.relative_to(photos).as_posix()
