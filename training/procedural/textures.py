"""Square textures: drawn from noise, or taken from images in a folder; and how they are looked up, averaged by distance.

Linear colours. Row 0 of an image is its top; uv (0, 0) is its lower left corner; beyond [0, 1] it goes on mirrored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from PIL import Image
from torch import Tensor

from lvsm_engine.errors import LvsmError
from lvsm_engine.scene.picture_formats import open_picture
from lvsm_engine.scene.srgb import to_linear

SIDE = 128  # Texels of every texture, a power of 2.
LEVELS = 8  # 128, 64, ..., 1
TEXELS = sum((SIDE >> level) ** 2 for level in range(LEVELS))
SUFFIXES = (".jpg", ".jpeg", ".png")
IMAGES_IN_MEMORY = 4096  # At 48 kB each.
# Texture atlases are black where no triangle is: another window is taken where this share of it is.
BLACK, MAX_BLACK, WINDOWS_TRIED = 8, 0.25, 6
# Odds of the patterns; calm ones first, as most things in the world are of few colours.
PATTERNS = {
    "plain": 0.15,
    "gradient": 0.08,
    "noise": 0.2,
    "stripes": 0.12,
    "checker": 0.08,
    "tiles": 0.08,
    "dots": 0.05,
    "grain": 0.12,
    "label": 0.12,
}
_CODES = np.arange(256) / 255
LINEAR = to_linear(_CODES).astype(np.float32)


class TextureError(LvsmError):
    """A folder of textures cannot be used."""


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """The images of a folder, below it too, by name."""

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path) -> "ImageFolder":
        """Raises TextureError where there is none."""
        paths = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES))
        if not paths:
            raise TextureError(f"{folder} has no JPEG or PNG image: name another folder, or leave textures out.")
        return cls(paths)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """(SIDE, SIDE, 3) float32: a window of an image, upright, brighter or darker, at times as seen in a mirror."""
        for _ in range(WINDOWS_TRIED):
            image = _read_image(self.paths[rng.integers(len(self.paths))])
            side = int(rng.integers(SIDE // 3, SIDE + 1))
            top, left = rng.integers(0, SIDE - side + 1, size=2)
            window = image[top : top + side, left : left + side]
            if (window.max(axis=-1) < BLACK).mean() < MAX_BLACK:
                break
        codes = np.asarray(Image.fromarray(window).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        colours = LINEAR[codes[:, :: rng.choice([1, -1])]]
        return np.clip(colours * np.float32(rng.uniform(0.7, 1.2)), 0, 1)


@lru_cache(IMAGES_IN_MEMORY)
def _read_image(path: Path) -> np.ndarray:
    try:
        with open_picture(path) as image:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            square = image.convert("RGB").crop((left, top, left + side, top + side))
            return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BOX))
    except (OSError, ValueError) as error:
        raise TextureError(f"{path} cannot be read as an image ({error}): delete it, or replace it.") from error


def random_colour(rng: np.random.Generator, calm: bool = False) -> np.ndarray:
    """A linear colour (3,): any hue, the full ones seldom; `calm`: none of them, as of walls."""
    hue, saturation, value = rng.uniform(0, 6), rng.uniform() ** 1.5 * (0.4 if calm else 1.0), rng.uniform(0.25, 1.0)
    pure = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    return to_linear(value * (1 - saturation * (1 - pure)))


def random_pattern(rng: np.random.Generator, calm: bool = False) -> np.ndarray:
    """(SIDE, SIDE, 3) float32; `calm`: no strong contrast and colour, as of floors and walls."""
    kind = rng.choice(list(PATTERNS), p=list(PATTERNS.values()))
    first, second = random_colour(rng, calm), random_colour(rng, calm)
    second = first + (second - first) * (rng.uniform(0.1, 0.4) if calm else rng.uniform(0.3, 1.0))
    share = _share(rng, kind).astype(np.float32)[..., None]
    colours = first.astype(np.float32) + share * (second - first).astype(np.float32)
    if kind == "label":
        colours = _with_label(rng, colours)
    if rng.uniform() < 0.6:  # Wear, dirt, and the small differences of all that is real.
        colours = colours * (1 - np.float32(rng.uniform(0.1, 0.4)) * _noise(rng, 4, 4)[..., None])
    return np.clip(colours, 0, 1)


def _share(rng: np.random.Generator, kind: str) -> np.ndarray:
    """(SIDE, SIDE) in [0, 1]: how much of the second colour."""
    v, u = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    count = float(rng.integers(2, 9))
    if kind == "gradient":
        turn = rng.uniform(0, 2 * np.pi)
        return np.clip(0.5 + np.cos(turn) * (u - 0.5) + np.sin(turn) * (v - 0.5), 0, 1)
    if kind == "noise":
        return np.clip((_noise(rng, int(rng.integers(2, 9)), 4) - 0.5) * 2 ** rng.uniform(0, 3) + 0.5, 0, 1)
    if kind == "stripes":
        along = u if rng.uniform() < 0.5 else v
        along = along + rng.choice([0.0, 0.0, 1.0]) * (u + v - along)
        return ((along * count + rng.uniform()) % 1 < rng.uniform(0.3, 0.7)).astype(float)
    if kind == "checker":
        return (np.floor(u * count) + np.floor(v * count)) % 2
    if kind == "tiles":
        row = np.floor(v * count * rng.choice([1, 2]))
        across = u * count + 0.5 * (row % 2) * rng.integers(2)
        joint = (across % 1 < 0.08) | (v * (row.max() + 1) % 1 < 0.1)
        shades = rng.uniform(0, 0.35, size=(64, 64))[row.astype(int), np.floor(across).astype(int)]
        return np.where(joint, 1.0, shades)
    if kind == "dots":
        return (np.hypot(u * count % 1 - 0.5, v * count % 1 - 0.5) < rng.uniform(0.2, 0.45)).astype(float)
    if kind == "grain":  # Of wood: stretched noise, folded into rings.
        height = _noise(rng, 2, 2) * rng.uniform(0.5, 3) + u * count
        return 0.5 + 0.5 * np.sin(2 * np.pi * height)
    return np.zeros((SIDE, SIDE))


def random_sky(rng: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE, 3) float32: from the horizon, at the bottom, to the zenith, with clouds."""
    up = np.linspace(1, 0, SIDE)[:, None, None]
    zenith, horizon = np.array([0.15, 0.32, 0.75]), np.array([0.75, 0.85, 0.95])
    if rng.uniform() < 0.4:  # Dusk, haze, or the even backdrop of a studio.
        zenith, horizon = random_colour(rng), 0.5 + 0.5 * random_colour(rng)
    clouds = np.clip((_noise(rng, int(rng.integers(2, 5)), 5) - rng.uniform(0.3, 0.9)) * 3, 0, 1)[..., None]
    fade = horizon + up * (zenith - horizon)
    return (fade + clouds * (0.95 - fade)).astype(np.float32)


