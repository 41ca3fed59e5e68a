"""Which triangle each sample of each view sees first. Knows triangles and cameras, nothing of colours.

All views are drawn at once, and only what is covered costs: triangles that face a camera become rows, rows become
samples, and the nearest sample of a place stays. Edges are planes through the camera, so triangles that reach behind it
need no clipping, and neighbours share their edge exactly: no cracks. The same on a CPU and on CUDA, and deterministic.

Letters: V views, N vertices, T triangles, S samples a side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

NEAR = 1e-2  # A vertex nearer than this, or behind, makes its triangle be looked for in every row.
NOTHING = -1

Keep = Callable[[Tensor, Tensor, Tensor], Tensor]  # sample = (view * S + row) * S + column, triangle, depth -> bool


@dataclass(frozen=True)
class Rays:
    """The cameras of V views with S x S samples each, on the device that draws.

    camera_to_world: (V, 4, 4) float32, OpenCV axes. fxfycxcy: (V, 4) float32, in samples.
    """

    camera_to_world: Tensor
    fxfycxcy: Tensor
    side: int

    @cached_property
    def directions(self) -> Tensor:
        """World directions (V * S * S, 3) of all samples, of depth 1 along the optical axis."""
        ticks = torch.arange(self.side, device=self.fxfycxcy.device) + 0.5
        fx, fy, cx, cy = self.fxfycxcy[:, :, None].unbind(1)
        right, down, forward = self.camera_to_world[:, None, None, :3, :3].unbind(-1)
        across = right * ((ticks - cx) / fx)[:, None, :, None]  # (V, 1, S, 3)
        below = down * ((ticks - cy) / fy)[:, :, None, None] + forward  # (V, S, 1, 3)
        return (across + below).reshape(-1, 3)

    def origins(self, sample: Tensor) -> Tensor:
        """Camera positions (M, 3) of samples (M,)."""
        return self.camera_to_world[:, :3, 3].index_select(0, sample.div(self.side**2, rounding_mode="floor"))

    def angle(self, sample: Tensor) -> Tensor:
        """About the angle (M,) in radians that samples (M,) cover."""
        return 1 / self.fxfycxcy[:, 0].index_select(0, sample.div(self.side**2, rounding_mode="floor"))


def rasterize(vertices: Tensor, triangles: Tensor, rays: Rays, keep: Keep | None = None) -> tuple[Tensor, Tensor]:
    """Draw triangles (T, 3) of vertices (N, 3), wound counterclockwise seen from outside; their backs are not seen.

    Returns what each sample sees: its triangle (V * S * S,) int64, NOTHING where there is none, and its depth along the
    optical axis (V * S * S,) float32, inf there.
    keep: may drop samples before the nearest is chosen: called with sample, triangle and depth, each (F,).
    """
    facing = _facing(_homogeneous(vertices, rays).index_select(1, triangles.reshape(-1)), rays.side)
    buffer = _nearest(facing, rays, keep)
    (hit,) = torch.nonzero(buffer, as_tuple=True)
    winner = buffer.index_select(0, hit)
    inverse, entry = (winner >> 32).int().view(torch.float32), winner & 0xFFFFFFFF
    return (
        torch.full_like(buffer, NOTHING).index_copy_(0, hit, facing.triangle.index_select(0, entry)),
        torch.full_like(buffer, torch.inf, dtype=torch.float32).index_copy_(0, hit, 1 / inverse),
    )


@dataclass(frozen=True, slots=True)
class _Facing:
    """The D triangles that face a camera, once for each view. lines: (D, 4, 3), a row (p, q, r) stands for p x + q y + r
    at the sample (x, y) from the image's middle: of the three edges, positive inside, and of 1 / depth. triangle, view,
    first (row of samples) and rows (their number): (D,) int64."""

    lines: Tensor
    triangle: Tensor
    view: Tensor
    first: Tensor
    rows: Tensor


def _facing(corners: Tensor, side: int) -> _Facing:
    """corners: homogeneous, (V, T * 3, 3)."""
    triangles = corners.shape[1] // 3
    corners = corners.reshape(-1, 3, 3)  # (V * T, corner, 3)
    a, b, c = corners.unbind(1)
    plane = torch.linalg.cross(c - a, b - a)  # 1 / depth = plane . (x, y, 1) / volume
    volume = (plane * a).sum(-1)
    first, rows = _rows_of(corners, side)
    (drawn,) = torch.nonzero((volume > 0) & (rows > 0), as_tuple=True)
    a, b, c, plane, volume, first, rows = (
        tensor.index_select(0, drawn) for tensor in (a, b, c, plane, volume, first, rows)
    )
    edges = (torch.linalg.cross(c, b), torch.linalg.cross(a, c), torch.linalg.cross(b, a))
    lines = torch.stack([*edges, plane / volume[:, None]], dim=1)
    return _Facing(lines, drawn % triangles, drawn.div(triangles, rounding_mode="floor"), first, rows)


def _homogeneous(vertices: Tensor, rays: Rays) -> Tensor:
    """(x z, y z, z) of every vertex in every view: (V, N, 3); x, y in samples from the image's middle."""
    rotation, position = rays.camera_to_world[:, :3, :3], rays.camera_to_world[:, :3, 3]
    local = torch.einsum("vni,vij->vnj", vertices[None] - position[:, None], rotation)
    fx, fy, cx, cy = rays.fxfycxcy[:, None].unbind(-1)
    x, y, z = local.unbind(-1)
    middle = rays.side / 2
    return torch.stack([fx * x + (cx - middle) * z, fy * y + (cy - middle) * z, z], dim=-1)


