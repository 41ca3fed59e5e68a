"""One scene's posed views: as they are stored, and at the size that is trained on.

Reads the .npz files that training.render and training.procedural write: images (V, S, S, 3 or 4), camera_to_world
(V, 4, 4), fxfycxcy (V, 4) of one scene, or of many (one axis more). Images are uint8, sRGB-encoded, a fourth channel
straight alpha. Knows nothing of folders, batches and shards.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import cv2
import numpy as np

from lvsm_engine.errors import LvsmError
from lvsm_engine.scene.srgb import to_linear, to_srgb
from lvsm_engine.whole_files import refuse_pipe

UNREADABLE = (OSError, KeyError, ValueError, EOFError, RuntimeError, MemoryError, BadZipFile, struct.error, zlib.error)
"""What numpy and zipfile raise for a damaged .npz (found by damaging them at random)."""

_CODES = np.arange(256) / 255
_LINEAR = to_linear(_CODES)
_LINEAR_RGB = np.repeat(_LINEAR[:, None], 3, axis=1)[None].astype(np.float32)  # (1, 256, 3), as cv2.LUT wants it
_LINEAR_RGBA = np.concatenate([_LINEAR_RGB, _CODES[None, :, None].astype(np.float32)], axis=-1)

# Linear light is rounded to these steps before it is looked up: 0.03 of an 8-bit code where the curve is steepest.
_STEPS = 65535
_CODE_OF_LIGHT = np.round(to_srgb(np.arange(_STEPS + 1) / _STEPS) * 255).astype(np.uint8)


class ViewsError(LvsmError):
    """Posed views cannot be used: a folder, a file, a record."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredScene:
    """One scene as it is stored.

    images: (V, S, S, 3 or 4) uint8, sRGB-encoded, a fourth channel straight alpha.
    camera_to_world: (V, 4, 4) float64, OpenCV axes. fxfycxcy: (V, 4) float64, pixels of these images.
    """

    name: str
    images: np.ndarray
    camera_to_world: np.ndarray
    fxfycxcy: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One scene at one image size.

    images: (V, S, S, 3) uint8, sRGB-encoded, over white. alpha: (V, S, S) uint8, 255 where the subject is.
    camera_to_world: (V, 4, 4) float64, OpenCV axes. fxfycxcy: (V, 4) float64, pixels of these images.
    """

    name: str
    images: np.ndarray
    alpha: np.ndarray
    camera_to_world: np.ndarray
    fxfycxcy: np.ndarray

    def only(self, views: np.ndarray) -> "Scene":
        """The views with these numbers, in their order."""
        return Scene(
            self.name, self.images[views], self.alpha[views], self.camera_to_world[views], self.fxfycxcy[views]
        )


def at_size(stored: StoredScene, size: int) -> Scene:
    """The scene at size x size pixels over white; size divides the stored one."""
    images, alpha = resample(stored.images, size)
    scale = size / stored.images.shape[-2]
    return Scene(stored.name, images, alpha, stored.camera_to_world, stored.fxfycxcy * scale)


def resample(images: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Average areas in linear light with premultiplied alpha, then lay over white.

    images: (V, S, S, 3 or 4) uint8, S a multiple of size.
    Returns images (V, size, size, 3) and alpha (V, size, size), uint8.
    """
    stored, channels = images.shape[-2:]
    if channels == 3 and stored == size:
        return images, _opaque(len(images), size)
    small = np.empty((len(images), size, size, 3), dtype=np.uint8)
    if channels == 3:
        for view, image in enumerate(images):
            small[view] = _srgb_codes(_shrunk(cv2.LUT(image, _LINEAR_RGB), size))
        return small, _opaque(len(images), size)
    alpha = np.empty((len(images), size, size), dtype=np.uint8)
    for view, image in enumerate(images):
        mean = _shrunk(_premultiplied(image), size)  # (size, size, 4)
        small[view] = _srgb_codes(mean[..., :3] + (1 - mean[..., 3:]))
        alpha[view] = np.round(mean[..., 3] * 255)
    return small, alpha


