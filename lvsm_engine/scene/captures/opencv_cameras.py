"""opencv_cameras.json of LVSM, Long-LRM and LaCT: `w2c` (4, 4) with OpenCV axes, pinhole intrinsics in pixels.

A bare list of frames, or {"frames": [...]}; `file_path` is relative to the file.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CaptureError
from ..camera import Camera, View
from .capture import Capture, PhotoSize, matrix_4x4, mean_up, missing_photos, photo_path, read_json, reading

NAME = "opencv_cameras.json"


def find(path: Path) -> Path | None:
    """The folder's opencv_cameras.json, or the file itself where it has frames with w2c."""
    if path.is_dir():
        return path / NAME if (path / NAME).is_file() else None
    if path.suffix != ".json":
        return None
    frames = _frames(read_json(path))
    is_ours = bool(frames) and isinstance(frames[0], dict) and "w2c" in frames[0]
    return path if is_ours else None


def _frames(content: Any) -> list:
    frames = content.get("frames") if isinstance(content, dict) else content
    return frames if isinstance(frames, list) else []


def read(found: Path, photo_size: PhotoSize) -> Capture:
    """The frames of the file. Raises CaptureError, CameraError."""
    frames = _frames(read_json(found))
    if not frames:
        raise CaptureError(f"{found} has no list of frames: export the capture again.")
    views, absent = [], []
    for number, frame in enumerate(frames):
        with reading(found, f"frame {number}"):
            photo = photo_path(found.parent, str(frame.get("file_path") or frame["image_path"]))
            is_there = photo.is_file()
            if not is_there:
                absent.append(photo.name)
            width, height = (frame["w"], frame["h"]) if "w" in frame and "h" in frame else photo_size(photo)
            camera = Camera(
                camera_to_world=_inverse(matrix_4x4(frame["w2c"])),
                fx=frame["fx"],
                fy=frame["fy"],
                cx=frame["cx"],
                cy=frame["cy"],
                width=width,
                height=height,
            )
            views.append(View(camera, photo if is_there else None, photo.name))
    up = mean_up([view.camera for view in views])
    return Capture(found.resolve().parent.name, tuple(views), up=up, warnings=missing_photos(absent))


def _inverse(world_to_camera: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.inv(world_to_camera)
    except np.linalg.LinAlgError as error:
        raise ValueError("a pose that is singular") from error
