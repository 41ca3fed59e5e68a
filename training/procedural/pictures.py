"""A scene and its cameras -> pictures. The only place where triangles, surroundings, textures and light meet."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..srgb import to_srgb
from .light import DepthMap, Light, Material, MaterialTable, depth_map, shade
from .rasterizer import NOTHING, Keep, Rays, rasterize
from .surroundings import Ground, Room
from .textures import TextureTable
from .things import Thing

SUPERSAMPLING = 2  # Samples a pixel and axis; averaged in linear light.
LAMP_MAP, SKY_MAP = 224, 96  # Texels a side of their depth maps.
SKY_SOFTNESS = 0.35  # The sky is wide: how far from a thing it darkens the floor.
ZENITH = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class ProceduralScene:
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


@dataclass(frozen=True, slots=True)
class _Stage:
    """A scene on the device that draws. shadows: the depth maps of the lamp and of the sky, where the light has any."""

    geometry: _Geometry
    surroundings: Room | Ground | None
    textures: TextureTable
    materials: MaterialTable
    light: Light
    shadows: tuple[DepthMap | None, DepthMap | None]

    @classmethod
    def of(cls, scene: ProceduralScene, device: torch.device) -> "_Stage":
        geometry = _Geometry.of(scene.thing, device)
        textures, materials = TextureTable.of(scene.textures, device), MaterialTable.of(scene.materials, device)
        return cls(geometry, scene.surroundings, textures, materials, scene.light, _shadows(scene, geometry))


def draw_pictures(
    scene: ProceduralScene, camera_to_world: np.ndarray, fxfycxcy: np.ndarray, size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Pictures of size x size pixels by cameras (V, 4, 4), OpenCV axes, and fxfycxcy (V, 4) in pixels.

    Returns images (V, size, size, 3) uint8, sRGB-encoded, over white where nothing is; and alpha (V, size, size) uint8:
    the share of each pixel that is covered.
    """
    colours, coverage = radiance(scene, camera_to_world, fxfycxcy, size, device)
    images = (to_srgb(colours) * 255).round().to(torch.uint8)
    alpha = (coverage * 255).round().to(torch.uint8)
    return images.reshape(-1, size, size, 3), alpha.reshape(-1, size, size)


