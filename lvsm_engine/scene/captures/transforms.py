"""transforms.json of nerfstudio and instant-ngp, and transforms_*.json of the NeRF-synthetic scenes.

`transform_matrix` is camera to world with OpenGL axes. Intrinsics stand at the top or in each frame, or are one
`camera_angle_x` for all; `file_path` is relative to the file, with or without its ending. A frame without it is a camera
without a photo. `mask_path` names a picture that is 0 where the photo does not count.
"""

import json
import math
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CaptureError
from ...whole_files import write_bytes
from ..camera import OPENCV_FROM_OPENGL, Camera, Distortion, View
from .capture import Capture, Found, PhotoSize, from_opengl, matrix_4x4, read_json, reading, without_scale
from .frames import Frame, capture_of, file_name, whole

NAME = "transforms.json"
PATTERNS = ("*.json",)
PINHOLES = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV", "PERSPECTIVE")
FISHEYES = ("OPENCV_FISHEYE",)
# The synthetic scenes' files, in the order in which their frames are listed.
SPLITS = tuple(f"transforms_{split}.json" for split in ("train", "val", "test"))


def in_folder(folder: Path) -> Found | None:
    """The folder's transforms.json, or else its transforms_train.json and the like, all together."""
    files = [folder / NAME] if (folder / NAME).is_file() else [folder / split for split in SPLITS]
    there = tuple(file for file in files if file.is_file())
    return Found(there) if there else None


def of_file(path: Path) -> tuple[Path, ...]:
    """The file, where it is JSON with frames, and they have no w2c."""
    content = read_json(path) if path.suffix.lower() == ".json" else None
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list):
        return ()
    return (path,) if not frames or not (isinstance(frames[0], dict) and "w2c" in frames[0]) else ()


def read(files: tuple[Path, ...], photo_size: PhotoSize) -> Capture:
    """The frames of all files, which lie in one folder. Raises CaptureError, CameraError."""
    frames = [frame for file in files for frame in _frames(file)]
    if not frames:
        raise CaptureError(f"{files[0]} has no frames: export the capture again.")
    return capture_of(frames, [files[0].parent], photo_size)


def _frames(file: Path) -> list[Frame]:
    """A file's frames, each with its own values before the file's."""
    content = read_json(file)
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list):
        raise CaptureError(f"{file} has no list of frames: export the capture again.")
    return [_frame(file, number, content, frame) for number, frame in enumerate(frames)]


def _frame(file: Path, number: int, content: dict[str, Any], own: dict[str, Any]) -> Frame:
    place = f"frame {number}"
    with reading(file, place):
        values = ChainMap(own, content)
        size = (whole(values["w"]), whole(values["h"])) if "w" in values and "h" in values else None
        names = [file_name(own.get(key)) for key in ("file_path", "mask_path")]
        return Frame(file, place, names[0], size, lambda width, height: _camera(values, width, height), names[1])


def _camera(values: Mapping[str, Any], width: int, height: int) -> tuple[Camera, Distortion | None]:
    fx, fy = _focal_lengths(values, width, height)
    camera = Camera(
        camera_to_world=without_scale(from_opengl(matrix_4x4(values["transform_matrix"]))),
        fx=fx,
        fy=fy,
        cx=float(values.get("cx", width / 2)),
        cy=float(values.get("cy", height / 2)),
        width=width,
        height=height,
    )
    return camera, _distortion(values)


def _focal_lengths(entry: Mapping[str, Any], width: int, height: int) -> tuple[float, float]:
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


def _distortion(entry: Mapping[str, Any]) -> Distortion | None:
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

    Photos and masks are named relative to the file where they lie below it; a camera without a photo has no name. Raises
    OutputError, CaptureError.
    """
    path = Path(path)
    frames = [_written(view, path.parent) for view in capture.views]
    content = json.dumps({"camera_model": "OPENCV", "frames": frames}, indent=1)
    write_bytes(path, content.encode())


def _written(view: View, folder: Path) -> dict[str, Any]:
    camera, frame = view.camera, dict[str, Any]()
    for key, picture in (("file_path", view.photo), ("mask_path", view.mask)):
        if isinstance(picture, np.ndarray):
            raise CaptureError(f"{view.name} has a picture that is not on disk: save it before the capture is written.")
        if picture is not None:
            file, folder = picture.resolve(), folder.resolve()
            frame[key] = (file.relative_to(folder) if file.is_relative_to(folder) else file).as_posix()
    frame |= {
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
