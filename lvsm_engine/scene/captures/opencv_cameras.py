"""opencv_cameras.json of LVSM, Long-LRM and LaCT: `w2c` (4, 4) with OpenCV axes, pinhole intrinsics in pixels.

A bare list of frames, or {"frames": [...]}, under any name. Intrinsics are fx, fy, cx, cy or LVSM's `fxfycxcy`; photos are
`file_path` or LVSM's `image_path`, relative to the file. A frame with neither is a camera without a photo.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CaptureError
from ..camera import Camera, camera_of
from .capture import Capture, Found, PhotoSize, inverse, matrix_4x4, read_json, reading, without_scale
from .frames import Frame, capture_of, file_name, whole

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
    return capture_of([_frame(file, number, frame) for number, frame in enumerate(frames)], [file.parent], photo_size)


def _frame(file: Path, number: int, values: dict[str, Any]) -> Frame:
    place = f"frame {number}"

    def camera(width: int, height: int) -> tuple[Camera, None]:
        fxfycxcy = values["fxfycxcy"] if "fxfycxcy" in values else [values[key] for key in ("fx", "fy", "cx", "cy")]
        pose = without_scale(inverse(matrix_4x4(values["w2c"])))
        return camera_of(pose, np.array(fxfycxcy, dtype=np.float64), width, height), None

    with reading(file, place):
        size = (whole(values["w"]), whole(values["h"])) if "w" in values and "h" in values else None
        return Frame(file, place, file_name(values.get("file_path") or values.get("image_path")), size, camera)