def view_files(folder: Path) -> list[Path]:
    """The .npz files of a folder, in the order of their names. Raises ViewsError where there is none."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise ViewsError(f"{folder} has no views: make them with training.render or training.procedural.")
    return files


def read_file(path: Path) -> Iterator[StoredScene]:
    """The scenes of a .npz file; the second of many in "pool.npz" is called "pool/1". Raises ViewsError."""
    try:
        refuse_pipe(path)
        with np.load(path) as file:
            images, poses, fxfycxcy = (file[key] for key in ("images", "camera_to_world", "fxfycxcy"))
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    if images.ndim == 4:
        images, poses, fxfycxcy = images[None], poses[None], fxfycxcy[None]
    _check(path, images, poses, fxfycxcy)
    for name, *scene in zip(scene_names(path, len(images)), images, poses, fxfycxcy, strict=True):
        yield StoredScene(name, *scene)


def scene_names(path: Path, scenes: int) -> list[str]:
    """What the scenes of a file are called."""
    return [path.stem] if scenes == 1 else [f"{path.stem}/{number}" for number in range(scenes)]


def stored_shape(path: Path) -> tuple[int, int, int]:
    """Scenes, views of each and pixels a side in a .npz file, told by its head alone. Raises ViewsError."""
    try:
        refuse_pipe(path)
        with ZipFile(path) as archive, archive.open("images.npy") as member:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, _ = read(member)
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    if len(shape) not in (4, 5):
        raise ViewsError(f"{path} has images of shape {shape}: (V, S, S, 3 or 4) is wanted; make it again.")
    return (shape[0] if len(shape) == 5 else 1), shape[-4], shape[-2]


def check_divisor(path: Path, stored: int, size: int) -> None:
    """Raise ViewsError where images of `stored` pixels cannot be averaged to `size`."""
    if stored % size:
        raise ViewsError(f"{path} has images of {stored} pixels: {size} is not a divisor of that, choose one that is.")


def _check(path: Path, images: np.ndarray, poses: np.ndarray, fxfycxcy: np.ndarray) -> None:
    N, V, H, W, channels = images.shape
    fits = images.dtype == np.uint8 and H == W and channels in (3, 4) and N > 0 and V > 0
    if not (fits and poses.shape == (N, V, 4, 4) and fxfycxcy.shape == (N, V, 4)):
        raise ViewsError(
            f"{path} has images {images.shape} of {images.dtype}, poses {poses.shape} and fxfycxcy {fxfycxcy.shape}:"
            " they do not belong together; make it again."
        )


def _unreadable(path: Path, error: Exception) -> ViewsError:
    return ViewsError(f"{path} cannot be read ({error}): delete it and make it again.")


def _opaque(views: int, size: int) -> np.ndarray:
    return np.broadcast_to(np.uint8(255), (views, size, size))


def _premultiplied(image: np.ndarray) -> np.ndarray:
    """(S, S, 4) uint8, straight alpha -> linear light times alpha, and alpha: (S, S, 4) float32."""
    light = cv2.LUT(image, _LINEAR_RGBA)
    alpha = cv2.extractChannel(light, 3)
    # Four times faster than numpy's product over a part of the channels.
    return cv2.multiply(light, cv2.merge((alpha, alpha, alpha, np.ones_like(alpha))))


def _shrunk(light: np.ndarray, size: int) -> np.ndarray:
    """Means over blocks: (S, S, C) float32 -> (size, size, C)."""
    return light if len(light) == size else cv2.resize(light, (size, size), interpolation=cv2.INTER_AREA)


def _srgb_codes(linear: np.ndarray) -> np.ndarray:
    return _CODE_OF_LIGHT[(np.clip(linear, 0, 1) * _STEPS + 0.5).astype(np.uint16)]
