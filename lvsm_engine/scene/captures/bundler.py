"""bundle.out of Bundler, and of the solvers that write its format, with the photos' names in list.txt.

By Bundler's user manual, "Output format": a camera is f k1 k2, a rotation and a translation, world to camera with OpenGL
axes; pixels count from the picture's middle. The picture's size is the photo's. A camera of f = 0 was not solved.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...errors import CaptureError
from ..camera import Camera, Distortion
from .capture import Capture, Found, PhotoSize, from_opengl, inverse, reading
from .frames import Frame, capture_of, file_name

NAME = "Bundler .out"
PATTERNS = ("*.out",)
HEAD = "# Bundle file"
POINT_LINES = 3
# A name's line may go on with a zero and the focal length that the photo's EXIF tells.
_EXIF = re.compile(r"\s0\s+[-+.\deE]+$")


Lines = Iterator[tuple[int, str]]


def in_folder(folder: Path) -> Found | None:
    """The folder's bundle.out, or bundle/bundle.out."""
    files = (folder / "bundle.out", folder / "bundle" / "bundle.out")
    return next((Found((file,)) for file in files if file.is_file()), None)


def of_file(path: Path) -> tuple[Path, ...]:
    """The file, where it begins as Bundler's do."""
    if path.suffix.lower() != ".out" or not path.is_file():
        return ()
    with reading(path, "its head"), open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        return (path,) if file.readline(100).startswith(HEAD) else ()


def read(files: tuple[Path, ...], photo_size: PhotoSize) -> Capture:
    """The solved cameras of the file, in its order, and its points. Raises CaptureError, CameraError."""
    (file,) = files
    names_file, names = _names(file)
    with reading(file, "its text"), open(file, encoding="utf-8-sig", errors="surrogateescape") as text:
        lines = ((number, line) for number, line in enumerate(text, 1) if line.strip() and not line.startswith("#"))
        cameras, points = _counts(file, lines)
        if cameras > len(names):
            raise CaptureError(
                f"it has {cameras} cameras, and {names_file} only {len(names)} names: use its own list.txt."
            )
        frames = [frame for name in names[:cameras] if (frame := _frame(file, name, lines)) is not None]
        places = _points(file, points, lines)
    if not frames:
        raise CaptureError(f"{file} has no solved camera: solve the photos again.")
    unsolved = cameras - len(frames)
    warnings = (f"{unsolved} photos of {file} were not solved and are left out.",) if unsolved else ()
    folders = [file.parent, file.parent.parent]
    return capture_of(frames, folders, photo_size, places if len(places) else None, warnings)


def _names(file: Path) -> tuple[Path, list[str]]:
    """The list of photos' names, and the names, in the order of the cameras. Raises CaptureError where there is none."""
    beside = [file.with_name(file.name + ".list.txt"), file.with_suffix(".list.txt")]
    usual = [folder / name for folder in (file.parent, file.parent.parent) for name in ("list.txt", "list.tmp.txt")]
    found = next((path for path in (*beside, *usual) if path.is_file()), None)
    if found is None:
        raise CaptureError(f"{file} has no list.txt with the photos' names beside it: put it there.")
    with reading(found, "its text"):
        lines = found.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
        return found, [file_name(_EXIF.sub("", line.strip()).strip()) for line in lines if line.strip()]


def _numbers(file: Path, lines: Lines, wanted: int) -> np.ndarray:
    """The next line's numbers, of which there must be so many. Raises CaptureError with the line."""
    number, line = next(lines, (0, ""))
    if not number:
        raise CaptureError(f"{file} is cut short: copy or export it again.")
    with reading(file, f"line {number}"):
        numbers = np.array([float(word) for word in line.split()])
        if len(numbers) != wanted:
            raise ValueError(f"{len(numbers)} numbers where {wanted} are wanted")
        if not np.isfinite(numbers).all():
            raise ValueError("a number that is not finite")
        return numbers


def _counts(file: Path, lines: Lines) -> tuple[int, int]:
    cameras, points = (int(count) for count in _numbers(file, lines, 2))
    return cameras, points


def _frame(file: Path, name: str, lines: Lines) -> Frame | None:
    """The next camera; None where it was not solved."""
    focal, k1, k2 = _numbers(file, lines, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = [_numbers(file, lines, 3) for _ in range(3)]
    matrix[:3, 3] = _numbers(file, lines, 3)
    if focal == 0:
        return None
    place = f"camera of {name}"
    with reading(file, place):
        pose = from_opengl(inverse(matrix))

    def camera(width: int, height: int) -> tuple[Camera, Distortion | None]:
        distortion = Distortion("brown", (float(k1), float(k2), 0.0, 0.0)) if k1 or k2 else None
        return Camera(pose, float(focal), float(focal), width / 2, height / 2, width, height), distortion

    return Frame(file, place, name, None, camera)


def _points(file: Path, count: int, lines: Lines) -> np.ndarray:
    """(N, 3): of each point's lines, its place, its colour and what sees it, the first."""
    places = []
    for _ in range(count):
        places.append(_numbers(file, lines, 3))
        if len(list(itertools.islice(lines, POINT_LINES - 1))) < POINT_LINES - 1:
            raise CaptureError(f"{file} is cut short: copy or export it again.")
    return np.array(places).reshape(-1, 3)
