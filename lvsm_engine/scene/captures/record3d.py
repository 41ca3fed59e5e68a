"""Record3D's export of pictures ("EXR + RGB"): `metadata.json` beside `rgb`, whose photos are called 0, 1, 2, ...

Poses are QX QY QZ QW TX TY TZ of camera to world; K is the 3 x 3 matrix of the lens, column by column, in pixels of w x h
(layout as nerfstudio's `process_data/record3d_utils.py` reads it).
"""

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CaptureError
from ..camera import Camera
from .capture import Capture, Found, PhotoSize, read_json, reading
from .colmap_model import pose_matrix
from .frames import Frame, capture_of, whole
from .phone_axes import from_arkit

NAME = "Record3D metadata.json"
FILE = "metadata.json"
PATTERNS = ("*.json",)
PHOTOS = "rgb"
FOLDERS = ("", "EXR_RGBD")


def in_folder(folder: Path) -> Found | None:
    """The folder's metadata.json beside its photos."""
    files = (folder / below / FILE for below in FOLDERS)
    return next((Found((file,)) for file in files if file.is_file() and (file.parent / PHOTOS).is_dir()), None)


def of_file(path: Path) -> tuple[Path, ...]:
    """The file, where it is JSON with poses and K."""
    content = read_json(path) if path.suffix.lower() == ".json" else None
    return (path,) if isinstance(content, dict) and {"poses", "K"} <= content.keys() else ()


def read(files: tuple[Path, ...], photo_size: PhotoSize) -> Capture:
    """A camera for each pose. Raises CaptureError, CameraError."""
    (file,) = files
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("poses"), list) or not content["poses"]:
        raise CaptureError(f"{file} has no list of poses: export from Record3D again.")
    frames = [_frame(file, content, number, pose) for number, pose in enumerate(content["poses"])]
    return capture_of(frames, [file.parent / PHOTOS], photo_size)


def _frame(file: Path, content: dict[str, Any], number: int, pose: Any) -> Frame:
    place = f"pose {number}"

    def camera(width: int, height: int) -> tuple[Camera, None]:
        qx, qy, qz, qw, *position = (float(value) for value in pose)
        lens = np.array(content["K"], dtype=np.float64).reshape(3, 3).T
        camera_to_world = from_arkit(pose_matrix([qw, qx, qy, qz, *position]))
        return Camera(camera_to_world, lens[0, 0], lens[1, 1], lens[0, 2], lens[1, 2], width, height), None

    with reading(file, place):
        return Frame(file, place, str(number), (whole(content["w"]), whole(content["h"])), camera)
