"""COLMAP's text files: cameras.txt, images.txt, points3D.txt, rigs.txt, frames.txt (colmap.github.io/format.html).

Read as scripts and spreadsheets leave them, too, where the meaning is certain: any line ends and byte-order mark, no
empty line after an image without points, decimal commas, quaternions of any length. Memory stays within a file's size.
"""

import array
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...errors import CaptureError
from .colmap_model import POSE_NUMBERS, ColmapCamera, ColmapFrame, ColmapImage, ColmapModel, add_once, pose_matrix

IMAGE_WORDS = 10
# Enough of a line's words to tell what a photo sees, which is numbers in threes, from a photo with a name.
TELLING_WORDS = 12
_IMAGE_COUNT = re.compile(r"#\s*Number of images:\s*(\d{1,18})")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")


def read_model(folder: Path) -> ColmapModel:
    """The model of a folder's text files. Raises CaptureError with file and line."""
    images, warnings = _images(folder / "images.txt")
    points, rigs, frames = (folder / f"{name}.txt" for name in ("points3D", "rigs", "frames"))
    has_frames = rigs.is_file() and frames.is_file()
    return ColmapModel(
        cameras=_cameras(folder / "cameras.txt"),
        images=images,
        points=_points(points) if points.is_file() else np.zeros((0, 3)),
        rigs=_rigs(rigs) if has_frames else {},
        frames=_frames(frames) if has_frames else {},
        warnings=warnings,
    )


def count_images(folder: Path) -> int:
    """How many images images.txt has. Raises CaptureError with file and line."""
    return len(_images(folder / "images.txt")[0])


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """A file's lines with their numbers, from 1. Bytes that are no UTF-8 become surrogates."""
    try:
        with open(path, "rb") as file:
            is_utf_16 = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
        encoding = "utf-16" if is_utf_16 else "utf-8-sig"
        with open(path, encoding=encoding, errors="surrogateescape") as text:
            yield from enumerate(text, 1)
    except OSError as error:
        raise CaptureError(f"{path} cannot be read ({error.strerror}): choose another file.") from error
    except UnicodeError as error:
        raise CaptureError(f"{path} is no text ({error}): export the model again.") from error