def radiance(
    scene: ProceduralScene, camera_to_world: np.ndarray, fxfycxcy: np.ndarray, size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Linear colours (V * size * size, 3) in [0, 1] of all pixels, and the share of them that is covered (V * size * size,).

    A pixel whose samples all see one triangle, or one wall, is looked at once, in its middle; edges at every sample.
    """
    pixels, samples = (
        Rays(
            torch.from_numpy(camera_to_world).float().to(device),
            torch.from_numpy(fxfycxcy * per_pixel).float().to(device),
            size * per_pixel,
        )
        for per_pixel in (1, SUPERSAMPLING)
    )
    stage = _Stage.of(scene, device)
    triangle, _ = rasterize(stage.geometry.vertices, stage.geometry.triangles, samples, _cutting(scene.thing, samples))
    triangle, sample = (_by_pixel(tensor, size) for tensor in (triangle, torch.arange(len(triangle), device=device)))
    even = (triangle == triangle[:, :1]).all(dim=-1)
    coverage = (triangle != NOTHING).float().mean(dim=-1)
    if scene.surroundings is not None:
        (empty,) = torch.nonzero(even & (coverage == 0), as_tuple=True)
        edge = scene.surroundings.has_edge(
            pixels.origins(empty), pixels.directions.index_select(0, empty), pixels.angle(empty)
        )
        even[empty[edge]] = False
        coverage = torch.ones_like(coverage)
    colours = torch.empty(len(triangle), 3, device=device)
    (smooth,), (rough,) = torch.nonzero(even, as_tuple=True), torch.nonzero(~even, as_tuple=True)
    colours.index_copy_(
        0, smooth, _seen(stage, pixels, smooth, triangle[:, 0].index_select(0, smooth), pixels.angle(smooth))
    )
    owners, places = (tensor.index_select(0, rough).reshape(-1) for tensor in (triangle, sample))
    angle = pixels.angle(rough).repeat_interleave(SUPERSAMPLING**2)
    mixed = _seen(stage, samples, places, owners, angle).reshape(len(rough), SUPERSAMPLING**2, 3).mean(dim=1)
    return colours.index_copy_(0, rough, mixed), coverage


def _by_pixel(samples: Tensor, size: int) -> Tensor:
    """(V * fine * fine,) -> (V * size * size, samples a pixel)."""
    fine = samples.reshape(-1, size, SUPERSAMPLING, size, SUPERSAMPLING)
    return fine.transpose(2, 3).reshape(-1, SUPERSAMPLING**2)


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


def _shadows(scene: ProceduralScene, geometry: _Geometry) -> tuple[DepthMap | None, DepthMap | None]:
    """The depth maps of the lamp and of the sky, where the light has shadows."""
    light = scene.light
    if light.softness is None:
        return None, None

    def keep_for(rays: Rays) -> Keep | None:
        return _cutting(scene.thing, rays)

    mesh, has_floor = (geometry.vertices, geometry.triangles), scene.surroundings is not None
    lamp = depth_map(*mesh, light.direction, LAMP_MAP, light.softness, keep_for, has_floor)
    return lamp, depth_map(*mesh, ZENITH, SKY_MAP, SKY_SOFTNESS, keep_for, has_floor)


def _seen(stage: _Stage, rays: Rays, sample: Tensor, triangle: Tensor, angle: Tensor) -> Tensor:
    """Linear colours (M, 3) of samples (M,) that see triangles (M,), or NOTHING; angle: that textures are averaged over."""
    origins, directions = rays.origins(sample), rays.directions.index_select(0, sample)
    colours = torch.ones_like(directions)
    (hit,), (rest,) = (
        torch.nonzero(triangle != NOTHING, as_tuple=True),
        torch.nonzero(triangle == NOTHING, as_tuple=True),
    )
    of_hit, of_rest = (
        [tensor.index_select(0, chosen) for tensor in (origins, directions, angle)] for chosen in (hit, rest)
    )
    colours.index_copy_(0, hit, _colours(stage, _on_things(stage.geometry, triangle.index_select(0, hit), *of_hit)))
    if stage.surroundings is not None:
        colours.index_copy_(0, rest, _colours(stage, _around(stage.surroundings, *of_rest)))
    return colours.clamp(0, 1)


def _on_things(geometry: _Geometry, triangle: Tensor, origins: Tensor, directions: Tensor, angle: Tensor) -> _Points:
    """Where rays (M, 3), directions of depth 1, meet the planes of triangles (M,)."""
    corners = geometry.triangles.index_select(0, triangle).unbind(-1)
    a, b, c = (geometry.vertices.index_select(0, corner) - origins for corner in corners)
    weights = [(directions * torch.linalg.cross(p, q)).sum(-1) for p, q in ((c, b), (a, c), (b, a))]
    total = (weights[0] + weights[1] + weights[2]).clamp_min(1e-12)
    mixed = torch.zeros(len(triangle), geometry.attributes.shape[-1], device=triangle.device)
    for corner, weight in zip(corners, weights, strict=True):
        mixed.addcmul_(geometry.attributes.index_select(0, corner), (weight / total)[:, None])
    depth = (a * torch.linalg.cross(c, b)).sum(-1) / total
    return _Points(
        position=origins + depth[:, None] * directions,
        normal=torch.nn.functional.normalize(mixed[:, :3], dim=-1),
        towards=-torch.nn.functional.normalize(directions, dim=-1),
        uv=mixed[:, 3:],
        footprint=depth * angle * geometry.stretch.index_select(0, triangle),
        material=geometry.material.index_select(0, triangle),
    )


def _around(surroundings: Room | Ground, origins: Tensor, directions: Tensor, angle: Tensor) -> _Points:
    met = surroundings.meet(origins, directions)
    towards = -torch.nn.functional.normalize(directions, dim=-1)
    slant = (met.normal * towards).sum(-1).abs().clamp_min(0.05).sqrt()
    footprint = torch.where(met.texel > 0, met.t * angle / (met.texel.clamp_min(1e-6) * slant), angle)
    return _Points(origins + met.t[:, None] * directions, met.normal.float(), towards, met.uv, footprint, met.material)


def _colours(stage: _Stage, points: _Points) -> Tensor:
    """Linear colours (M, 3)."""
    values = stage.materials.values.index_select(0, points.material)
    repeats, tint = values[:, 0], values[:, 1:4]
    texture = stage.materials.texture.index_select(0, points.material)
    albedo = stage.textures.look_up(texture, points.uv * repeats[:, None], points.footprint * repeats) * tint
    full = torch.ones_like(repeats)
    lit, sky = (full if shadow is None else shadow.reach(points.position, points.normal) for shadow in stage.shadows)
    return shade(stage.light, (lit, sky), albedo, points.normal, points.towards, values)
