"""transforms.json of nerfstudio and instant-ngp, and transforms_*.json of the NeRF-synthetic scenes.

`transform_matrix` is camera to world with OpenGL axes. Intrinsics stand at the top or in each frame, or are one
`camera_angle_x` for all; `file_path` is relative to the file, with or without its ending.
"""

import json
import math
from pathlib import Path, PureWindowsPath
from typing import Any

from ...errors import LOCATE_PHOTOS, CaptureError
from ...whole_files import write_bytes
from ..camera import OPENCV_FROM_OPENGL, Camera, Distortion, View
from .capture import (
    Capture,
    PhotoSize,
    from_opengl,
    matrix_4x4,
    mean_up,
    missing_photos,
    photo_path,
    read_json,
    reading,
)

NAME = "transforms.json"
ENDINGS = ("", ".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG", ".webp")
PINHOLES = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV", "PERSPECTIVE")
FISHEYES = ("OPENCV_FISHEYE",)
# The synthetic scenes' files, in the order in which their frames are listed.
SPLITS = tuple(f"transforms_{split}.json" for split in ("train", "val", "test"))


def find(path: Path) -> list[Path] | None:
    """The file itself, the folder's transforms.json, or else its transforms_train.json and the like."""
    if path.is_dir():
        files = [path / NAME] if (path / NAME).is_file() else [path / split for split in SPLITS]
        return [file for file in files if file.is_file()] or None
    if path.suffix != ".json":
        return None
    content = read_json(path)
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list):
        return None
    return [path] if not frames or not (isinstance(frames[0], dict) and "w2c" in frames[0]) else None


def read(found: list[Path], photo_size: PhotoSize) -> Capture:
    """The frames of all files. Raises CaptureError, CameraError."""
    views, absent = [], []
    for file in found:
        content = read_json(file)
        frames = content.get("frames") if isinstance(content, dict) else None
        if not isinstance(frames, list):
            raise CaptureError(f"{file} has no list of frames: export the capture again.")
        for number, frame in enumerate(frames):
            with reading(file, f"frame {number}"):
                photo = _photo(file.parent, frame["file_path"])
                if photo is None:
                    absent.append(str(frame["file_path"]))
                views.append(_view(photo, {**content, **frame}, photo_size))
    up = mean_up([view.camera for view in views])
    return Capture(found[0].resolve().parent.name, tuple(views), up=up, warnings=missing_photos(absent))


def _photo(folder: Path, file_path: str) -> Path | None:
    """The photo of a frame, whose ending may be left out; None where it does not exist."""
    if not isinstance(file_path, str) or "\0" in file_path:
        raise ValueError("file_path is no path")
    plain = photo_path(folder, file_path)
    candidates = (plain.with_name(plain.name + ending) for ending in ENDINGS) if plain.name else ()
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _view(photo: Path | None, entry: dict[str, Any], photo_size: PhotoSize) -> View:
    """A view of what holds for its frame: the frame's own values before the file's."""
    if "w" in entry and "h" in entry:
        width, height = _whole(entry["w"]), _whole(entry["h"])
    elif photo is not None:
        width, height = photo_size(photo)
    else:
        raise CaptureError(
            f"the photo {entry['file_path']} is missing and w and h are not given: locate it.", LOCATE_PHOTOS
        )
    fx, fy = _focal_lengths(entry, width, height)
    camera = Camera(
        camera_to_world=from_opengl(matrix_4x4(entry["transform_matrix"])),
        fx=fx,
        fy=fy,
        cx=float(entry.get("cx", width / 2)),
        cy=float(entry.get("cy", height / 2)),
        width=width,
        height=height,
    )
    name = photo.name if photo is not None else PureWindowsPath(entry["file_path"]).name
    return View(camera, photo, name, distortion=_distortion(entry))


def _whole(value: Any) -> int:
    """A size that may be written as 640.0."""
    number = float(value)
    if not number.is_integer():
        raise ValueError(f"a size of {value} pixels")
    return int(number)


def _focal_lengths(entry: dict[str, Any], width: int, height: int) -> tuple[float, float]:
    """fx and fy in pixels, from themselves or from the angles; one that is missing equals the other."""
    fx, fy = entry.get("fl_x"), entry.get("fl_y")
    if fx is None and "camera_angle_x" in entry:
        fx = 0.5 * width / math.tan(0.5 * float(entry["camera_angle_x"]))
    if fy is None and "camera_angle_y" in entry and "fl_x" not in entry:
        fy = 0.5 * height / math.tan(0.5 * float(entry["camera_angle_y"]))
    given = [value for value in (fx, fy) if value is not None]
    if not given:
        raise KeyError("fl_x")
    return float(given[0]), float(given[-1])


def _distortion(entry: dict[str, Any]) -> Distortion | None:
    """The lens distortion in OpenCV's words; None for a pinhole. Raises CaptureError for an unknown camera model."""
    model = entry.get("camera_model", "OPENCV")
    k1, k2, k3, k4, p1, p2 = (float(entry.get(name, 0.0)) for name in ("k1", "k2", "k3", "k4", "p1", "p2"))
    if model in FISHEYES or entry.get("is_fisheye"):
        return Distortion("fisheye", (k1, k2, k3, k4))
    if model not in PINHOLES:
        raise CaptureError(f"the camera model {model} is not supported: export as OPENCV or OPENCV_FISHEYE.")
    if k4:
        raise CaptureError("k4 of a lens that is no fisheye is not supported: solve with k1, k2, k3, p1 and p2.")
    if not any((k1, k2, k3, p1, p2)):
        return None
    return Distortion("brown", (k1, k2, p1, p2, k3) if k3 else (k1, k2, p1, p2))


def write_transforms(capture: Capture, path: Path) -> None:
    """Write a capture as nerfstudio's transforms.json, every frame with its own intrinsics: whole, or not at all.

    Photos are named relative to the file where they lie below it. Raises OutputError, CaptureError.
    """
    path = Path(path)
    frames = [_frame(view, path.parent) for view in capture.views]
    content = json.dumps({"camera_model": "OPENCV", "frames": frames}, indent=1)
    write_bytes(path, content.encode())


def _frame(view: View, folder: Path) -> dict[str, Any]:
    if not isinstance(view.photo, Path):
        raise CaptureError(f"{view.name} has no photo on disk: save it before the capture is written.")
    photo, camera = view.photo.resolve(), view.camera
    below = photo.relative_to(folder.resolve()) if photo.is_relative_to(folder.resolve()) else photo
    frame = {
        "file_path": below.as_posix(),
        "transform_matrix": (camera.camera_to_world @ OPENCV_FROM_OPENGL).tolist(),
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "w": camera.width,
        "h": camera.height,
    }
    if view.distortion is not None:
        is_fisheye = view.distortion.kind == "fisheye"
        names = ("k1", "k2", "k3", "k4") if is_fisheye else ("k1", "k2", "p1", "p2", "k3")
        if len(view.distortion.coefficients) > len(names):
            raise CaptureError(f"{view.name}: this file cannot hold a lens distortion of 8 numbers.")
        frame |= dict(zip(names, view.distortion.coefficients, strict=False))
        frame["camera_model"] = "OPENCV_FISHEYE" if is_fisheye else "OPENCV"
    return frame
