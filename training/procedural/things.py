"""Things: composed, deformed, cut and wire-framed solids with a material for each side, in the spirit of Zeroverse.

A thing is a mesh in the world's units, Z up. Knows nothing of cameras and lights; materials are numbers in a scene's list.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .meshes import Mesh, deformed, inside_out, joined, lathe, placed, struts
from .shapes import SHAPES, Ripple, Shape, Sweep, prism

MAX_PARTS = 9
# Odds of what is done to a part.
SWEPT, RIPPLED, FRAMED, CUT = 0.35, 0.2, 0.1, 0.25
MAX_CUT = 0.5  # Of a body's vertices; more would leave scraps.


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A boolean difference: the body without the cutter. Affine maps (4, 4) take the world into each one's own space."""

    body: Shape
    sweep: Sweep
    body_from_world: np.ndarray
    cutter: Shape
    cutter_from_world: np.ndarray

    def in_body(self, points: Tensor) -> Tensor:
        """World points (N, 3) -> bool (N,)."""
        return self.body.contains(self.sweep.undo(_mapped(self.body_from_world, points)))

    def in_cutter(self, points: Tensor) -> Tensor:
        """World points (N, 3) -> bool (N,)."""
        return self.cutter.contains(_mapped(self.cutter_from_world, points))


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """material (T,): of each triangle. cut (T,): 0; k: what lies in cuts[k - 1]'s cutter is not there; -k: only what lies in
    its body is."""

    mesh: Mesh
    material: np.ndarray
    cut: np.ndarray
    cuts: tuple[Cut, ...] = ()

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner (3,) of the bounding box of what is left of it."""
        if not self.cuts:
            return self.mesh.vertices.min(axis=0), self.mesh.vertices.max(axis=0)
        left = [self.mesh.vertices[self.mesh.triangles[self.cut == 0].reshape(-1)]]
        for number, cut in enumerate(self.cuts, start=1):
            body = self.mesh.vertices[np.unique(self.mesh.triangles[self.cut == number])]
            left.append(body[~cut.in_cutter(torch.from_numpy(body)).numpy()])
        vertices = np.concatenate(left)
        return vertices.min(axis=0), vertices.max(axis=0)


def assembled(things: Sequence[Thing]) -> Thing:
    """All in one."""
    starts = np.cumsum([0, *(len(thing.cuts) for thing in things[:-1])])
    return Thing(
        joined([thing.mesh for thing in things]),
        np.concatenate([thing.material for thing in things]),
        np.concatenate([thing.cut + np.sign(thing.cut) * start for thing, start in zip(things, starts, strict=True)]),
        tuple(cut for thing in things for cut in thing.cuts),
    )


def moved(thing: Thing, linear: np.ndarray, offset: np.ndarray) -> Thing:
    """Every point p of it at linear (3, 3) @ p + offset (3,)."""
    back = np.eye(4)
    back[:3, :3] = np.linalg.inv(linear)
    back[:3, 3] = -back[:3, :3] @ offset
    cuts = tuple(
        replace(cut, body_from_world=cut.body_from_world @ back, cutter_from_world=cut.cutter_from_world @ back)
        for cut in thing.cuts
    )
    return replace(thing, mesh=placed(thing.mesh, linear, offset), cuts=cuts)


def fitted(thing: Thing, size: float = 1.0) -> Thing:
    """Its bounding box centred at the origin with longest side `size`."""
    low, high = thing.bounds
    scale = size / (high - low).max()
    return moved(thing, scale * np.eye(3), -scale * (low + high) / 2)


def standing(thing: Thing, place: np.ndarray, heading: float) -> Thing:
    """Turned by `heading` radians around z, its bottom's middle at `place` (3,)."""
    turned = moved(thing, rotation_z(heading), np.zeros(3))
    low, high = turned.bounds
    middle = (low + high) / 2
    return moved(turned, np.eye(3), place - [middle[0], middle[1], low[2]])