def _rows_of(corners: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The first row of samples of each triangle, and the number of its rows; 0 where it is out of the image."""
    z = corners[..., 2]
    behind = z < NEAR
    safe = torch.where(behind, 1.0, z)
    middle = side / 2
    y = (corners[..., 1] / safe + middle).clamp(-1, side + 1)
    x = corners[..., 0] / safe + middle
    crossing = behind.any(-1)
    first = torch.where(crossing, 0.0, (y.amin(-1) - 0.5).ceil().clamp_min(0))
    last = torch.where(crossing, side - 1.0, (y.amax(-1) - 0.5).floor().clamp_max(side - 1))
    outside = behind.all(-1) | (~crossing & ((x.amax(-1) < 0.5) | (x.amin(-1) > side - 0.5)))
    return first.long(), torch.where(outside, 0.0, (last - first + 1).clamp_min(0)).long()


def _nearest(facing: _Facing, rays: Rays, keep: Keep | None) -> Tensor:
    """(V * S * S,) int64: the bits of the largest 1 / depth above the number in `facing`; 0 where nothing is."""
    side = rays.side
    owner, offset = _expand(facing.rows)  # one entry a row of a triangle
    row = facing.first.index_select(0, owner) + offset
    lines = facing.lines.index_select(0, owner)  # (R, 4, 3)
    slope = lines[..., 0]
    level = torch.addcmul(lines[..., 2], lines[..., 1], _from_middle(row, side)[:, None])
    start, count = _span(slope[:, :3], level[:, :3], side)
    of_row, offset = _expand(count)  # one entry a sample of a triangle
    column = start.index_select(0, of_row) + offset
    slope, level = torch.stack([slope[:, 3], level[:, 3]], dim=-1).index_select(0, of_row).unbind(-1)
    inverse = torch.addcmul(level, slope, _from_middle(column, side)).clamp_min(1e-6)
    begin = (facing.view.index_select(0, owner) * side + row) * side
    sample = begin.index_select(0, of_row) + column
    entry = owner.index_select(0, of_row)
    key = (inverse.view(torch.int32).long() << 32) | entry  # Positive floats are in the order of their bits.
    if keep is not None:
        kept = keep(sample, facing.triangle.index_select(0, entry), 1 / inverse)
        sample, key = sample[kept], key[kept]
    buffer = torch.zeros(len(rays.fxfycxcy) * side * side, dtype=torch.int64, device=key.device)
    return buffer.scatter_reduce_(0, sample, key, "amax")


def _from_middle(tick: Tensor, side: int) -> Tensor:
    """A row's or column's number -> its centre's distance from the image's middle."""
    return tick.float() + (0.5 - side / 2)


def _span(slope: Tensor, level: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The columns of a row where slope * x + level >= 0 for all three edges (R, 3): first (R,) and number (R,)."""
    crossing = -level / torch.where(slope == 0, 1.0, slope) + (side / 2 - 0.5)
    never = (slope == 0) & (level < 0)
    low = torch.where(slope > 0, crossing, torch.where(never, torch.inf, -torch.inf)).amax(-1)
    high = torch.where(slope < 0, crossing, torch.inf).amin(-1)
    first = low.clamp(-1, side).ceil().clamp_min(0)
    last = high.clamp(-1, side).floor().clamp_max(side - 1)
    return first.long(), (last - first + 1).clamp_min(0).long()


def _expand(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Entry i repeated counts[i] times, and the number of each repetition."""
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    starts = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner), device=counts.device) - starts.index_select(0, owner)