def _entries(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are neither empty nor a comment."""
    return ((number, line) for number, line in _lines(path) if line.strip() and not line.startswith("#"))


@contextmanager
def _at(path: Path, number: int) -> Iterator[None]:
    """Whatever is wrong with a line is told with the file and the line."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise CaptureError(f"{path}, line {number}: {error}: correct the line, or export the model again.") from error


def _numbers(words: Sequence[str]) -> list[float]:
    """Raises ValueError, also for commas that may part decimals or thousands."""
    if any("," in word for word in words):
        commas = [word for word in words if "," in word]
        if any("." in word for word in words) or all(_THOUSANDS.fullmatch(word) for word in commas):
            raise ValueError(f"'{commas[0][:40]}' is no number with a decimal point")
        words = [word.replace(",", ".") for word in words]
    numbers = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError:
            raise ValueError(f"'{word[:40]}' is no number") from None
    return numbers


def _whole(word: str) -> int:
    """A count or an identifier, which a spreadsheet may write as 1.0. Raises ValueError."""
    (number,) = _numbers([word])
    if not number.is_integer():
        raise ValueError(f"'{word[:40]}' is no whole number")
    return int(number)


def _wanted(words: Sequence[str], count: int, what: str) -> Sequence[str]:
    if len(words) < count:
        raise ValueError(f"{len(words)} words where {what} is wanted")
    return words


def _cameras(path: Path) -> dict[int, ColmapCamera]:
    cameras: dict[int, ColmapCamera] = {}
    for number, line in _entries(path):
        with _at(path, number):
            words = _wanted(line.split(), 5, "CAMERA_ID MODEL WIDTH HEIGHT PARAMS")
            camera = ColmapCamera(words[1], _whole(words[2]), _whole(words[3]), tuple(_numbers(words[4:])))
            add_once(cameras, _whole(words[0]), camera)
    return cameras


def _images(path: Path) -> tuple[dict[int, ColmapImage], tuple[str, ...]]:
    """The images, and a warning where the file's head says another count.

    An image is a line, and the line after it is what it sees, if it is empty or numbers in threes.
    """
    images: dict[int, ColmapImage] = {}
    told, is_after_an_image = None, False
    for number, line in _lines(path):
        if line.startswith("#"):
            head = _IMAGE_COUNT.match(line)
            told = int(head[1]) if head else told
        elif is_after_an_image and _are_observations(line.split()):
            is_after_an_image = False
        elif line.strip():
            with _at(path, number):
                add_once(images, *_image(line))
            is_after_an_image = True
    if told is not None and told != len(images):
        return images, (f"{path} says that it has {told} images, and has {len(images)}: it may be cut short.",)
    return images, ()


def _are_observations(words: Sequence[str]) -> bool:
    """Whether a line's words are X, Y, POINT3D_ID, any number of times."""
    return len(words) % 3 == 0 and all(map(_is_number, (*words[:TELLING_WORDS], *words[-1:])))


def _is_number(word: str) -> bool:
    try:
        float(word.replace(",", "."))
    except ValueError:
        return False
    return True


def _image(line: str) -> tuple[int, ColmapImage]:
    words = line.split(None, IMAGE_WORDS - 1)
    _wanted(words, IMAGE_WORDS, "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME")
    pose = pose_matrix(_numbers(words[1 : 1 + POSE_NUMBERS]))
    return _whole(words[0]), ColmapImage(words[9].strip(), _whole(words[8]), pose)


def _points(path: Path) -> np.ndarray:
    """(N, 3) float64."""
    coordinates = array.array("d")
    for number, line in _entries(path):
        with _at(path, number):
            words = _wanted(line.split(None, 8), 8, "POINT3D_ID X Y Z R G B ERROR")
            point = _numbers(words[1:4])
            if not np.isfinite(point).all():
                raise ValueError("a point with numbers that are not finite")
            coordinates.extend(point)
    return np.array(coordinates, dtype=np.float64).reshape(-1, 3)


class _Words:
    """A line's words, taken from its start."""

    def __init__(self, line: str) -> None:
        self._words, self._at = line.split(), 0

    def take(self, count: int) -> Sequence[str]:
        self._at += count
        if self._at > len(self._words):
            raise ValueError("the line is cut short")
        return self._words[self._at - count : self._at]

    def whole(self) -> int:
        return _whole(self.take(1)[0])

    def pose(self) -> np.ndarray:
        return pose_matrix(_numbers(self.take(POSE_NUMBERS)))


def _rigs(path: Path) -> dict[int, dict[int, np.ndarray | None]]:
    rigs: dict[int, dict[int, np.ndarray | None]] = {}
    for number, line in _entries(path):
        with _at(path, number):
            words = _Words(line)
            identifier, count = words.whole(), words.whole()
            cameras: dict[int, np.ndarray | None] = {}
            for position in range(count):
                kind, sensor = words.take(1)[0], words.whole()
                is_reference = position == 0
                has_pose = not is_reference and words.whole() != 0
                pose = np.eye(4) if is_reference else words.pose() if has_pose else None
                if kind == "CAMERA":
                    add_once(cameras, sensor, pose)
            add_once(rigs, identifier, cameras)
    return rigs


def _frames(path: Path) -> dict[int, ColmapFrame]:
    frames: dict[int, ColmapFrame] = {}
    for number, line in _entries(path):
        with _at(path, number):
            words = _Words(line)
            identifier, rig, pose = words.whole(), words.whole(), words.pose()
            data = [(words.take(1)[0], words.whole(), words.whole()) for _ in range(words.whole())]
            images = tuple((sensor, image) for kind, sensor, image in data if kind == "CAMERA")
            add_once(frames, identifier, ColmapFrame(rig, pose, images))
    return frames