def random_object(rng: np.random.Generator, materials: Sequence[int], max_parts: int = MAX_PARTS) -> Thing:
    """1 to 9 parts, as a heap, a tower or around an axis; fitted into the unit cube."""
    count = int(rng.integers(1, max_parts + 1))
    style = rng.choice(["heap", "tower", "wheel"], p=[0.55, 0.25, 0.2])
    parts = [random_part(rng, materials) for _ in range(count)]
    if style == "heap":
        parts = [moved(part, np.eye(3), 0.5 * _in_ball(rng)) for part in parts]
    elif style == "tower":
        parts = _stacked(rng, parts[:5])
    else:
        parts = [parts[0], *_spokes(rng, parts[-1]), *parts[1:3]]
    return fitted(assembled(parts))


def _stacked(rng: np.random.Generator, parts: Sequence[Thing]) -> list[Thing]:
    """On one another, each sunk somewhat into the one below."""
    stack, height = [], 0.0
    for part in parts:
        stack.append(standing(part, np.append(rng.normal(scale=0.04, size=2), height), rng.uniform(0, 2 * np.pi)))
        height += (part.bounds[1][2] - part.bounds[0][2]) * rng.uniform(0.55, 0.9)
    return stack


def _spokes(rng: np.random.Generator, part: Thing) -> list[Thing]:
    """Copies of a smaller one around the z axis."""
    spoke = moved(part, 0.6 * np.eye(3), np.array([rng.uniform(0.25, 0.5), 0, rng.normal(scale=0.15)]))
    copies = int(rng.integers(2, 7))
    return [moved(spoke, rotation_z(2 * np.pi * turn / copies), np.zeros(3)) for turn in range(copies)]


def random_part(rng: np.random.Generator, materials: Sequence[int]) -> Thing:
    """One solid, about 0.3 to 1.2 long, anywhere turned or upright, in the middle."""
    linear = _random_linear(rng)
    sweep = _random_sweep(rng) if rng.uniform() < SWEPT else Sweep()
    name = rng.choice(list(SHAPES))
    if rng.uniform() < FRAMED:
        starts, ends = SHAPES[name].bars()
        mesh = struts(sweep(starts), sweep(ends), rng.uniform(0.06, 0.14))
        return moved(_painted(rng, mesh, materials), linear, np.zeros(3))
    if rng.uniform() < CUT:
        return moved(_random_cut(rng, SHAPES[name], sweep, materials), linear, np.zeros(3))
    rippled = rng.uniform() < RIPPLED
    fine = rippled or sweep != Sweep()
    mesh = _random_mesh(rng, name, fine)
    if rippled:
        waves = rng.normal(size=(6, 3)) * rng.uniform(1.0, 4.0)
        mesh = deformed(mesh, Ripple(waves, rng.uniform(0, 2 * np.pi, size=6), rng.uniform(0.2, 0.45)))
    if sweep != Sweep():
        mesh = deformed(mesh, sweep)
    return moved(_painted(rng, mesh, materials), linear, np.zeros(3))


def slab(low: Sequence[float], high: Sequence[float], material: int) -> Thing:
    """An upright box between two corners."""
    size, middle = np.subtract(high, low), np.add(low, high) / 2
    mesh = placed(SHAPES["box"].mesh(False), np.diag(size / 2), middle)
    return Thing(mesh, np.full(len(mesh.triangles), material), np.zeros(len(mesh.triangles), dtype=np.int64))


def column(radius: float, low: float, high: float, material: int, shape: str = "cylinder") -> Thing:
    """An upright round solid around the z axis."""
    linear = np.diag([radius, radius, (high - low) / 2])
    mesh = placed(SHAPES[shape].mesh(False), linear, np.array([0, 0, (low + high) / 2]))
    return Thing(mesh, np.full(len(mesh.triangles), material), np.zeros(len(mesh.triangles), dtype=np.int64))


def rotation_z(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])


def _random_linear(rng: np.random.Generator) -> np.ndarray:
    """Sizes from 0.15 to 0.6 a half axis; half of all stand upright, as most things do."""
    turn = rotation_z(rng.uniform(0, 2 * np.pi))
    if rng.uniform() < 0.5:
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        turn *= np.linalg.det(turn)
    return turn * (0.15 * 4 ** rng.uniform(size=3))


