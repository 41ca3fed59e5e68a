"""Capture: what every reader returns; and what all readers check alike."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CameraError, CaptureError
from ..camera import OPENCV_FROM_OPENGL, ROTATION_TOLERANCE, Camera, View
from ..picture_formats import Unreadable, picture_size, why

PhotoSize = Callable[[Path], tuple[int, int]]

# A capture of ten thousand photos has 20 MB of JSON.
MAX_JSON_BYTES = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Found:
    """What a format reads of a folder: these files, and sentences about what else it could have read."""

    files: tuple[Path, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Capture:
    """Posed photos.

    views: in the file's order, which is what positions in `--inputs 0,4,9` count. A frame whose photo is not on disk has
    the photo None: it can be a target, not an input.
    points: (N, 3) of the scene's surfaces, or None. up: (3,) unit vector, or None. warnings: sentences.
    """

    name: str
    views: tuple[View, ...]
    points: np.ndarray | None = None
    up: np.ndarray | None = None
    warnings: tuple[str, ...] = ()


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises CaptureError."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise CaptureError(f"{path} is larger than {MAX_JSON_BYTES // 2**20} MB: it is no list of cameras.")
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CaptureError(f"{path} cannot be read ({error.strerror}): choose another file.") from error
    except (ValueError, RecursionError) as error:
        raise CaptureError(f"{path} is no JSON ({error}): export the capture again.") from error


@contextmanager
def reading(path: Path, frame: str) -> Iterator[None]:
    """Whatever is wrong with a frame is told with the file and the frame."""
    try:
        yield
    except (CameraError, CaptureError) as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}, {frame}: {error}", error.remedy) from error
    except KeyError as error:
        raise CaptureError(f"{path}, {frame}: {error} is missing: export the capture again.") from error
    except (TypeError, ValueError, AttributeError, ArithmeticError, IndexError, OSError) as error:
        raise CaptureError(f"{path}, {frame}: it has a value that makes no sense ({error}).") from error


def matrix_4x4(rows: Any) -> np.ndarray:
    """(4, 4) float64 of nested lists; (3, 4) gets its last row. Raises ValueError."""
    matrix = np.array(rows, dtype=np.float64)
    if matrix.shape == (3, 4):
        matrix = np.vstack([matrix, [0, 0, 0, 1]])
    if matrix.shape != (4, 4):
        raise ValueError(f"a matrix of shape {matrix.shape} where (4, 4) is wanted")
    return matrix


def inverse(matrix: np.ndarray) -> np.ndarray:
    """World to camera <-> camera to world, (4, 4). Raises ValueError."""
    try:
        return np.linalg.inv(matrix)
    except np.linalg.LinAlgError as error:
        raise ValueError("a pose that is singular") from error


def without_scale(camera_to_world: np.ndarray) -> np.ndarray:
    """A pose whose axes all have one length, with axes of length 1: the same camera. Others as they are."""
    lengths = np.linalg.norm(camera_to_world[:3, :3], axis=0)
    scale = lengths.mean()
    if not 0 < scale < np.inf or np.abs(lengths / scale - 1).max() > ROTATION_TOLERANCE:
        return camera_to_world
    pose = camera_to_world.copy()
    pose[:3, :3] /= scale
    return pose


def from_opengl(camera_to_world: np.ndarray) -> np.ndarray:
    """A pose with OpenGL axes (x right, y up, looking along -z) -> ours."""
    return camera_to_world @ OPENCV_FROM_OPENGL


def size_by_pillow(path: Path) -> tuple[int, int]:
    """A photo's (width, height). Raises CaptureError."""
    try:
        return picture_size(path)
    except ImportError as error:
        raise CaptureError(f"{path}: the capture does not tell the photo's size: add w and h to its file.") from error
    except (Unreadable, OSError) as error:
        reason = why(error, "picture")
        raise CaptureError(f"{path}: the photo cannot be read ({reason}): replace it or remove its frame.") from error


def finite_points(places: Any) -> np.ndarray:
    """(N, 3) float64 of lists of numbers, or of words that are numbers. Raises ValueError."""
    points = np.array(places, dtype=np.float64).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise ValueError("a point with numbers that are not finite")
    return points


def mean_up(cameras: list[Camera]) -> np.ndarray | None:
    """The direction (3,) that is up in the photos on average; None where they do not agree."""
    up = -np.mean([camera.camera_to_world[:3, 1] for camera in cameras], axis=0) if cameras else np.zeros(3)
    length = np.linalg.norm(up)
    return up / length if length > 0.1 else None
