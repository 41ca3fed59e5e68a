"""sfm_data.json of OpenMVG.

By its documentation, "SfM data": `rotation` is world to camera, row by row, with OpenCV axes, and `center` the camera's place;
focal length and principal point are in pixels. Views point to extrinsics by id_pose and to intrinsics by id_intrinsic.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CaptureError
from ..camera import Camera, Distortion, camera_of
from .capture import Capture, Found, PhotoSize, finite_points, read_json, reading
from .frames import Frame, capture_of, file_name, whole

NAME = "OpenMVG sfm_data.json"
PATTERNS = ("*.json",)
VERSION_KEY = "sfm_data_version"
# Its first key, as its library writes it.
HEAD_BYTES = 4096


def in_folder(folder: Path) -> Found | None:
    """The folder's sfm_data.json."""
    return Found((folder / "sfm_data.json",)) if (folder / "sfm_data.json").is_file() else None


def of_file(path: Path) -> tuple[Path, ...]:
    """The file, where it is JSON that begins with the version of such files."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return ()
    with reading(path, "its head"), open(path, "rb") as file:
        return (path,) if VERSION_KEY.encode() in file.read(HEAD_BYTES) else ()


def read(files: tuple[Path, ...], photo_size: PhotoSize) -> Capture:
    """The views that have extrinsics, in the file's order, and the structure's points. Raises CaptureError, CameraError."""
    (file,) = files
    content = read_json(file)
    with reading(file, "its tables"):
        poses = {each["key"]: each["value"] for each in content["extrinsics"]}
        lenses = {each["key"]: each["value"] for each in content["intrinsics"]}
        views = [each["value"]["ptr_wrapper"]["data"] for each in content["views"]]
        solved = [view for view in views if view["id_pose"] in poses and view["id_intrinsic"] in lenses]
        points = finite_points([each["value"]["X"] for each in content.get("structure") or []])
        models = _models(lenses)
        root = file_name(content.get("root_path"))
    if not solved:
        raise CaptureError(f"{file} has no view with a pose: choose the file that the reconstruction wrote.")
    unsolved = len(views) - len(solved)
    warnings = (f"{unsolved} views of {file} have no pose and are left out.",) if unsolved else ()
    frames = [_frame(file, root, view, poses, models) for view in solved]
    return capture_of(frames, [file.parent], photo_size, points if len(points) else None, warnings)


def _models(lenses: dict[Any, dict[str, Any]]) -> dict[Any, tuple[str, dict[str, Any]]]:
    """Each intrinsic's model and values. A model's name stands where the model comes first, its number wherever."""
    names = {
        value["polymorphic_id"] & 0x7FFFFFFF: value["polymorphic_name"]
        for value in lenses.values()
        if "polymorphic_name" in value
    }
    return {
        key: (names.get(value["polymorphic_id"] & 0x7FFFFFFF, "?"), value["ptr_wrapper"]["data"])
        for key, value in lenses.items()
    }


def _frame(
    file: Path,
    root: str,
    view: dict[str, Any],
    poses: dict[Any, dict[str, Any]],
    lenses: dict[Any, tuple[str, dict[str, Any]]],
) -> Frame:
    place = f"view {view.get('id_view', '?')}"
    with reading(file, place):
        value = poses[view["id_pose"]]
        pose = np.eye(4)
        pose[:3, :3] = np.array(value["rotation"], dtype=np.float64).reshape(3, 3).T
        pose[:3, 3] = value["center"]
        model, lens = lenses[view["id_intrinsic"]]
        size = whole(lens["width"]), whole(lens["height"])
        parts = (root, file_name(view.get("local_path")), file_name(view["filename"]))
        name = "/".join(part.rstrip("/\\") for part in parts if part)
        return Frame(file, place, name, size, lambda width, height: _camera(pose, model, lens, width, height))


def _camera(
    pose: np.ndarray, model: str, lens: dict[str, Any], width: int, height: int
) -> tuple[Camera, Distortion | None]:
    focal = float(lens["focal_length"])
    cx, cy = (float(number) for number in lens["principal_point"])
    camera = camera_of(pose, np.array([focal, focal, cx, cy]), width, height)
    return camera, _distortion(model, lens)


def _distortion(model: str, lens: dict[str, Any]) -> Distortion | None:
    if model == "pinhole":
        return None
    if model == "fisheye":
        return Distortion("fisheye", tuple(float(number) for number in lens["fisheye"]))
    names = {"pinhole_radial_k1": "disto_k1", "pinhole_radial_k3": "disto_k3", "pinhole_brown_t2": "disto_t2"}
    if model not in names:
        raise CaptureError(
            f"its lens of the type {model} is not supported: solve as pinhole, pinhole brown or fisheye."
        )
    k1, k2, k3, p1, p2 = (*(float(number) for number in lens[names[model]]), 0.0, 0.0, 0.0, 0.0)[:5]
    brown = (k1, k2, p1, p2, k3)
    return Distortion("brown", brown) if any(brown) else None
