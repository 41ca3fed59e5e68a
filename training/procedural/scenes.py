"""Random scenes of a few textured solids, and their pictures. Light is near uniform, as in the rendered objects."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Generator, Tensor

from ..render.cameras import SAMPLINGS, sample_cameras
from .shapes import MISS, SHAPES, Shape, box_normal, meet_inside_box
from .textures import (
    Texture,
    choice,
    random_colour,
    random_texture,
    sphere_direction,
    srgb_from_linear,
    uniform,
)

MOST_SOLIDS = 6
SUPERSAMPLING = 2  # Rays a pixel and axis; averaged in linear light.
# Within a room cameras stay above the floor and inside the walls.
ROOM_ELEVATION = (3.0, 65.0)
ROOM_HALF_WIDTH = (4.5, 7.0)


@dataclass(frozen=True, slots=True)
class Solid:
    """A shape, placed: world point = local_to_world (3, 3) @ local point + centre (3,)."""

    shape: Shape
    local_to_world: Tensor
    centre: Tensor
    texture: Texture

    def world_points(self) -> Tensor:
        """Points (M, 3) whose bounding box is the solid's."""
        return self.shape.extreme.to(self.centre) @ self.local_to_world.T + self.centre


@dataclass(frozen=True, slots=True)
class Light:
    """Shading as a share of the albedo: ambient + (1 - ambient) * (half-Lambert around `direction` (3,))."""

    direction: Tensor
    ambient: float

    def shade(self, normals: Tensor) -> Tensor:
        """(N, 3) unit normals -> (N, 1)."""
        return (self.ambient + (1 - self.ambient) * (0.5 + 0.5 * normals @ self.direction))[:, None]


Background = Callable[[Tensor, Tensor], Tensor]  # origins, unit directions (N, 3) -> linear colours (N, 3)


