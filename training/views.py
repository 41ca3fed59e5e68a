"""Batches of posed views, from the folders that training.render and training.procedural write.

    python -m training.views data/views/train --sheet sheet.png         # look at what is in a folder

A folder holds .npz files of one scene (images (V, S, S, 3 or 4), camera_to_world (V, 4, 4), fxfycxcy (V, 4)) or of
many (one axis more). Images are uint8, sRGB-encoded, a fourth channel straight alpha. Knows nothing of the model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
import tyro
from PIL import Image
from torch import Tensor

from lvsm_engine.errors import LvsmError

_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)


class ViewsError(LvsmError):
    """A folder of views cannot be used."""


@dataclass(frozen=True, slots=True, eq=False)
class SceneViews:
    """One scene at one image size, in memory.

    images: (V, S, S, 3) uint8, sRGB-encoded, over white. alpha: (V, S, S) uint8, 255 where the subject is.
    camera_to_world: (V, 4, 4) float64, OpenCV axes. fxfycxcy: (V, 4) float64, pixels of these images.
    """

    name: str
    images: np.ndarray
    alpha: np.ndarray
    camera_to_world: np.ndarray
    fxfycxcy: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class PosedImages:
    """B scenes with V views each: images (B, V, 3, S, S) float32 in [0, 1], sRGB-encoded, over white;
    camera_to_world (B, V, 4, 4) and fxfycxcy (B, V, 4) float64; alpha (B, V, S, S) float32, the subject's share."""

    names: tuple[str, ...]
    images: Tensor
    alpha: Tensor
    camera_to_world: np.ndarray
    fxfycxcy: np.ndarray


class Views:
    """Random batches from weighted folders, all of them kept in memory at one image size.

    sources: (folder, weight) pairs; each scene of a batch comes from a folder with odds in proportion to its weight.
    Raises ViewsError for an empty or unreadable folder, or one whose images are not a multiple of `size`.
    """

    def __init__(self, sources: Sequence[tuple[str | Path, float]], size: int, seed: int) -> None:
        self.size = size
        self._seed = seed
        self._folders = [list(read_scenes(Path(folder), size)) for folder, _ in sources]
        weights = np.array([weight for _, weight in sources], dtype=np.float64)
        self._odds = weights / weights.sum()

    def batch(self, number: int, scenes: int, views: int) -> PosedImages:
        """Batch `number`: scenes with different views each, a function of the seed and `number` alone."""
        generator = np.random.default_rng((self._seed, number))
        chosen = []
        for folder in generator.choice(len(self._folders), size=scenes, p=self._odds):
            scene = self._folders[folder][generator.integers(len(self._folders[folder]))]
            if views > len(scene.images):
                raise ViewsError(f"{scene.name} has {len(scene.images)} views, {views} are asked for: ask for fewer.")
            chosen.append((scene, generator.choice(len(scene.images), size=views, replace=False)))
        return _batch_of(chosen)


def load_validation(folder: str | Path, size: int) -> list[PosedImages]:
    """All scenes of a folder, each as a batch of one with all its views in their order."""
    return [_batch_of([(scene, np.arange(len(scene.images)))]) for scene in read_scenes(Path(folder), size)]


def read_scenes(folder: Path, size: int) -> Iterator[SceneViews]:
    """The scenes of a folder, in the order of their files' names, at size x size pixels."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise ViewsError(f"{folder} has no views: make them with training.render or training.procedural.")
    for path in files:
        yield from _read_file(path, size)


def resample(images: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Average areas in linear light with premultiplied alpha, then lay over white.

    images: (V, S, S, 3 or 4) uint8, S a multiple of size.
    Returns images (V, size, size, 3) and alpha (V, size, size), uint8.
    """
    stored, channels = images.shape[-2:]
    if channels == 3 and stored == size:
        return images, np.broadcast_to(np.uint8(255), images.shape[:3])
    alpha = images[..., 3:] / np.float32(255) if channels == 4 else np.ones_like(images[..., :1], dtype=np.float32)
    premultiplied = np.concatenate([_LINEAR[images[..., :3]] * alpha, alpha], axis=-1)
    block = stored // size
    # Strided sums: several times faster than a mean over reshaped axes.
    means = sum(premultiplied[:, row::block, column::block] for row, column in np.ndindex(block, block)) / block**2
    over_white = np.clip(means[..., :3] + (1 - means[..., 3:]), 0, 1)
    return _srgb_codes(over_white), np.round(means[..., 3] * 255).astype(np.uint8)


def contact_sheet(folder: Path, size: int, rows: int, columns: int) -> np.ndarray:
    """The first views of evenly spread files, a row a scene: (rows * size, columns * size, 3) uint8."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise ViewsError(f"{folder} has no views: make them with training.render or training.procedural.")
    spread = np.linspace(0, len(files) - 1, min(rows, len(files))).round().astype(int)
    strips = []
    for index in spread:
        images = next(_read_file(files[index], size)).images[:columns]
        strip = np.full((size, columns * size, 3), 255, dtype=np.uint8)
        strip[:, : len(images) * size] = np.concatenate(list(images), axis=1)
        strips.append(strip)
    return np.concatenate(strips)


def _read_file(path: Path, size: int) -> Iterator[SceneViews]:
    try:
        with np.load(path) as file:
            images, poses, lenses = (file[key] for key in ("images", "camera_to_world", "fxfycxcy"))
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise ViewsError(f"{path} cannot be read ({error}): delete it and make it again.") from error
    stored = images.shape[-2]
    if stored % size:
        raise ViewsError(f"{path} has images of {stored} pixels: {size} is not a divisor of that, choose one that is.")
    if images.ndim == 4:
        images, poses, lenses = images[None], poses[None], lenses[None]
    for number, (scene_images, scene_poses, scene_lenses) in enumerate(zip(images, poses, lenses, strict=True)):
        name = path.stem if len(images) == 1 else f"{path.stem}/{number}"
        small, alpha = resample(scene_images, size)
        yield SceneViews(name, small, alpha, scene_poses, scene_lenses * (size / stored))


def _batch_of(chosen: Sequence[tuple[SceneViews, np.ndarray]]) -> PosedImages:
    images = torch.from_numpy(np.stack([scene.images[views] for scene, views in chosen]))  # (B, V, S, S, 3)
    alpha = torch.from_numpy(np.stack([scene.alpha[views] for scene, views in chosen]))
    return PosedImages(
        names=tuple(scene.name for scene, _ in chosen),
        images=images.movedim(-1, 2).float() / 255,
        alpha=alpha.float() / 255,
        camera_to_world=np.stack([scene.camera_to_world[views] for scene, views in chosen]),
        fxfycxcy=np.stack([scene.fxfycxcy[views] for scene, views in chosen]),
    )


def _srgb_codes(linear: np.ndarray) -> np.ndarray:
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)


def main(folder: tyro.conf.Positional[Path], sheet: Path, size: int = 64, rows: int = 24, columns: int = 14) -> None:
    """Write a contact sheet of a folder of views.

    Args:
        folder: Folder of .npz files.
        sheet: The picture to write.
        size: Pixels a side of each view; a divisor of the stored size.
        rows: Scenes, spread evenly over the folder.
        columns: Views of each.
    """
    Image.fromarray(contact_sheet(folder, size, rows, columns)).save(sheet)


if __name__ == "__main__":
    tyro.cli(main)
