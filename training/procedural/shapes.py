"""The simple solids that things are composed of, and the ways to deform them.

A solid fills about the cube [-1, 1]^3. Those that can be cut, or cut others, know which points are inside of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from .meshes import Mesh, box, disc, joined, lathe, patch

TORUS_TUBE = 0.35  # Radius of the tube; the ring's own is what remains to 1.
CAPSULE_RADIUS = 0.55
TURNS = 20  # Corners of what is round.
Outline = tuple[np.ndarray, np.ndarray]  # (radius, z) (K, 2) and normals (K, 2) of what is turned around z


@dataclass(frozen=True, slots=True)
class Shape:
    """A solid. mesh: finer where it will be deformed. contains: points (N, 3) -> bool (N,); its bars, if a wire frame
    is made of it: starts and ends (E, 3)."""

    mesh: Callable[[bool], Mesh]
    contains: Callable[[Tensor], Tensor]
    bars: Callable[[], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Each slice of constant z is scaled, turned and shifted: taper, twist and bend in one map that can be undone.

    taper: growth of the slice's size from the middle to z = 1. twist: radians from the middle to z = 1.
    bend: (2,) how far the ends are shifted.
    """

    taper: float = 0.0
    twist: float = 0.0
    bend: tuple[float, float] = (0.0, 0.0)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) -> (N, 3)."""
        x, y, z = points.T
        scale, cosine, sine = 1 + self.taper * z, np.cos(self.twist * z), np.sin(self.twist * z)
        east, north = (amount * (z * z - 0.5) for amount in self.bend)
        return np.stack([scale * (cosine * x - sine * y) + east, scale * (sine * x + cosine * y) + north, z], axis=-1)

    def undo(self, points: Tensor) -> Tensor:
        """(N, 3) -> (N, 3)."""
        x, y, z = points.unbind(-1)
        scale, cosine, sine = 1 + self.taper * z, (self.twist * z).cos(), (self.twist * z).sin()
        scale = torch.where(scale.abs() < 1e-3, 1e-3, scale)
        x, y = (x - self.bend[0] * (z * z - 0.5)) / scale, (y - self.bend[1] * (z * z - 0.5)) / scale
        return torch.stack([cosine * x + sine * y, cosine * y - sine * x, z], dim=-1)


@dataclass(frozen=True, slots=True, eq=False)
class Ripple:
    """A height field: points move from or to the middle by a sum of waves. waves: (K, 3) radians a unit; phases (K,);
    height: the largest share of the distance to the middle, below 0.5."""

    waves: np.ndarray
    phases: np.ndarray
    height: float

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) -> (N, 3)."""
        heights = np.sin(points @ self.waves.T + self.phases).mean(axis=-1, keepdims=True)
        return points * (1 + self.height * heights)


def _box_bars() -> tuple[np.ndarray, np.ndarray]:
    """The edges, and a cross bar on each side."""
    starts, ends = [], []
    for axis in range(3):
        for one in (-1.0, 0.0, 1.0):
            for other in (-1.0, 0.0, 1.0):
                if one == other == 0:
                    continue
                ends.append(np.insert([one, other], axis, 1.0))
                starts.append(np.insert([one, other], axis, -1.0))
    return np.array(starts), np.array(ends)


