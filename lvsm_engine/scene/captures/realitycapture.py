"""Cameras that RealityCapture or RealityScan exported as CSV ("Internal/External camera parameters").

As its help, "Export camera registration", and nerfstudio read it: angles in degrees, z up; the rotation of a camera with
OpenGL axes is Rz(-heading) Rx(pitch) Ry(roll). f is in millimetres of a picture 36 mm long; px and py count from its middle,
in parts of its longer side. The picture's size is the photo's.
"""

import csv
import math
from pathlib import Path

import numpy as np

from ...errors import CaptureError
from ..camera import Camera, Distortion
from .capture import Capture, Found, PhotoSize, from_opengl, reading
from .frames import Frame, capture_of, file_name, of_different_photos

NAME = "RealityCapture CSV"
PATTERNS = ("*.csv",)
# A capture of ten thousand photos has 2 MB.
MAX_BYTES = 100 * 2**20
FILM_LENGTH = 36.0
NEEDED = ("x", "y", "alt", "heading", "pitch", "roll", "f")


def in_folder(folder: Path) -> Found | None:
    """The first of the folder's CSV files that has the columns."""
    return next((Found((path,)) for path in sorted(folder.glob("*.csv")) if of_file(path)), None)


def of_file(path: Path) -> tuple[Path, ...]:
    """The file, where it is CSV with the columns of camera parameters."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return ()
    with reading(path, "its head"), open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        lines = [file.readline(10_000) for _ in range(2)]
    return (path,) if any(_columns(line) for line in lines) else ()


def _columns(line: str) -> list[str]:
    """The columns' names, where a line has those of camera parameters; some versions call the heading yaw."""
    columns = [column.strip().lstrip("#").lower() for column in line.split(",")]
    columns = ["heading" if column == "yaw" else column for column in columns]
    return columns if columns[0] == "name" and all(name in columns for name in NEEDED) else []


def read(files: tuple[Path, ...], photo_size: PhotoSize) -> Capture:
    """The cameras of the file, in its order. Raises CaptureError, CameraError."""
    (file,) = files
    columns: list[str] = []
    frames = []
    for number, line in enumerate(_lines(file), 1):
        if columns and line.strip() and not line.startswith("#"):
            frames.append(_frame(file, number, columns, line))
        columns = columns or _columns(line)
    if not frames:
        raise CaptureError(f"{file} has no cameras: align the photos and export the registration again.")
    return capture_of(of_different_photos(frames), [file.parent], photo_size)


def _lines(file: Path) -> list[str]:
    with reading(file, "its text"):
        if file.stat().st_size > MAX_BYTES:
            raise CaptureError(f"it is larger than {MAX_BYTES // 2**20} MB: it is no list of cameras.")
        return file.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()


def _frame(file: Path, number: int, columns: list[str], line: str) -> Frame:
    place = f"line {number}"
    with reading(file, place):
        values = dict(zip(columns, _cells(line, len(columns)), strict=True))
        name = file_name(values["name"].strip())
        known = {key: float(values[key]) for key in NEEDED}
        lens = {key: float(values.get(key) or 0) for key in ("px", "py", "k1", "k2", "k3", "k4", "t1", "t2")}
        pose = from_opengl(_pose(known))
        return Frame(file, place, name, None, lambda width, height: _camera(pose, known["f"], lens, width, height))


def _cells(line: str, wanted: int) -> list[str]:
    """A line's cells, of which there must be so many. Raises ValueError."""
    try:
        (cells,) = csv.reader([line])
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if len(cells) != wanted:
        raise ValueError(f"{len(cells)} cells where {wanted} are wanted")
    return cells


def _pose(values: dict[str, float]) -> np.ndarray:
    """Camera to world (4, 4), OpenGL axes."""
    turns = [math.radians(angle) for angle in (-values["heading"], values["pitch"], values["roll"])]
    (cz, sz), (cx, sx), (cy, sy) = ((math.cos(turn), math.sin(turn)) for turn in turns)
    around_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    around_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    around_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pose = np.eye(4)
    pose[:3, :3] = around_z @ around_x @ around_y
    pose[:3, 3] = values["x"], values["y"], values["alt"]
    return pose


def _camera(
    pose: np.ndarray, focal: float, lens: dict[str, float], width: int, height: int
) -> tuple[Camera, Distortion | None]:
    if lens["k4"]:
        raise CaptureError("its k4 is not supported: align with the distortion model Brown3 and export again.")
    side = max(width, height)
    pixels = focal * side / FILM_LENGTH
    camera = Camera(pose, pixels, pixels, width / 2 + lens["px"] * side, height / 2 + lens["py"] * side, width, height)
    brown = tuple(lens[name] for name in ("k1", "k2", "t1", "t2", "k3"))
    return camera, Distortion("brown", brown) if any(brown) else None