def _random_sweep(rng: np.random.Generator) -> Sweep:
    bend = tuple(rng.uniform(-0.6, 0.6, size=2) * rng.choice([0.0, 1.0], p=[0.4, 0.6]))
    return Sweep(rng.uniform(-0.6, 0.6), rng.choice([0.0, 1.0]) * rng.uniform(-1.2, 1.2), bend)


def _random_mesh(rng: np.random.Generator, name: str, fine: bool) -> Mesh:
    kind = rng.choice(["shape", "prism", "vase"], p=[0.7, 0.15, 0.15])
    if kind == "prism":
        return prism(int(rng.integers(3, 9)), float(rng.choice([0.0, 0.5, 1.0])), fine)
    if kind == "vase":
        return _random_vase(rng)
    return SHAPES[name].mesh(fine)


def _random_vase(rng: np.random.Generator) -> Mesh:
    """A turned solid with a smooth outline, as of vases, bottles and chessmen."""
    z = np.linspace(-1, 1, 16)
    knots = rng.uniform(0.15, 1.0, size=6)
    weights = np.maximum(1 - np.abs(np.linspace(0, 5, 16)[:, None] - np.arange(6)), 0)
    weights = weights * weights * (3 - 2 * weights)
    radius = weights @ knots
    slope = np.gradient(radius, z)
    outline = np.stack([radius, z], -1)
    normals = np.stack([np.ones_like(slope), -slope], -1) / np.hypot(1, slope)[:, None]
    ends = [np.array([[0.0, -1.0], [radius[0], -1.0]]), np.array([[radius[-1], 1.0], [0.0, 1.0]])]
    down, up = np.array([[0.0, -1.0]] * 2), np.array([[0.0, 1.0]] * 2)
    return joined([lathe(outline, normals, 20, 0), lathe(ends[0], down, 20, 1), lathe(ends[1], up, 20, 2)])


def _random_cut(rng: np.random.Generator, body: Shape, sweep: Sweep, materials: Sequence[int]) -> Thing:
    """A body with a hole or a bite; the cutter's inside is its wall."""
    cutter = SHAPES[rng.choice(["ball", "box", "cylinder", "capsule"])]
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    linear = turn * rng.uniform(0.4, 1.1, size=3)
    offset = _in_ball(rng)
    body_mesh = body.mesh(True)
    if sweep != Sweep():
        body_mesh = deformed(body_mesh, sweep)
    wall = inside_out(placed(cutter.mesh(False), linear, offset))
    to_cutter = np.eye(4)
    to_cutter[:3, :3] = np.linalg.inv(linear)
    to_cutter[:3, 3] = -to_cutter[:3, :3] @ offset
    outside, inside = _painted(rng, body_mesh, materials), _painted(rng, wall, materials)
    cut = Cut(body, sweep, np.eye(4), cutter, to_cutter)
    if cut.in_cutter(torch.from_numpy(body_mesh.vertices)).float().mean() > MAX_CUT:
        return outside
    return Thing(
        joined([outside.mesh, inside.mesh]),
        np.concatenate([outside.material, inside.material]),
        np.concatenate([np.full(len(body_mesh.triangles), 1), np.full(len(wall.triangles), -1)]),
        (cut,),
    )


def _painted(rng: np.random.Generator, mesh: Mesh, materials: Sequence[int]) -> Thing:
    """One material, or one for each side."""
    sides = int(mesh.side.max()) + 1
    of_side = np.full(sides, rng.choice(materials))
    if rng.uniform() < 0.4:
        of_side = rng.choice(materials, size=sides)
    return Thing(mesh, of_side[mesh.side], np.zeros(len(mesh.triangles), dtype=np.int64))


def _in_ball(rng: np.random.Generator) -> np.ndarray:
    direction = rng.normal(size=3)
    return direction / np.linalg.norm(direction) * rng.uniform()


def _mapped(affine: np.ndarray, points: Tensor) -> Tensor:
    matrix = torch.from_numpy(affine).to(points)
    return points @ matrix[:3, :3].T + matrix[:3, 3]
