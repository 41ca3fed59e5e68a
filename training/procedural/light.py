"""Materials and light: the linear colour of a point on a surface, as a camera sees it.

Ambient light from all around (more from above), one far lamp, soft shadows of it and of the sky from depth maps that are
blurred once, Blinn-Phong highlights, and the sky's reflection at grazing angles. The same for all views of a scene.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from .rasterizer import Keep, Rays, rasterize

LAMP_DISTANCE = 20.0  # In radii of the scene: far enough for parallel light.
MIN_VARIANCE = 2e-5  # In squared radii; hides the depth map's own steps.
BIAS, LIFT = 0.003, 4.0  # In radii towards the lamp; in half texels along the normal.
MIN_SHADE = 0.3  # Of Chebyshev's bound: below counts as dark, so that light does not leak under things.


@dataclass(frozen=True, slots=True)
class Material:
    """texture: number in the scene's list. repeats: of the texture a unit of uv. tint: (3,), times the texture.

    highlight: strength of the lamp's mirror image, whose size is by `gloss`, Blinn-Phong's exponent. metal: 1 colours
    it as the surface. glows: as bright as its texture, whatever the light; skies, windows and screens.
    """

    texture: int
    repeats: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    highlight: float = 0.0
    gloss: float = 20.0
    metal: float = 0.0
    glows: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """direction: (3,) unit, towards the lamp. lamp, ambient: linear colours (3,). above, below: colours (3,) of what
    smooth surfaces mirror. softness: of shadows' edges, a length; None: no shadows, and light wraps around.
    contact: how dark it is where no sky is seen, 0 to 1."""

    direction: np.ndarray
    lamp: np.ndarray
    ambient: np.ndarray
    above: np.ndarray
    below: np.ndarray
    softness: float | None = None
    contact: float = 0.0


@dataclass(frozen=True, slots=True)
class MaterialTable:
    """The materials of a scene on a device, a row each."""

    texture: Tensor  # (K,) int64
    values: Tensor  # (K, 8): repeats, tint, highlight, gloss, metal, glows

    @classmethod
    def of(cls, materials: Sequence[Material], device: torch.device) -> "MaterialTable":
        rows = [[m.repeats, *m.tint, m.highlight, m.gloss, m.metal, float(m.glows)] for m in materials]
        texture = torch.tensor([material.texture for material in materials], device=device)
        return cls(texture, torch.tensor(rows, dtype=torch.float32, device=device))


@dataclass(frozen=True, slots=True)
class DepthMap:
    """How deep light from one direction reaches. moments: (2, H, H), blurred depths and their squares, in units of
    `radius` from `centre` (3,); axes: (3, 3), columns right and down in the map, and the light's direction."""

    moments: Tensor
    axes: Tensor
    centre: Tensor
    radius: float

    def reach(self, points: Tensor, normals: Tensor) -> Tensor:
        """The share of light (M,) that reaches points (M, 3) of surfaces with unit normals (M, 3); 1 outside the map."""
        # A texel or two off the surface, lest it shades itself where light grazes it.
        local = (points - self.centre) / self.radius + normals * (LIFT / self.moments.shape[-1])
        x, y, depth = (local @ self.axes).unbind(-1)
        grid = torch.stack([x, y], -1)[None, None]
        mean, square = functional.grid_sample(self.moments[None], grid, padding_mode="border", align_corners=False)[
            0, :, 0
        ]
        variance = (square - mean * mean).clamp_min(MIN_VARIANCE)
        beyond = (depth - mean - BIAS).clamp_min(0)
        lit = ((variance / (variance + beyond * beyond) - MIN_SHADE) / (1 - MIN_SHADE)).clamp(0, 1)
        return torch.where((x.abs() < 0.98) & (y.abs() < 0.98), lit, 1.0)