def _lathe_bars(outline: np.ndarray, turns: int, closed: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Rings and ribs of an outline (K, 2)."""
    angles = np.arange(turns) * (2 * np.pi / turns)
    x, y = (outline[:, :1] * function(angles) for function in (np.cos, np.sin))
    points = np.stack([x, y, np.broadcast_to(outline[:, 1:], x.shape)], -1)  # (K, turns, 3)
    rings = points[outline[:, 0] > 1e-6]
    upper = np.roll(points, -1, axis=0) if closed else points[1:]
    lower = points if closed else points[:-1]
    starts = np.concatenate([rings.reshape(-1, 3), lower.reshape(-1, 3)])
    ends = np.concatenate([np.roll(rings, -1, axis=1).reshape(-1, 3), upper.reshape(-1, 3)])
    return starts, ends


def arc(start: float, end: float, corners: int, radius: float = 1.0, middle: tuple[float, float] = (0, 0)) -> Outline:
    """Points (K, 2) and normals (K, 2) of an outline that is part of a circle; angles from the horizon."""
    angles = np.linspace(start, end, corners)
    normals = np.stack([np.cos(angles), np.sin(angles)], -1)
    return radius * normals + middle, normals


def _ball(fine: bool) -> Mesh:
    outline, normals = arc(-np.pi / 2, np.pi / 2, 15 if fine else 10)
    return lathe(outline, normals, 28 if fine else TURNS, 0)


def _torus(fine: bool) -> Mesh:
    outline, normals = arc(-np.pi, np.pi, 11 if fine else 9, TORUS_TUBE, (1 - TORUS_TUBE, 0))
    return lathe(outline, normals, 28 if fine else TURNS, 0, repeats=4)


def _capsule(fine: bool) -> Mesh:
    outline, normals = _capsule_outline(7 if fine else 5)
    return lathe(outline, normals, TURNS, 0)


def _capsule_outline(corners: int) -> Outline:
    straight = 1 - CAPSULE_RADIUS
    low = arc(-np.pi / 2, 0, corners, CAPSULE_RADIUS, (0, -straight))
    high = arc(0, np.pi / 2, corners, CAPSULE_RADIUS, (0, straight))
    return np.concatenate([low[0], high[0]]), np.concatenate([low[1], high[1]])


def frustum(top: float, fine: bool, turns: int = TURNS) -> Mesh:
    """A cone around z of radius 1 at z = -1 and `top` at z = 1; top = 1 is a cylinder."""
    z = np.linspace(-1, 1, 7 if fine else 2)
    slope = (top - 1) / 2
    outline = np.stack([(1 + top) / 2 + slope * z, z], -1)
    normals = np.broadcast_to(np.array([1, -slope]) / np.hypot(1, slope), outline.shape)
    sides = lathe(outline, normals, turns, 0)
    return joined([sides, disc(top, 1.0, turns, 1, up=True), disc(1.0, -1.0, turns, 2, up=False)])


def prism(corners: int, top: float, fine: bool) -> Mesh:
    """A column of flat sides, a pyramid where `top` is 0; the caps are its last two sides."""
    cells = np.linspace(0, 1, 5 if fine else 2)
    angles = np.linspace(0, 2 * np.pi, corners + 1)
    rim = np.stack([np.sin(angles), -np.cos(angles)], -1)
    slope = (top - 1) / 2
    meshes = []
    for side, (left, right) in enumerate(zip(rim[:-1], rim[1:], strict=True)):
        v, u = np.meshgrid(cells, cells, indexing="ij")
        across = left + u[..., None] * (right - left)
        points = np.concatenate([across * (1 + (top - 1) * v)[..., None], (2 * v - 1)[..., None]], -1)
        outward = np.append((left + right) / 2, 0.0)
        reach = np.linalg.norm(outward)
        normal = np.append(outward[:2] / reach, -slope * reach)
        meshes.append(
            patch(points, np.broadcast_to(normal / np.linalg.norm(normal), points.shape), np.stack([u, v], -1), side)
        )
    meshes.append(disc(1.0, -1.0, corners, corners + 1, up=False))
    if top > 0:
        meshes.append(disc(top, 1.0, corners, corners, up=True))
    return joined(meshes)


def _in_frustum(top: float) -> Callable[[Tensor], Tensor]:
    def contains(points: Tensor) -> Tensor:
        radius = (1 + top) / 2 + (top - 1) / 2 * points[:, 2]
        return (points[:, :2].norm(dim=-1) < radius) & (points[:, 2].abs() < 1)

    return contains


def _in_torus(points: Tensor) -> Tensor:
    return torch.hypot(points[:, :2].norm(dim=-1) - (1 - TORUS_TUBE), points[:, 2]) < TORUS_TUBE


def _in_capsule(points: Tensor) -> Tensor:
    beyond = (points[:, 2].abs() - (1 - CAPSULE_RADIUS)).clamp_min(0)
    return torch.hypot(points[:, :2].norm(dim=-1), beyond) < CAPSULE_RADIUS


def _frustum_shape(top: float) -> Shape:
    outline = np.array([[1.0, -1.0], [(1 + top) / 2, 0.0], [top, 1.0]])
    return Shape(cache(lambda fine: frustum(top, fine)), _in_frustum(top), lambda: _lathe_bars(outline, 8))


SHAPES = {
    "ball": Shape(
        cache(_ball), lambda points: points.norm(dim=-1) < 1, lambda: _lathe_bars(arc(-np.pi / 2, np.pi / 2, 5)[0], 8)
    ),
    "box": Shape(cache(lambda fine: box(5 if fine else 1)), lambda points: (points.abs() < 1).all(dim=-1), _box_bars),
    "cylinder": _frustum_shape(1.0),
    "cone": _frustum_shape(0.06),
    "frustum": _frustum_shape(0.5),
    "torus": Shape(
        cache(_torus),
        _in_torus,
        lambda: _lathe_bars(arc(-np.pi, np.pi, 6, TORUS_TUBE, (1 - TORUS_TUBE, 0))[0][:-1], 10, closed=True),
    ),
    "capsule": Shape(cache(_capsule), _in_capsule, lambda: _lathe_bars(_capsule_outline(5)[0], 6)),
}
