"""A scene and its cameras -> pictures. The only place where triangles, surroundings, textures and light meet."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .light import DepthMap, Light, Material, MaterialTable, depth_map, shade
from .rasterizer import NOTHING, Keep, Rays, Surfaces, rasterize
from .surroundings import Ground, Room
from .textures import TextureTable, srgb_from_linear
from .things import Thing

SUPERSAMPLING = 2  # Samples a pixel and axis; averaged in linear light.
LAMP_MAP = 160  # Texels a side of the lamp's depth map.
SKY_MAP, SKY_BLUR = 56, 4  # The sky is wide: a coarse map will do.
ZENITH = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All that pictures are made of. surroundings None: nothing behind the things, which are laid over white."""

    thing: Thing
    textures: Sequence[np.ndarray]
    materials: Sequence[Material]
    light: Light
    surroundings: Room | Ground | None = None


@dataclass(frozen=True, slots=True)
class _Points:
    """M points that samples see: where, unit normal, direction towards the camera, (M, 3) each; texture coordinates
    (M, 2), the share of a texture's side that a pixel covers (M,), material (M,) int64."""

    position: Tensor
    normal: Tensor
    towards: Tensor
    uv: Tensor
    footprint: Tensor
    material: Tensor


@dataclass(frozen=True, slots=True)
class _Geometry:
    """A thing's mesh on the device that draws. stretch: (T,) unit of uv a unit of length."""

    vertices: Tensor
    attributes: Tensor  # (N, 5): normal, uv
    triangles: Tensor
    material: Tensor
    stretch: Tensor

    @classmethod
    def of(cls, thing: Thing, device: torch.device) -> "_Geometry":
        mesh = thing.mesh
        corners, uv = mesh.vertices[mesh.triangles], mesh.uv[mesh.triangles]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)
        (ax, ay), (bx, by) = (uv[:, 1] - uv[:, 0]).T, (uv[:, 2] - uv[:, 0]).T
        stretch = np.sqrt(np.abs(ax * by - ay * bx) / np.maximum(area, 1e-12))

        def to_device(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array.astype(np.float32)).to(device)

        return cls(
            to_device(mesh.vertices),
            to_device(np.concatenate([mesh.normals, mesh.uv], axis=-1)),
            torch.from_numpy(np.ascontiguousarray(mesh.triangles)).to(device),
            torch.from_numpy(thing.material).to(device),
            to_device(stretch),
        )


