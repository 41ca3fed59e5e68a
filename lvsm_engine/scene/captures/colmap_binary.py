"""COLMAP's binary files: cameras.bin, images.bin, points3D.bin, rigs.bin, frames.bin (colmap.github.io/format.html).

Little-endian. A count is believed only as far as the file's size can hold it.
"""

import array
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...errors import CaptureError
from .colmap_model import (
    CAMERA_MODELS,
    POSE_NUMBERS,
    ColmapCamera,
    ColmapFrame,
    ColmapImage,
    ColmapModel,
    add_once,
    pose_matrix,
)

_COUNT = struct.Struct("<Q")
_NUMBER = struct.Struct("<I")
_FLAG = struct.Struct("<B")
_POSE = struct.Struct(f"<{POSE_NUMBERS}d")
_CAMERA = struct.Struct("<IiQQ")  # id, model, width, height
_POINT = struct.Struct("<Q3d3BdQ")  # id, x, y, z, colour, error, length of track
_SENSOR = struct.Struct("<iI")  # kind, id
_DATUM = struct.Struct("<iIQ")  # kind and id of the sensor, id of the image
_CAMERA_KIND = 0
OBSERVATION_BYTES, TRACK_BYTES = 24, 8
# What an entry takes at least.
LEAST_CAMERA, LEAST_IMAGE = _CAMERA.size + 16, 2 * _NUMBER.size + _POSE.size + 1 + _COUNT.size
LEAST_RIG, LEAST_FRAME = 2 * _NUMBER.size, 3 * _NUMBER.size + _POSE.size


def read_model(folder: Path) -> ColmapModel:
    """The model of a folder's binary files. Raises CaptureError with the file."""
    points, rigs, frames = (folder / f"{name}.bin" for name in ("points3D", "rigs", "frames"))
    has_frames = rigs.is_file() and frames.is_file()
    return ColmapModel(
        cameras=_cameras(folder / "cameras.bin"),
        images=_images(folder / "images.bin"),
        points=_points(points) if points.is_file() else np.zeros((0, 3)),
        rigs=_rigs(rigs) if has_frames else {},
        frames=_frames(frames) if has_frames else {},
    )


def count_images(folder: Path) -> int:
    """How many images images.bin has. Raises CaptureError with the file."""
    return len(_images(folder / "images.bin"))


class _Bytes:
    """A file's bytes, taken from its start; each step is checked against its end."""

    def __init__(self, path: Path) -> None:
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise CaptureError(f"{path} cannot be read ({error.strerror}): choose another file.") from error
        self.path, self.at = path, 0

    def _advance(self, size: int) -> int:
        """The place from which so many bytes are taken."""
        begin = self.at
        if size > len(self.data) - begin:
            raise ValueError("it is cut short")
        self.at += size
        return begin

    def take(self, layout: struct.Struct) -> tuple:
        return layout.unpack_from(self.data, self._advance(layout.size))

    def whole(self) -> int:
        return self.take(_NUMBER)[0]

    def count(self, layout: struct.Struct, least: int) -> range:
        """A count of entries that take so many bytes at least."""
        (count,) = self.take(layout)
        most = (len(self.data) - self.at) // least
        if count > most:
            raise ValueError(f"it is cut short (it says {count} entries, and has bytes for {most} at most)")
        return range(count)

    def skip(self, count: int, size: int) -> None:
        self._advance(count * size)

    def name(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise ValueError("it is cut short within a name")
        name = self.data[self.at : end]
        self.at = end + 1
        return name.decode("utf-8", "surrogateescape")

    def pose(self) -> np.ndarray:
        return pose_matrix(self.take(_POSE))


@contextmanager
def _whole_file(path: Path) -> Iterator[_Bytes]:
    """A file that must be read to its end. Whatever is wrong is told with the file and the place."""
    source = _Bytes(path)
    try:
        yield source
        if source.at != len(source.data):
            raise ValueError("it goes on after its last entry")
    except (ValueError, OverflowError) as error:
        raise CaptureError(f"{path}, byte {source.at}: {error}: copy or export the model again.") from error


def _cameras(path: Path) -> dict[int, ColmapCamera]:
    cameras: dict[int, ColmapCamera] = {}
    models = list(CAMERA_MODELS)
    with _whole_file(path) as source:
        for _ in source.count(_COUNT, LEAST_CAMERA):
            identifier, model, width, height = source.take(_CAMERA)
            if not 0 <= model < len(models):
                raise ValueError(f"the camera {identifier} has the unknown model {model}")
            parameters = source.take(struct.Struct(f"<{len(CAMERA_MODELS[models[model]])}d"))
            add_once(cameras, identifier, ColmapCamera(models[model], width, height, parameters))
    return cameras


def _images(path: Path) -> dict[int, ColmapImage]:
    images: dict[int, ColmapImage] = {}
    with _whole_file(path) as source:
        for _ in source.count(_COUNT, LEAST_IMAGE):
            identifier, pose = source.whole(), source.pose()
            camera_id, name = source.whole(), source.name()
            source.skip(len(source.count(_COUNT, OBSERVATION_BYTES)), OBSERVATION_BYTES)
            add_once(images, identifier, ColmapImage(name, camera_id, pose))
    return images


def _points(path: Path) -> np.ndarray:
    """(N, 3) float64."""
    coordinates = array.array("d")
    with _whole_file(path) as source:
        for _ in source.count(_COUNT, _POINT.size):
            _, x, y, z, *_, track = source.take(_POINT)
            coordinates.extend((x, y, z))
            source.skip(track, TRACK_BYTES)
        points = np.array(coordinates, dtype=np.float64).reshape(-1, 3)
        if not np.isfinite(points).all():
            raise ValueError("it has a point with numbers that are not finite")
    return points


def _rigs(path: Path) -> dict[int, dict[int, np.ndarray | None]]:
    rigs: dict[int, dict[int, np.ndarray | None]] = {}
    with _whole_file(path) as source:
        for _ in source.count(_COUNT, LEAST_RIG):
            identifier = source.whole()
            cameras: dict[int, np.ndarray | None] = {}
            for position in source.count(_NUMBER, _SENSOR.size):
                kind, sensor = source.take(_SENSOR)
                is_reference = position == 0
                has_pose = not is_reference and source.take(_FLAG)[0] != 0
                pose = np.eye(4) if is_reference else source.pose() if has_pose else None
                if kind == _CAMERA_KIND:
                    add_once(cameras, sensor, pose)
            add_once(rigs, identifier, cameras)
    return rigs


def _frames(path: Path) -> dict[int, ColmapFrame]:
    frames: dict[int, ColmapFrame] = {}
    with _whole_file(path) as source:
        for _ in source.count(_COUNT, LEAST_FRAME):
            identifier, rig, pose = source.whole(), source.whole(), source.pose()
            data = [source.take(_DATUM) for _ in source.count(_NUMBER, _DATUM.size)]
            images = tuple((sensor, image) for kind, sensor, image in data if kind == _CAMERA_KIND)
            add_once(frames, identifier, ColmapFrame(rig, pose, images))
    return frames