def depth_map(
    vertices: Tensor,
    triangles: Tensor,
    direction: np.ndarray,
    side: int,
    softness: float,
    keep_for: Callable[[Rays], Keep | None],
    has_floor: bool,
) -> DepthMap:
    """The map of a far lamp in `direction` (3,), of side x side texels; edges are blurred over `softness` to each side.

    has_floor: whether the light ends at z = 0, where no triangle stops it before.
    """
    low, high = vertices.amin(dim=0), vertices.amax(dim=0)
    centre, radius = (low + high) / 2, float((high - low).norm()) / 2 * 1.05
    axes = torch.from_numpy(_axes(-direction)).to(vertices)
    distance = LAMP_DISTANCE * radius
    camera_to_world = torch.eye(4, device=vertices.device)[None].clone()
    camera_to_world[0, :3, :3] = axes
    camera_to_world[0, :3, 3] = centre - distance * axes[:, 2]
    focal, middle = side / 2 * LAMP_DISTANCE, side / 2
    rays = Rays(camera_to_world, vertices.new_tensor([[focal, focal, middle, middle]]), side)
    _, depth = rasterize(vertices, triangles, rays, keep_for(rays))
    if has_floor:
        depth = torch.minimum(depth, -camera_to_world[0, 2, 3] / rays.directions[:, 2])
    depth = ((depth - distance) / radius).clamp(-1, 2).reshape(1, side, side)
    blur = max(1, round(softness / radius * side / 2))
    moments = torch.cat([depth, depth * depth])
    for kernel in ((1, 2 * blur + 1), (2 * blur + 1, 1)):
        padding = (kernel[1] // 2,) * 2 + (kernel[0] // 2,) * 2
        moments = functional.avg_pool2d(functional.pad(moments[None], padding, mode="replicate"), kernel, stride=1)[0]
    return DepthMap(moments, axes, centre, radius)


def _axes(forward: np.ndarray) -> np.ndarray:
    """(3, 3): columns right, down and `forward` (3,), at right angles."""
    right = np.cross(forward, [1.0, 0, 0] if abs(forward[0]) < 0.7 else [0, 1.0, 0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward], axis=-1)


def shade(
    light: Light,
    reach: tuple[Tensor, Tensor],
    albedo: Tensor,
    normal: Tensor,
    towards: Tensor,
    values: Tensor,
) -> Tensor:
    """Linear colours (M, 3): of the albedo (M, 3) and unit normal (M, 3) of points, `towards` (M, 3) the camera.

    reach: the shares of the lamp's and of the sky's light that arrive, (M,) each. values: rows (M, 8) of MaterialTable.
    """
    lamp, ambient, direction, above, below = (
        torch.from_numpy(array).to(albedo)
        for array in (light.lamp, light.ambient, light.direction, light.above, light.below)
    )
    lit, open_sky = reach
    cosine = normal @ direction
    diffuse = (0.5 + 0.5 * cosine) if light.softness is None else cosine.clamp_min(0)
    sky = (0.8 + 0.2 * normal[:, 2]) * (1 - light.contact * (1 - open_sky))
    arriving = (diffuse * lit)[:, None] * lamp + sky[:, None] * ambient
    highlight, gloss, metal, glows = values[:, 4:].unbind(-1)
    colours = albedo * arriving
    (shiny,) = torch.nonzero(highlight > 0, as_tuple=True)
    if len(shiny):
        n, v, a = (tensor.index_select(0, shiny) for tensor in (normal, towards, albedo))
        strength, gloss, metal = (tensor.index_select(0, shiny) for tensor in (highlight, gloss, metal))
        half = functional.normalize(v + direction, dim=-1)
        mirror = (n * half).sum(-1).clamp_min(0) ** gloss * (gloss + 8) / 16 * lit.index_select(0, shiny)
        facing = (n * v).sum(-1).clamp(0, 1)
        reflected_up = 2 * facing * n[:, 2] - v[:, 2]
        seen = torch.lerp(below, above, (0.5 + reflected_up)[:, None].clamp(0, 1))
        fresnel = 0.3 * (1 - facing) ** 4 + 0.5 * metal
        colour = torch.lerp(torch.ones_like(a), a, metal[:, None])
        glint = (mirror[:, None] * lamp + fresnel[:, None] * seen) * strength[:, None] * colour
        matt = colours.index_select(0, shiny) * (1 - 0.45 * metal)[:, None]
        colours = colours.index_copy(0, shiny, matt + glint)
    return torch.where(glows[:, None] > 0, albedo, colours)