def _with_label(rng: np.random.Generator, colours: np.ndarray) -> np.ndarray:
    """Rectangles and lines like writing, as packages have."""
    colours = colours.copy()
    for _ in range(rng.integers(1, 5)):
        top, left = rng.integers(0, SIDE - 16, size=2)
        height, width = rng.integers(8, SIDE // 2, size=2)
        colours[top : top + height, left : left + width] = random_colour(rng)
    ink = random_colour(rng)
    for _ in range(rng.integers(0, 4)):
        glyph = int(rng.integers(2, 6))
        row, left, count = rng.integers(0, SIDE - 2 * glyph), rng.integers(0, SIDE // 2), int(rng.integers(4, 12))
        written = np.repeat(np.repeat(rng.uniform(size=(2, count)) < 0.6, glyph, axis=0), glyph, axis=1)
        window = colours[row : row + 2 * glyph, left : left + count * glyph]
        window[written[:, : window.shape[1]]] = ink
    return colours


def _noise(rng: np.random.Generator, cells: int, octaves: int) -> np.ndarray:
    """Smooth noise (SIDE, SIDE), about in [0, 1]; `cells` bumps a side, then twice as many at half the height, ..."""
    total = np.zeros((SIDE, SIDE), dtype=np.float32)
    weights = 0.5 ** np.arange(octaves, dtype=np.float32)
    for octave, weight in enumerate(weights):
        knots = min(cells * 2**octave, SIDE) + 1
        between = _smooth_steps(knots)
        total += weight * (between @ rng.random((knots, knots), dtype=np.float32) @ between.T)
    return np.clip((total / weights.sum() - 0.5) * 1.6 + 0.5, 0, 1)


@cache
def _smooth_steps(knots: int) -> np.ndarray:
    """(SIDE, knots) float32: the shares of the knots' values at each texel, smooth from one knot to the next."""
    near = np.clip(1 - np.abs(np.linspace(0, knots - 1, SIDE)[:, None] - np.arange(knots)), 0, 1)
    return (near * near * (3 - 2 * near)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class TextureTable:
    """All textures of a scene, each with its averages over 2 x 2, 4 x 4, ... texels, in one table (texels, 3)."""

    texels: Tensor

    @classmethod
    def of(cls, textures: Sequence[np.ndarray], device: torch.device) -> "TextureTable":
        level = torch.from_numpy(np.stack(textures)).to(device).movedim(-1, 1)  # (K, 3, SIDE, SIDE)
        flat = []
        for _ in range(LEVELS):
            flat.append(level.flatten(2))
            level = functional.avg_pool2d(level, 2) if level.shape[-1] > 1 else level
        return cls(torch.cat(flat, dim=-1).movedim(1, -1).reshape(-1, 3).contiguous())

    def look_up(self, texture: Tensor, uv: Tensor, footprint: Tensor) -> Tensor:
        """Colours (M, 3) of textures (M,) int64 at uv (M, 2), averaged over about `footprint` (M,) of their side."""
        level = (footprint * SIDE).clamp(1, SIDE).log2().round().long()
        sides, starts = _pyramid(uv.device)
        side = sides.index_select(0, level)
        mirrored = 1 - (uv.remainder(2) - 1).abs()
        reach = (side - 1).float()
        x = (mirrored[:, 0] * side - 0.5).clamp_min(0).minimum(reach)
        y = ((1 - mirrored[:, 1]) * side - 0.5).clamp_min(0).minimum(reach)
        left, top = x.floor(), y.floor()
        corner = texture * TEXELS + starts.index_select(0, level) + top.long() * side + left.long()
        right = (left < reach).long()
        below = torch.where(top < reach, side, 0)
        x, y = (x - left)[:, None], (y - top)[:, None]
        upper = torch.lerp(self.texels.index_select(0, corner), self.texels.index_select(0, corner + right), x)
        corner = corner + below
        lower = torch.lerp(self.texels.index_select(0, corner), self.texels.index_select(0, corner + right), x)
        return torch.lerp(upper, lower, y)


@lru_cache
def _pyramid(device: torch.device) -> tuple[Tensor, Tensor]:
    """Sides (LEVELS,) of the levels, and where they start in a texture (LEVELS,)."""
    sides = SIDE >> torch.arange(LEVELS)
    return sides.to(device), ((sides * sides).cumsum(0) - sides * sides).to(device)