def photograph(
    scene: Scene, camera_to_world: np.ndarray, fxfycxcy: np.ndarray, size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Pictures of size x size pixels by cameras (V, 4, 4), OpenCV axes, with lenses (V, 4) in pixels.

    Returns images (V, size, size, 3) uint8, sRGB-encoded, over white where nothing is; and alpha (V, size, size) uint8:
    the share of each pixel that is covered.
    """
    colours, covered = radiance(scene, camera_to_world, fxfycxcy, size, device)
    images = (srgb_from_linear(_averaged(colours.clamp(0, 1), size)) * 255).round().to(torch.uint8)
    return images, (_averaged(covered.float()[:, None], size)[..., 0] * 255).round().to(torch.uint8)


def radiance(
    scene: Scene, camera_to_world: np.ndarray, fxfycxcy: np.ndarray, size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Linear colours (V * fine * fine, 3) of all samples, fine = size * SUPERSAMPLING, and where something is seen."""
    fine = size * SUPERSAMPLING
    rays = Rays(
        torch.from_numpy(camera_to_world).float().to(device),
        torch.from_numpy(fxfycxcy * SUPERSAMPLING).float().to(device),
        fine,
    )
    geometry = _Geometry.of(scene.thing, device)
    seen = rasterize(geometry.vertices, geometry.triangles, rays, _cutting(scene.thing, rays))
    table, textures = MaterialTable.of(scene.materials, device), TextureTable.of(scene.textures, device)
    shadows = _shadows(scene, geometry)
    colours = torch.ones(len(seen.triangle), 3, device=device)
    covered = seen.triangle != NOTHING
    (hit,) = torch.nonzero(covered, as_tuple=True)
    colours.index_copy_(0, hit, _colours(_on_things(geometry, seen, rays, hit), scene.light, shadows, table, textures))
    if scene.surroundings is not None:
        (rest,) = torch.nonzero(~covered, as_tuple=True)
        points = _around(scene.surroundings, rays, rest)
        colours.index_copy_(0, rest, _colours(points, scene.light, shadows, table, textures))
        covered = torch.ones_like(covered)
    return colours, covered


def _cutting(thing: Thing, rays: Rays) -> Keep | None:
    """Drops samples of a body within its cutter, and of a cutter outside of its body."""
    if not thing.cuts:
        return None
    cut_of = torch.from_numpy(thing.cut).to(rays.fxfycxcy.device)

    def keep(sample: Tensor, triangle: Tensor, depth: Tensor) -> Tensor:
        kept = torch.ones_like(sample, dtype=torch.bool)
        cut = cut_of.index_select(0, triangle)
        (concerned,) = torch.nonzero(cut, as_tuple=True)
        cut, sample, depth = (tensor.index_select(0, concerned) for tensor in (cut, sample, depth))
        points = rays.origins(sample) + depth[:, None] * rays.directions.index_select(0, sample)
        for number, difference in enumerate(thing.cuts, start=1):
            (body,), (wall,) = (torch.nonzero(cut == sign * number, as_tuple=True) for sign in (1, -1))
            kept[concerned[body]] = ~difference.in_cutter(points.index_select(0, body))
            kept[concerned[wall]] = difference.in_body(points.index_select(0, wall))
        return kept

    return keep


def _shadows(scene: Scene, geometry: _Geometry) -> tuple[DepthMap | None, DepthMap | None]:
    """The depth maps of the lamp and of the sky, where the light has shadows."""
    light = scene.light
    if light.softness is None:
        return None, None

    def keep_for(rays: Rays) -> Keep | None:
        return _cutting(scene.thing, rays)

    lamp = depth_map(geometry.vertices, geometry.triangles, light.direction, LAMP_MAP, light.softness, keep_for)
    return lamp, depth_map(geometry.vertices, geometry.triangles, ZENITH, SKY_MAP, SKY_BLUR, keep_for)


def _on_things(geometry: _Geometry, seen: Surfaces, rays: Rays, hit: Tensor) -> _Points:
    """The points that the samples `hit` (M,) see, which are all that see a triangle."""
    triangle, depth = seen.triangle.index_select(0, hit), seen.depth.index_select(0, hit)
    directions = rays.directions.index_select(0, hit)
    position = rays.origins(hit) + depth[:, None] * directions
    corners = geometry.triangles.index_select(0, triangle)
    mixed = torch.zeros(len(hit), geometry.attributes.shape[-1], device=hit.device)
    for corner, weight in zip(corners.unbind(-1), seen.weights.unbind(-1), strict=True):
        mixed.addcmul_(geometry.attributes.index_select(0, corner), weight[:, None])
    pixel = SUPERSAMPLING * depth / rays.focal(hit)
    return _Points(
        position=position,
        normal=torch.nn.functional.normalize(mixed[:, :3], dim=-1),
        towards=-torch.nn.functional.normalize(directions, dim=-1),
        uv=mixed[:, 3:],
        footprint=pixel * geometry.stretch.index_select(0, triangle),
        material=geometry.material.index_select(0, triangle),
    )


def _around(surroundings: Room | Ground, rays: Rays, rest: Tensor) -> _Points:
    directions, origins = rays.directions.index_select(0, rest), rays.origins(rest)
    met = surroundings.meet(origins, directions)
    towards = -torch.nn.functional.normalize(directions, dim=-1)
    angle = SUPERSAMPLING / rays.focal(rest)
    slant = (met.normal * towards).sum(-1).abs().clamp_min(0.05).sqrt()
    footprint = torch.where(met.texel > 0, met.t * angle / (met.texel.clamp_min(1e-6) * slant), angle)
    return _Points(origins + met.t[:, None] * directions, met.normal.float(), towards, met.uv, footprint, met.material)


def _colours(
    points: _Points,
    light: Light,
    shadows: tuple[DepthMap | None, DepthMap | None],
    table: MaterialTable,
    textures: TextureTable,
) -> Tensor:
    """Linear colours (M, 3)."""
    values = table.values.index_select(0, points.material)
    repeats, tint = values[:, 0], values[:, 1:4]
    texture = table.texture.index_select(0, points.material)
    albedo = textures.look_up(texture, points.uv * repeats[:, None], points.footprint * repeats) * tint
    full = torch.ones_like(repeats)
    lit, sky = (full if shadow is None else shadow.reach(points.position) for shadow in shadows)
    return shade(light, (lit, sky), albedo, points.normal, points.towards, values)


def _averaged(samples: Tensor, size: int) -> Tensor:
    """(V * S * S, C) samples -> (V, size, size, C)."""
    # Strided sums: several times faster than a mean over reshaped axes.
    fine = samples.reshape(-1, size, SUPERSAMPLING, size, SUPERSAMPLING, samples.shape[-1])
    total = torch.zeros_like(fine[:, :, 0, :, 0])
    for row, column in np.ndindex(SUPERSAMPLING, SUPERSAMPLING):
        total += fine[:, :, row, :, column]
    return total / SUPERSAMPLING**2
