"""Polycam's raw data: `keyframes/corrected_cameras`, a JSON file a photo, beside `corrected_images`; else those not corrected.

A file has fx, fy, cx, cy, width, height in pixels, and t_00 to t_23, the rows of camera to world (layout as nerfstudio's
`process_data/polycam_utils.py` reads it).
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..camera import Camera, camera_of
from .capture import Capture, Found, PhotoSize, read_json, reading, without_scale
from .frames import Frame, capture_of, whole
from .phone_axes import from_arkit

NAME = "Polycam keyframes"
PATTERNS = ("*.json",)
KEYFRAMES = "keyframes"
# Where the cameras are, and their photos; the corrected ones first.
FOLDERS = {"corrected_cameras": "corrected_images", "cameras": "images"}
ROWS = [[f"t_{row}{column}" for column in range(4)] for row in range(3)]


def in_folder(folder: Path) -> Found | None:
    """The cameras of the capture's folder, or of its keyframes'."""
    places = [within / cameras for within in (folder / KEYFRAMES, folder) for cameras in FOLDERS]
    return next((Found(files) for place in places if (files := _cameras(place))), None)


def _cameras(folder: Path) -> tuple[Path, ...]:
    """The files of a folder of cameras, by the time of their photos, which is their name; none where it is another."""
    if folder.name not in FOLDERS or not (folder.parent / FOLDERS[folder.name]).is_dir():
        return ()
    return tuple(sorted(folder.glob("*.json"), key=lambda file: (len(file.stem), file.stem)))


def of_file(path: Path) -> tuple[Path, ...]:
    """The files of the folder that a camera's file is in: it is part of a capture."""
    content = read_json(path) if path.suffix.lower() == ".json" and path.parent.name in FOLDERS else None
    return _cameras(path.absolute().parent) if isinstance(content, dict) and "t_00" in content else ()


def read(files: tuple[Path, ...], photo_size: PhotoSize) -> Capture:
    """The cameras of all files. Raises CaptureError, CameraError."""
    folder = files[0].parent
    return capture_of([_frame(file) for file in files], [folder.parent / FOLDERS[folder.name]], photo_size)


def _frame(file: Path) -> Frame:
    values = read_json(file)

    def camera(width: int, height: int) -> tuple[Camera, None]:
        pose = np.eye(4)
        pose[:3] = [[float(values[name]) for name in row] for row in ROWS]
        lens = np.array([values[name] for name in ("fx", "fy", "cx", "cy")], dtype=np.float64)
        return camera_of(without_scale(from_arkit(pose)), lens, width, height), None

    with reading(file, "its camera"):
        return Frame(file, "its camera", file.stem, _size(values), camera)


def _size(values: Any) -> tuple[int, int]:
    return whole(values["width"]), whole(values["height"])
