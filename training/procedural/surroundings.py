"""What rays meet behind all things: a room around them, or a ground under a sky. Met analytically, not as triangles.

Materials are numbers in a scene's list. Lengths in the world's units, Z up, the floor at z = 0.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_FLAT = 1e-6


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where M rays end: t (M,) in lengths of the direction, normal (M, 3), uv (M, 2), material (M,) int64, and
    `texel` (M,): the length of the world that one unit of uv covers, or 0 for a sky, whose uv are angles."""

    t: Tensor
    normal: Tensor
    uv: Tensor
    material: Tensor
    texel: Tensor


@dataclass(frozen=True, slots=True)
class Room:
    """An upright box around the origin: half_width (x, y), height. materials: walls at +x, -x, +y, -y, ceiling, floor;
    texel: the length that a texture covers on each."""

    half_width: tuple[float, float]
    height: float
    materials: tuple[int, int, int, int, int, int]
    texel: tuple[float, float, float, float, float, float]

    def meet(self, origins: Tensor, directions: Tensor) -> Meeting:
        """Of rays (M, 3) that begin within."""
        t, axis = self._walls(origins, directions).min(dim=-1)
        t = t.clamp_min(0)
        points = origins + t[:, None] * directions
        low = torch.gather(directions, 1, axis[:, None])[:, 0] < 0
        face = 2 * axis + low.long()
        normal = torch.nn.functional.one_hot(axis, 3) * torch.where(low, 1.0, -1.0)[:, None]
        texel = origins.new_tensor(self.texel).index_select(0, face)
        x, y, z = points.unbind(-1)
        sign = torch.where(low, 1.0, -1.0)  # Seen from inside, u grows to the right.
        u = torch.where(axis == 0, sign * y, torch.where(axis == 1, -sign * x, x))
        v = torch.where(axis == 2, y, z)
        material = torch.tensor(self.materials, device=origins.device).index_select(0, face)
        return Meeting(t, normal, torch.stack([u, v], -1) / texel[:, None], material, texel)

    def has_edge(self, origins: Tensor, directions: Tensor, angle: Tensor) -> Tensor:
        """Whether two walls may meet within `angle` (M,) radians around the rays: (M,) bool."""
        walls = self._walls(origins, directions)
        # How far a ray's end moves on a wall when the ray turns: the more, the flatter it meets it.
        moves = angle[:, None] * walls * directions.norm(dim=-1, keepdim=True) / directions.abs().clamp_min(_FLAT)
        nearest = (walls + moves).amin(dim=-1, keepdim=True)
        return (walls - moves < nearest).sum(dim=-1) > 1

    def _walls(self, origins: Tensor, directions: Tensor) -> Tensor:
        """t (M, 3) of the wall ahead on each axis."""
        half = origins.new_tensor([*self.half_width, self.height / 2])
        local = origins - origins.new_tensor([0, 0, self.height / 2])
        safe = torch.where(directions.abs() < _FLAT, _FLAT, directions)
        return (half.copysign(safe) - local) / safe


@dataclass(frozen=True, slots=True)
class Ground:
    """An endless plane z = 0 under a sky. texel: the length that the ground's texture covers."""

    ground: int
    sky: int
    texel: float
    far: float = 60.0

    def meet(self, origins: Tensor, directions: Tensor) -> Meeting:
        """Of rays (M, 3) that begin above the ground."""
        slope = directions[:, 2] / directions.norm(dim=-1)
        t = -origins[:, 2] / torch.where(directions[:, 2] < -_FLAT, directions[:, 2], -_FLAT)
        points = origins + t[:, None] * directions
        is_ground = (slope < -_FLAT) & ((points - origins).norm(dim=-1) < self.far)
        t = torch.where(is_ground, t, self.far)
        azimuth = torch.atan2(directions[:, 0], directions[:, 1]) * (2 / np.pi)  # the texture 4 times around, mirrored
        sky_uv = torch.stack([azimuth, slope.clamp_min(0).sqrt()], -1)
        uv = torch.where(is_ground[:, None], points[:, :2] / self.texel, sky_uv)
        normal = torch.zeros_like(directions)
        normal[:, 2] = 1
        material = torch.where(is_ground, self.ground, self.sky)
        texel = torch.where(is_ground, self.texel, 0.0)
        return Meeting(t, normal, uv, material, texel)

    def has_edge(self, origins: Tensor, directions: Tensor, angle: Tensor) -> Tensor:
        """Whether the horizon may lie within `angle` (M,) radians around the rays: (M,) bool."""
        slope = directions[:, 2] / directions.norm(dim=-1)
        return (slope + origins[:, 2] / self.far).abs() < 1.5 * angle
