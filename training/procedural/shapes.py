"""Where rays meet simple solids, in each solid's own coordinates.

A solid fills about the cube [-1, 1]^3. Rays are origins and directions, both (N, 3); directions need not be unit, so
that a parameter t means the same point before and after an affine map. A miss has t = inf.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MISS = float("inf")
TORUS_TUBE = 0.35  # Radius of the tube; the ring's own is what remains to 1.
# Steps of sphere tracing: what is still far from the surface after so many grazes it and counts as a miss.
TORUS_STEPS, TORUS_NEAR = 32, 4e-3


@dataclass(frozen=True, slots=True)
class Shape:
    """A solid: where rays meet it, its outward normals, and points that span its bounding box."""

    meet: Callable[[Tensor, Tensor], Tensor]  # origins, directions (N, 3) -> t (N,)
    normal: Callable[[Tensor], Tensor]  # points on the surface (N, 3) -> (N, 3), not unit
    extreme: Tensor  # (M, 3)


def _nearest(*roots: Tensor) -> Tensor:
    """The smallest t in front of the camera: (N,)."""
    stacked = torch.stack(roots)
    return torch.where(stacked > 1e-4, stacked, MISS).amin(dim=0)


def _quadratic(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Both roots of a t^2 + 2 b t + c; inf where there are none."""
    discriminant = b * b - a * c
    root = discriminant.clamp_min(0).sqrt()
    a = torch.where(a.abs() < 1e-9, 1e-9, a)
    near, far = (-b - root) / a, (-b + root) / a
    return torch.where(discriminant > 0, near, MISS), torch.where(discriminant > 0, far, MISS)


def _meet_sphere(origins: Tensor, directions: Tensor) -> Tensor:
    return _nearest(
        *_quadratic(
            (directions * directions).sum(-1),
            (origins * directions).sum(-1),
            (origins * origins).sum(-1) - 1,
        )
    )


def _meet_box(origins: Tensor, directions: Tensor) -> Tensor:
    inverse = 1 / torch.where(directions.abs() < 1e-9, 1e-9, directions)
    one, other = (-1 - origins) * inverse, (1 - origins) * inverse
    enter = torch.minimum(one, other).amax(dim=-1)
    leave = torch.maximum(one, other).amin(dim=-1)
    return torch.where(enter < leave, _nearest(enter, leave), MISS)


def meet_inside_box(origins: Tensor, directions: Tensor) -> Tensor:
    """Where rays that start in the cube leave it: (N,)."""
    inverse = 1 / torch.where(directions.abs() < 1e-9, 1e-9, directions)
    return torch.maximum((-1 - origins) * inverse, (1 - origins) * inverse).amin(dim=-1)


def box_normal(points: Tensor) -> Tensor:
    """Of the cube's face that is nearest to each point."""
    faces = torch.nn.functional.one_hot(points.abs().argmax(dim=-1), 3)
    return faces * points.sign()


def _meet_disc(origins: Tensor, directions: Tensor, z: float, radius: float) -> Tensor:
    down = torch.where(directions[:, 2].abs() < 1e-9, 1e-9, directions[:, 2])
    t = (z - origins[:, 2]) / down
    across = origins[:, :2] + t[:, None] * directions[:, :2]
    return torch.where((across * across).sum(-1) <= radius * radius, t, MISS)


def _frustum(top: float) -> Shape:
    """A cone around z of radius 1 at z = -1 and `top` at z = 1; top = 1 is a cylinder."""
    middle, slope = (1 + top) / 2, (top - 1) / 2  # radius(z) = middle + slope * z

    def meet(origins: Tensor, directions: Tensor) -> Tensor:
        radius, growth = middle + slope * origins[:, 2], slope * directions[:, 2]
        o, d = origins[:, :2], directions[:, :2]
        sides = _quadratic(
            (d * d).sum(-1) - growth * growth, (o * d).sum(-1) - radius * growth, (o * o).sum(-1) - radius * radius
        )
        within = [torch.where((origins[:, 2] + t * directions[:, 2]).abs() <= 1, t, MISS) for t in sides]
        return _nearest(*within, _meet_disc(origins, directions, -1, 1.0), _meet_disc(origins, directions, 1, top))

    def normal(points: Tensor) -> Tensor:
        side = torch.cat([points[:, :2], -slope * (middle + slope * points[:, 2:])], dim=-1)
        cap = torch.cat([torch.zeros_like(points[:, :2]), points[:, 2:].sign()], dim=-1)
        return torch.where(points[:, 2:].abs() > 1 - 1e-4, cap, side)

    return Shape(meet, normal, torch.cat([_circle(1.0, -1.0), _circle(top, 1.0)]))


def _torus_distance(points: Tensor) -> Tensor:
    ring = points[:, :2].norm(dim=-1) - (1 - TORUS_TUBE)
    return torch.stack([ring, points[:, 2]]).norm(dim=0) - TORUS_TUBE


def _meet_torus(origins: Tensor, directions: Tensor) -> Tensor:
    near, far = _quadratic(
        (directions * directions).sum(-1), (origins * directions).sum(-1), (origins * origins).sum(-1) - 1
    )
    (candidates,) = torch.nonzero(torch.isfinite(far) & (far > 0), as_tuple=True)
    t = near[candidates].clamp_min(0)
    o, d, speed = origins[candidates], directions[candidates], directions[candidates].norm(dim=-1)
    for _ in range(TORUS_STEPS):
        t = t + _torus_distance(o + t[:, None] * d) / speed
    near_enough = (_torus_distance(o + t[:, None] * d) < TORUS_NEAR) & (t < far[candidates])
    result = torch.full_like(near, MISS)
    result[candidates] = torch.where(near_enough & (t > 1e-4), t, MISS)
    return result


def _torus_normal(points: Tensor) -> Tensor:
    across = points[:, :2]
    nearest = across / across.norm(dim=-1, keepdim=True).clamp_min(1e-6) * (1 - TORUS_TUBE)
    return torch.cat([across - nearest, points[:, 2:]], dim=-1)


def _circle(radius: float, z: float) -> Tensor:
    angles = torch.arange(32) * (2 * torch.pi / 32)
    return torch.stack([radius * angles.cos(), radius * angles.sin(), torch.full_like(angles, z)], dim=-1)


def _sphere_points() -> Tensor:
    heights = torch.linspace(-1, 1, 17)
    return torch.cat([_circle(float((1 - z * z).clamp_min(0).sqrt()), float(z)) for z in heights])


def _torus_points() -> Tensor:
    turns = torch.arange(16) * (2 * torch.pi / 16)
    return torch.cat(
        [_circle(float(1 - TORUS_TUBE + TORUS_TUBE * turn.cos()), float(TORUS_TUBE * turn.sin())) for turn in turns]
    )


SHAPES = {
    "ellipsoid": Shape(_meet_sphere, lambda points: points, _sphere_points()),
    "box": Shape(_meet_box, box_normal, torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)),
    "cylinder": _frustum(1.0),
    "cone": _frustum(0.1),
    "frustum": _frustum(0.5),
    "torus": Shape(_meet_torus, _torus_normal, _torus_points()),
}
