"""cameras.sfm of Meshroom (AliceVision): JSON whose numbers are words.

By AliceVision's "SfmDataIO Changelog": a pose's `center` is the camera's place, and the nine numbers of its `rotation`, row
by row, are camera to world with OpenCV axes. The principal point counts from the picture's middle from version 1.2.1 on;
the focal length is in millimetres of the sensor from 1.2.2 on, and `pixelRatio` is fx / fy before 1.2.5, then fy / fx.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CaptureError
from ..camera import Camera, Distortion
from .capture import Capture, Found, PhotoSize, finite_points, read_json, reading
from .frames import Frame, capture_of, file_name, whole

NAME = "Meshroom cameras.sfm"
PATTERNS = ("*.sfm",)
UNKNOWN_RIG = (None, "", "-1", -1, "4294967295", 4294967295)
# Of each kind of distortion: its parameters' names in OpenCV's words.
LENSES: dict[str, tuple[str, ...]] = {
    "none": (),
    "pinhole": (),
    "radialk1": ("k1",),
    "radial1": ("k1",),
    "radialk3": ("k1", "k2", "k3"),
    "radial3": ("k1", "k2", "k3"),
    "brown": ("k1", "k2", "k3", "p1", "p2"),
    "fisheye4": ("k1", "k2", "k3", "k4"),
}


def in_folder(folder: Path) -> Found | None:
    """The folder's cameras.sfm, or else sfm.sfm."""
    return next((Found((folder / name,)) for name in ("cameras.sfm", "sfm.sfm") if (folder / name).is_file()), None)


def of_file(path: Path) -> tuple[Path, ...]:
    """The file, where it ends in .sfm."""
    return (path,) if path.suffix.lower() == ".sfm" else ()


def read(files: tuple[Path, ...], photo_size: PhotoSize) -> Capture:
    """The views that have a pose, in the file's order. Raises CaptureError, CameraError."""
    (file,) = files
    content = read_json(file)
    with reading(file, "its tables"):
        version = tuple(int(number) for number in content["version"])
        intrinsics = {str(each["intrinsicId"]): each for each in content.get("intrinsics", [])}
        poses = {str(each["poseId"]): each["pose"]["transform"] for each in content.get("poses", [])}
        views = [view for view in content["views"] if str(view["poseId"]) in poses]
        points = finite_points([each["X"] for each in content.get("structure") or []])
    if not views:
        raise CaptureError(f"{file} has no view with a pose: choose the file of the node StructureFromMotion.")
    frames = [_frame(file, view, intrinsics, poses, version) for view in views]
    unsolved = len(content["views"]) - len(views)
    warnings = (f"{unsolved} views of {file} have no pose and are left out.",) if unsolved else ()
    return capture_of(frames, [file.parent], photo_size, points if len(points) else None, warnings)


def _frame(
    file: Path,
    view: dict[str, Any],
    intrinsics: dict[str, dict[str, Any]],
    poses: dict[str, dict[str, Any]],
    version: tuple[int, ...],
) -> Frame:
    place = f"view {view.get('viewId', '?')}"
    with reading(file, place):
        if view.get("rigId") not in UNKNOWN_RIG and str(view.get("isPoseIndependant", "true")) not in ("true", "1"):
            raise CaptureError("it belongs to a rig, which is not supported: solve without rigs.")
        transform = poses[str(view["poseId"])]
        pose = np.eye(4)
        pose[:3, :3] = np.array([float(word) for word in transform["rotation"]]).reshape(3, 3)
        pose[:3, 3] = [float(word) for word in transform["center"]]
        intrinsic = intrinsics[str(view["intrinsicId"])]
        size = whole(intrinsic["width"]), whole(intrinsic["height"])
        return Frame(file, place, file_name(view["path"]), size, lambda *size: _camera(pose, intrinsic, version, *size))


def _camera(
    pose: np.ndarray, intrinsic: dict[str, Any], version: tuple[int, ...], width: int, height: int
) -> tuple[Camera, Distortion | None]:
    fx, fy = _focal_lengths(intrinsic, version, width)
    cx, cy = (float(word) for word in intrinsic["principalPoint"])
    if version >= (1, 2, 1):
        cx, cy = width / 2 + cx, height / 2 + cy
    return Camera(pose, fx, fy, cx, cy, width, height), _distortion(intrinsic)


def _focal_lengths(intrinsic: dict[str, Any], version: tuple[int, ...], width: int) -> tuple[float, float]:
    """fx and fy in pixels."""
    if version < (1, 2, 0):
        return (float(intrinsic["pxFocalLength"]),) * 2
    if version < (1, 2, 2):
        fx, fy = (float(word) for word in intrinsic["pxFocalLength"])
        return fx, fy
    fx = float(intrinsic["focalLength"]) / float(intrinsic["sensorWidth"]) * width
    ratio = float(intrinsic.get("pixelRatio", 1))
    return fx, fx * ratio if version >= (1, 2, 5) else fx / ratio


def _distortion(intrinsic: dict[str, Any]) -> Distortion | None:
    kind = str(intrinsic.get("distortionType") or intrinsic["type"])
    parameters = [float(word) for word in intrinsic.get("distortionParams") or []]
    if kind not in LENSES or str(intrinsic["type"]) not in LENSES or len(parameters) != len(LENSES[kind]):
        raise CaptureError(
            f"its lens of the type {kind} with {len(parameters)} numbers is not supported: solve as radial3, brown or fisheye4."
        )
    if kind == "fisheye4":
        return Distortion("fisheye", tuple(parameters))
    values = dict(zip(LENSES[kind], parameters, strict=True))
    brown = tuple(values.get(name, 0.0) for name in ("k1", "k2", "p1", "p2", "k3"))
    return Distortion("brown", brown) if any(brown) else None