def procedural_scene(generator: Generator, views: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw one scene and photograph it: half of them objects on white, half in surroundings.

    Returns images (views, size, size, 3) uint8, sRGB-encoded; camera_to_world (views, 4, 4) float64, OpenCV axes;
    fxfycxcy (views, 4) float64, pixels. The solids' bounding box is centred at the origin with longest side 1, Z up.
    """
    solids = _random_solids(generator)
    sampling = SAMPLINGS["published" if uniform(generator, 0, 1) < 0.5 else "varied"]
    background: Background = _white
    if uniform(generator, 0, 1) < 0.5:
        lowest = min(float(solid.world_points()[:, 2].min()) for solid in solids)
        background = _random_surroundings(generator, lowest)
        sampling = replace(sampling, elevation=ROOM_ELEVATION)
    light = Light(sphere_direction(generator), uniform(generator, 0.6, 1.0))
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    cameras = sample_cameras(np.random.default_rng(seed), sampling, views, size)
    camera_to_world = torch.from_numpy(np.stack([camera.camera_to_world for camera in cameras]))
    fxfycxcy = torch.from_numpy(np.stack([camera.fxfycxcy for camera in cameras]))
    origins, directions = _pixel_rays(camera_to_world, fxfycxcy, size, generator.device)
    colours = _trace(solids, light, background, origins, directions)
    fine = colours.reshape(views, size, SUPERSAMPLING, size, SUPERSAMPLING, 3)
    images = (srgb_from_linear(fine.mean(dim=(2, 4)).clamp(0, 1)) * 255).round().to(torch.uint8)
    return images, camera_to_world, fxfycxcy


def _random_solids(generator: Generator) -> list[Solid]:
    """A heap of solids, then scaled and moved so that its bounding box is centred with longest side 1."""
    count = 1 + int(torch.randint(MOST_SOLIDS, (), generator=generator, device=generator.device))
    solids = [_random_solid(generator) for _ in range(count)]
    points = torch.cat([solid.world_points() for solid in solids])
    lowest, highest = points.amin(dim=0), points.amax(dim=0)
    scale, middle = 1 / (highest - lowest).max(), (lowest + highest) / 2
    return [
        replace(solid, local_to_world=solid.local_to_world * scale, centre=(solid.centre - middle) * scale)
        for solid in solids
    ]


def _random_solid(generator: Generator) -> Solid:
    device = generator.device
    shape = SHAPES[choice(generator, dict.fromkeys(SHAPES, 1.0))]
    sizes = torch.tensor([0.15 * 4 ** uniform(generator, 0, 1) for _ in range(3)], device=device)
    turn = torch.eye(3, device=device)
    if uniform(generator, 0, 1) < 0.5:  # The other half stands upright, as most things do.
        turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, device=device)).Q
    centre = 0.45 * sphere_direction(generator) * uniform(generator, 0, 1)
    return Solid(shape, turn * sizes, centre, random_texture(generator))


def _white(_: Tensor, directions: Tensor) -> Tensor:
    return torch.ones_like(directions)


def _random_surroundings(generator: Generator, floor: float) -> Background:
    """A textured floor at z = `floor`, under walls (a room) or under a sky that fades from horizon to zenith."""
    half_width = uniform(generator, *ROOM_HALF_WIDTH)
    floor_texture, wall_texture = random_texture(generator), random_texture(generator)
    horizon = torch.lerp(random_colour(generator), torch.ones(3, device=generator.device), 0.5)
    zenith = random_colour(generator)
    is_room = uniform(generator, 0, 1) < 0.5
    lift = torch.tensor([0.0, 0.0, -1.0 - floor / half_width], device=generator.device)

    def colours(origins: Tensor, directions: Tensor) -> Tensor:
        # The room is the cube [-1, 1]^3 of local coordinates; its floor lies under the solids.
        local = origins / half_width + lift
        points = local + meet_inside_box(local, directions)[:, None] * directions
        on_floor = points[:, 2:] < -1 + 1e-4
        walls = wall_texture(points)
        if not is_room:
            walls = torch.lerp(horizon, zenith, directions[:, 2:].clamp(0, 1).sqrt())
        else:
            walls = walls * (1 - 0.12 * box_normal(points)[:, :1].abs())  # So that corners can be seen.
        floors = floor_texture(points * half_width)
        if not is_room:  # The ground melts into the horizon.
            floors = torch.lerp(floors, horizon, points[:, :2].norm(dim=-1, keepdim=True).clamp(0, 1) ** 2)
        return torch.where(on_floor, floors, walls)

    return colours


def _pixel_rays(camera_to_world: Tensor, fxfycxcy: Tensor, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Origins and unit directions, both (V * (size * SUPERSAMPLING)^2, 3) float32, rows of pixels first."""
    ticks = (torch.arange(size * SUPERSAMPLING, dtype=torch.float64) + 0.5) / SUPERSAMPLING
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    fx, fy, cx, cy = fxfycxcy[:, :, None, None].unbind(dim=1)
    local = torch.stack([(x - cx) / fx, (y - cy) / fy, torch.ones_like(x).expand(len(fxfycxcy), -1, -1)], dim=-1)
    directions = torch.einsum("vij,vhwj->vhwi", camera_to_world[:, :3, :3], local)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    origins = camera_to_world[:, None, None, :3, 3].expand_as(directions)
    return origins.reshape(-1, 3).to(device, torch.float32), directions.reshape(-1, 3).to(device, torch.float32)


def _trace(solids: list[Solid], light: Light, background: Background, origins: Tensor, directions: Tensor) -> Tensor:
    """Linear colours (N, 3) of what the rays meet first."""
    nearest = torch.full_like(origins[:, 0], MISS)
    owner = torch.full_like(nearest, -1, dtype=torch.long)
    for index, solid in enumerate(solids):
        world_to_local = torch.linalg.inv(solid.local_to_world)
        t = solid.shape.meet((origins - solid.centre) @ world_to_local.T, directions @ world_to_local.T)
        owner = torch.where(t < nearest, index, owner)
        nearest = torch.minimum(nearest, t)
    colours = torch.empty_like(directions)
    rest = owner < 0
    colours[rest] = background(origins[rest], directions[rest])
    for index, solid in enumerate(solids):
        mine = owner == index
        if not mine.any():
            continue
        points = origins[mine] + nearest[mine, None] * directions[mine]
        world_to_local = torch.linalg.inv(solid.local_to_world)
        local = (points - solid.centre) @ world_to_local.T
        # Normals transform by the inverse transpose.
        normals = torch.nn.functional.normalize(solid.shape.normal(local) @ world_to_local, dim=-1)
        colours[mine] = solid.texture(local) * light.shade(normals)
    return colours
