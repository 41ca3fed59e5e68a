"""COLMAP models, text and binary, read by pycolmap: a model's folder, or a project's with sparse/0 and images.

World to camera with OpenCV axes; the pixel origin is the corner of the first pixel, as ours.
"""

from pathlib import Path

import numpy as np

from ...errors import CaptureError
from ..camera import Camera, Distortion, View
from .capture import Capture, PhotoSize, mean_up, missing_photos, reading

NAME = "COLMAP"
MODEL_FOLDERS = ("", "sparse/0", "sparse", "colmap/sparse/0", "0")
PHOTO_FOLDERS = ("images", "input", "photos", "rgb", "")

# COLMAP's camera models: where fx, fy, cx, cy stand in the parameters, and what of the rest OpenCV calls
# k1 k2 p1 p2 [k3 k4 k5 k6] ("brown") or k1 k2 k3 k4 ("fisheye"). -1 is 0.
_MODELS: dict[str, tuple[tuple[int, int, int, int], str, tuple[int, ...]]] = {
    "SIMPLE_PINHOLE": ((0, 0, 1, 2), "", ()),
    "PINHOLE": ((0, 1, 2, 3), "", ()),
    "SIMPLE_RADIAL": ((0, 0, 1, 2), "brown", (3, -1, -1, -1)),
    "RADIAL": ((0, 0, 1, 2), "brown", (3, 4, -1, -1)),
    "OPENCV": ((0, 1, 2, 3), "brown", (4, 5, 6, 7)),
    "FULL_OPENCV": ((0, 1, 2, 3), "brown", (4, 5, 6, 7, 8, 9, 10, 11)),
    "OPENCV_FISHEYE": ((0, 1, 2, 3), "fisheye", (4, 5, 6, 7)),
    "SIMPLE_RADIAL_FISHEYE": ((0, 0, 1, 2), "fisheye", (3, -1, -1, -1)),
    "RADIAL_FISHEYE": ((0, 0, 1, 2), "fisheye", (3, 4, -1, -1)),
}


def find(path: Path) -> Path | None:
    """The folder with the model's cameras and images files, at the path or below it."""
    folder = path if path.is_dir() else path.parent
    if path.is_file() and path.stem not in ("cameras", "images", "points3D"):
        return None
    for below in MODEL_FOLDERS:
        for ending in (".bin", ".txt"):
            if all((folder / below / (name + ending)).is_file() for name in ("cameras", "images")):
                return folder / below
    return None


def read(found: Path, _: PhotoSize) -> Capture:
    """The registered images of the model, in the order of their names. Raises CaptureError, CameraError."""
    model = _load(found)
    photos = _photo_folder(found, [image.name for image in model.images.values()])
    views, absent = [], []
    for image in sorted(model.images.values(), key=lambda image: image.name):
        with reading(found, f"image {image.name}"):
            if not image.has_pose:
                continue
            is_there = (photos / image.name).is_file()
            if not is_there:
                absent.append(image.name)
            views.append(_view(image, model.cameras[image.camera_id], photos / image.name if is_there else None))
    points = np.array([point.xyz for point in model.points3D.values()], dtype=np.float64).reshape(-1, 3)
    up = mean_up([view.camera for view in views])
    name = (photos.parent if photos.name in PHOTO_FOLDERS else photos).resolve().name
    return Capture(name, tuple(views), points if len(points) else None, up, missing_photos(absent))


def _load(found: Path):
    try:
        import pycolmap
    except ImportError as error:
        raise CaptureError(f"{found}: a COLMAP model needs the package pycolmap: install it with pip.") from error
    try:
        return pycolmap.Reconstruction(str(found))
    except (RuntimeError, ValueError, IndexError, KeyError) as error:  # what its checks raise
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise CaptureError(f"{found}: COLMAP's files are damaged ({reason}): export the model again.") from error


def _photo_folder(found: Path, names: list[str]) -> Path:
    """Where the photos are: the usual folders beside the model and above it; the one that has the first name."""
    for above in (found, *list(found.resolve().parents)[:3]):
        for below in PHOTO_FOLDERS:
            if any((above / below / name).is_file() for name in names[:10]):
                return above / below
    raise CaptureError(
        f"{found}: the photos of this COLMAP model were not found: put them in a folder 'images' beside it."
    )


def _view(image, camera, photo: Path | None) -> View:
    model = camera.model.name
    if model not in _MODELS:
        raise CaptureError(f"the camera model {model} is not supported: export as OPENCV, OPENCV_FISHEYE or PINHOLE.")
    places, kind, others = _MODELS[model]
    parameters = [float(value) for value in camera.params]
    distortion = None
    if kind:
        coefficients = tuple(0.0 if place < 0 else parameters[place] for place in others)
        distortion = Distortion(kind, coefficients) if any(coefficients) or kind == "fisheye" else None
    pose = np.vstack([image.cam_from_world().inverse().matrix(), [0, 0, 0, 1]])
    fx, fy, cx, cy = (parameters[place] for place in places)
    return View(Camera(pose, fx, fy, cx, cy, camera.width, camera.height), photo, image.name, distortion=distortion)
