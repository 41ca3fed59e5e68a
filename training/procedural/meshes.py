"""Triangle meshes of simple solids, about in the cube [-1, 1]^3, and what can be done with them. Plain numpy.

Triangles are wound counterclockwise seen from outside. uv (0, 0) is a texture's lower left corner, v grows upwards
in the world where a side stands upright; a texture goes on, mirrored, beyond [0, 1].
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

Deformation = Callable[[np.ndarray], np.ndarray]  # points (N, 3) -> points (N, 3)

_STEP = 1e-3  # For derivatives of deformations.


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """vertices, normals (N, 3) and uv (N, 2) float64, triangles (T, 3) and side (T,) int64: the part of the surface."""

    vertices: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    side: np.ndarray


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """All in one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.uv for mesh in meshes]),
        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]),
        np.concatenate([mesh.side for mesh in meshes]),
    )


def deformed(mesh: Mesh, deformation: Deformation) -> Mesh:
    """Moved by a map of space that keeps orientation; normals follow the map's derivative."""
    normals = mesh.normals
    across = np.where(np.abs(normals[:, :1]) < 0.6, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = _unit(np.cross(normals, across))
    second = np.cross(normals, first)
    moved = deformation(mesh.vertices)
    along, beside = (deformation(mesh.vertices + _STEP * tangent) - moved for tangent in (first, second))
    return replace(mesh, vertices=moved, normals=_unit(np.cross(along, beside)))


def placed(mesh: Mesh, linear: np.ndarray, offset: np.ndarray) -> Mesh:
    """vertices -> linear (3, 3) @ vertex + offset (3,); the determinant of `linear` is positive."""
    normals = _unit(mesh.normals @ np.linalg.inv(linear))  # by the inverse transpose
    return replace(mesh, vertices=mesh.vertices @ linear.T + offset, normals=normals)


def inside_out(mesh: Mesh) -> Mesh:
    return replace(mesh, normals=-mesh.normals, triangles=mesh.triangles[:, ::-1])


def patch(points: np.ndarray, normals: np.ndarray, uv: np.ndarray, side: int) -> Mesh:
    """A grid of points (I, J, 3), normals (I, J, 3) and uv (I, J, 2) as a mesh."""
    rows, columns = points.shape[:2]
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1)
    a, b, c, d = corner, corner + 1, corner + columns, corner + columns + 1
    triangles = np.concatenate([np.stack([a, b, d], -1), np.stack([a, d, c], -1)])
    vertices, flat = points.reshape(-1, 3), normals.reshape(-1, 3)
    one, two, three = (vertices[triangles[:, corner]] for corner in range(3))
    faces = np.cross(two - one, three - one)
    real = np.linalg.norm(faces, axis=-1) > 1e-9  # None without an area, as at the poles of a ball.
    triangles, faces = triangles[real], faces[real]
    backwards = (faces * flat[triangles].mean(axis=1)).sum(-1) < 0
    triangles = np.where(backwards[:, None], triangles[:, ::-1], triangles)
    return Mesh(vertices, flat, uv.reshape(-1, 2), triangles, np.full(len(triangles), side))


def box(cells: int) -> Mesh:
    """The cube, each face a grid of cells x cells; sides 0 to 3 stand (front, right, back, left), then top, bottom."""
    ticks = np.linspace(0, 1, cells + 1)
    v, u = np.meshgrid(ticks, ticks, indexing="ij")
    x, y, z = np.eye(3)
    faces = [(-y, x, z), (x, y, z), (y, -x, z), (-x, -y, z), (z, x, y), (-z, x, -y)]
    meshes = []
    for side, (normal, right, up) in enumerate(faces):
        points = normal + (2 * u - 1)[..., None] * right + (2 * v - 1)[..., None] * up
        meshes.append(patch(points, np.broadcast_to(normal, points.shape), np.stack([u, v], -1), side))
    return joined(meshes)


def lathe(outline: np.ndarray, normals: np.ndarray, turns: int, side: int, repeats: float = 2.0) -> Mesh:
    """An outline (K, 2) of (radius, z), with normals (K, 2), turned around z in `turns` steps.

    u goes around, `repeats` times, v along the outline from its first point, as long as it is, in units of 2.
    """
    angles = np.linspace(0, 2 * np.pi, turns + 1)
    around = np.stack([np.sin(angles), -np.cos(angles)], -1)  # Begins in front: the seam of a label is at x = 0.
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(outline, axis=0), axis=-1))]) / 2

    def turned(profile: np.ndarray) -> np.ndarray:
        height = np.broadcast_to(profile[:, None, 1:], (len(profile), len(angles), 1))
        return np.concatenate([profile[:, None, :1] * around, height], axis=-1)

    uv = np.stack(np.broadcast_arrays(angles * (repeats / (2 * np.pi)), along[:, None]), -1)
    return patch(turned(outline), turned(normals), uv, side)


def disc(radius: float, z: float, turns: int, side: int, up: bool) -> Mesh:
    """A cap."""
    angles = np.linspace(0, 2 * np.pi, turns + 1)
    rim = radius * np.stack([np.sin(angles), -np.cos(angles)], -1)
    points = np.stack([np.zeros_like(rim), rim])
    uv = points / 2 + 0.5
    points = np.concatenate([points, np.full((*points.shape[:2], 1), z)], -1)
    return patch(points, np.broadcast_to([0.0, 0.0, 1.0 if up else -1.0], points.shape), uv, side)


def struts(starts: np.ndarray, ends: np.ndarray, thickness: float) -> Mesh:
    """Square bars between points (E, 3) and (E, 3), half as wide as `thickness` to each side, open at their ends."""
    along = _unit(ends - starts)
    across = np.where(np.abs(along[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    first = _unit(np.cross(along, across))
    second = np.cross(first, along)
    half = thickness / 2
    outward = np.stack([first, second, -first, -second], axis=1)  # (E, 4, 3)
    low = (starts - half * along)[:, None] + half * (outward - np.roll(outward, -1, axis=1))
    high = (ends + half * along)[:, None] + half * (outward - np.roll(outward, -1, axis=1))
    width = 2 * half * np.roll(outward, -1, axis=1)
    vertices = np.stack([low, low + width, high, high + width], axis=2)  # (E, 4 sides, 4 corners, 3)
    length = np.broadcast_to(np.linalg.norm(ends - starts, axis=-1)[:, None], outward.shape[:2]) / 2
    zero, breadth = np.zeros_like(length), np.full_like(length, half)
    uv = np.stack([np.stack([zero, breadth, zero, breadth], -1), np.stack([zero, zero, length, length], -1)], -1)
    first_corner = 4 * np.arange(4 * len(starts))[:, None, None]
    triangles = (first_corner + np.array([[0, 3, 1], [0, 2, 3]])).reshape(-1, 3)
    normals = np.broadcast_to(outward[:, :, None], vertices.shape)
    side = np.zeros(len(triangles), dtype=np.int64)
    return Mesh(vertices.reshape(-1, 3), normals.reshape(-1, 3), uv.reshape(-1, 2), triangles, side)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
