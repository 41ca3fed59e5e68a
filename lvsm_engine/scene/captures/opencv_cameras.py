"""opencv_cameras.json of LVSM, Long-LRM and LaCT: `w2c` (4, 4) with OpenCV axes, pinhole intrinsics in pixels.

A bare list of frames, or {"frames": [...]}, under any name. Intrinsics are fx, fy, cx, cy or LVSM's `fxfycxcy`; photos are
`file_path` or LVSM's `image_path`, relative to the file. A frame with neither is a camera without a photo.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CaptureError
from ..camera import View, camera_of
from .capture import (
    Capture,
    Found,
    PhotoSize,
    PictureSizes,
    file_name,
    inverse,
    matrix_4x4,
    mean_up,
    read_json,
    reading,
    view_name,
    without_scale,
)
from .photo_files import PhotoFile, find_photos, photo_warnings

NAME = "opencv_cameras.json"
PATTERNS = ("*.json",)


def in_folder(folder: Path) -> Found | None:
    """The folder's opencv_cameras.json."""
    return Found((folder / NAME,)) if (folder / NAME).is_file() else None


def of_file(path: Path) -> tuple[Path, ...]:
    """The file, where it is JSON with frames of w2c."""
    frames = _frames(read_json(path)) if path.suffix.lower() == ".json" else []
    is_ours = bool(frames) and isinstance(frames[0], dict) and "w2c" in frames[0]
    return (path,) if is_ours else ()


def _frames(content: Any) -> list:
    frames = content.get("frames") if isinstance(content, dict) else content
    return frames if isinstance(frames, list) else []


def read(files: tuple[Path, ...], photo_size: PhotoSize) -> Capture:
    """The frames of the file. Raises CaptureError, CameraError."""
    (file,) = files
    frames = _frames(read_json(file))
    if not frames:
        raise CaptureError(f"{file} has no list of frames: export the capture again.")
    names = []
    for number, frame in enumerate(frames):
        with reading(file, f"frame {number}"):
            names.append(file_name(frame.get("file_path") or frame.get("image_path")))
    photos = find_photos([file.parent], names)
    sizes, views = PictureSizes(photos, photo_size), []
    for number, (frame, name, photo) in enumerate(zip(frames, names, photos, strict=True)):
        with reading(file, f"frame {number}"):
            views.append(_view(frame, name or f"frame {number}", photo, sizes))
    up = mean_up([view.camera for view in views])
    return Capture(file.resolve().parent.name, tuple(views), up=up, warnings=photo_warnings(names, photos))


def _view(frame: dict[str, Any], name: str, photo: PhotoFile | None, sizes: PictureSizes) -> View:
    width, height = sizes.of(frame, photo)
    fxfycxcy = frame["fxfycxcy"] if "fxfycxcy" in frame else [frame[key] for key in ("fx", "fy", "cx", "cy")]
    pose = without_scale(inverse(matrix_4x4(frame["w2c"])))
    camera = sizes.at_size_of(photo, camera_of(pose, np.array(fxfycxcy, dtype=np.float64), width, height))
    return View(camera, photo.path if photo is not None else None, view_name(photo, name))
