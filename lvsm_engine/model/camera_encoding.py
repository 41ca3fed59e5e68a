"""Relative camera encodings: attention that knows where two tokens stand to each other in space.

Half of a head's channels are turned by the token's camera (PRoPE, arXiv 2507.10496, equation 6: a query times its
projection meets a key times its inverse, so that only the relative projection remains); the other half are rotary
pairs, whose angles come from the patch's place in its image (PRoPE), or from a point in space on the patch's ray
(proxy points: two patches that look at the same place turn alike). Values may be turned as keys are, and outputs back: then
a token knows how what it saw lies from its own place.

Letters in shapes: B scenes, V views, n tokens a view, H heads, d = 64 channels a head.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from .config import ModelConfig
from .rays import token_rays, world_to_image

MATRIX_CHANNELS = 32
PAIRS = 16
# Distances are of the order of 2 in a scene frame: translations in the matrices are brought to the order of rotations.
TRANSLATION_SCALE = 0.4
# Subjects fill about a ball of this radius; a ray's entry into it is the second guess at what the patch shows.
SUBJECT_RADIUS = 0.7
# Octaves of a proxy point's angles, in radians per unit: the longest wave is 9 units, the shortest 0.56.
FREQUENCIES = tuple(0.7 * 2.0**k for k in range(5))


@dataclass(frozen=True, slots=True)
class CameraEncoding:
    """What the encoding of some views needs of their cameras.

    matrices, inverses: (B, V, 32, 32), what turns queries and keys. cosines, sines: (B, V, n, H, 16), the rotary pairs.
    nearest, direction: (B, V, n, 3), entry: (B, V, n): each patch's ray, for proxy points (else None).
    rotated_values: of values and outputs, nothing, the rotary pairs, or all is turned too (PRoPE).
    """

    matrices: Tensor
    inverses: Tensor
    cosines: Tensor
    sines: Tensor
    nearest: Tensor | None = None
    direction: Tensor | None = None
    entry: Tensor | None = None
    rotated_values: Literal["none", "pairs", "all"] = "none"

    def queries(self, q: Tensor) -> Tensor:
        """(B, V, n, H, d) -> the same shape, turned into the common frame."""
        return self._turned(q, self.matrices.transpose(-1, -2), self.sines)

    def keys(self, k: Tensor) -> Tensor:
        """(B, V, n, H, d) -> the same shape, turned into the common frame."""
        return self._turned(k, self.inverses, self.sines)

    def values(self, v: Tensor) -> Tensor:
        """(B, V, n, H, d) -> the same shape."""
        return self._turned_as_values(v, self.inverses, self.sines)

    def outputs(self, out: Tensor) -> Tensor:
        """(B, V, n, H, d) -> the same shape: back from the common frame into each token's own."""
        return self._turned_as_values(out, self.matrices, -self.sines)

    def _turned_as_values(self, x: Tensor, matrices: Tensor, sines: Tensor) -> Tensor:
        if self.rotated_values == "none":
            return x
        return self._turned(x, matrices if self.rotated_values == "all" else None, sines)

    def _turned(self, x: Tensor, matrices: Tensor | None, sines: Tensor) -> Tensor:
        by_camera, first, second = x.split([MATRIX_CHANNELS, PAIRS, PAIRS], dim=-1)
        if matrices is not None:
            of_views = by_camera.flatten(2, 3) @ matrices.transpose(-1, -2).to(x.dtype)  # (B, V, n * H, 32)
            by_camera = of_views.reshape(by_camera.shape)
        cosines, sines = self.cosines.to(x.dtype), sines.to(x.dtype)
        return torch.cat([by_camera, first * cosines - second * sines, first * sines + second * cosines], dim=-1)

    def moved(self, along_rays: Tensor) -> "CameraEncoding":
        """The same with every proxy point moved along its ray: along_rays (B, V, n, H), world units."""
        assert self.nearest is not None and self.direction is not None and self.entry is not None
        heads = along_rays.shape[-1]
        depth = along_rays.float() + _first_guess(self.entry, heads)
        cosines, sines = _point_angles(self.nearest, self.direction, depth)
        return replace(self, cosines=cosines, sines=sines)

    def of_tokens(self, numbers: Tensor) -> "CameraEncoding":
        """The same of the patches with these numbers (B, V, k) alone: n becomes k."""
        chosen: dict[str, Any] = {
            name: torch.take_along_dim(value, numbers[(..., *[None] * (value.dim() - 3))], dim=2)
            for name, value in _tensors(self).items()
            if name not in ("matrices", "inverses")
        }
        return replace(self, **chosen)

    def repeated(self, times: int) -> "CameraEncoding":
        """Each scene's encoding `times` times: B becomes B * times."""
        return replace(self, **{name: value.repeat_interleave(times, dim=0) for name, value in _tensors(self).items()})

    def of_single_views(self) -> "CameraEncoding":
        """Every view as a scene of its own: (B, V, ...) becomes (B * V, 1, ...)."""
        return replace(self, **{name: value.flatten(0, 1)[:, None] for name, value in _tensors(self).items()})


def joined(first: CameraEncoding, second: CameraEncoding) -> CameraEncoding:
    """The encoding of the views of both, one after the other along V."""
    others = _tensors(second)
    both: dict[str, Any] = {name: torch.cat([value, others[name]], dim=1) for name, value in _tensors(first).items()}
    return replace(first, **both)


def encode_cameras(config: ModelConfig, rays: Tensor, stride: int) -> CameraEncoding | None:
    """A model's camera encoding of views given by their rays (B, V, 6, H, W), whose tokens are a stride apart; or None."""
    if config.camera_encoding == "none":
        return None
    with torch.autocast(rays.device.type, enabled=False):
        if config.camera_encoding == "prope":
            return prope(rays, stride, config.heads)
        encoding = proxy_point(rays, stride, config.heads)
        return replace(encoding, rotated_values="pairs") if config.rotate_values else encoding


def prope(rays: Tensor, stride: int, heads: int) -> CameraEncoding:
    """PRoPE of views given by their rays (B, V, 6, H, W): projection matrices and the patch's place in its image."""
    B, V, _, H, W = rays.shape
    rows, columns = H // stride, W // stride
    frequencies = torch.pi * 2.0 ** torch.linspace(-2, 3, PAIRS // 2, device=rays.device)
    x = (torch.arange(columns, device=rays.device) + 0.5) / columns * 2 - 1
    y = (torch.arange(rows, device=rays.device) + 0.5) / rows * 2 - 1
    angles = torch.cat(
        [
            (x[None, :, None] * frequencies).expand(rows, columns, -1),
            (y[:, None, None] * frequencies).expand(rows, columns, -1),
        ],
        dim=-1,
    )  # (rows, columns, 16)
    angles = angles.reshape(1, 1, rows * columns, 1, PAIRS).expand(B, V, -1, heads, -1)
    return CameraEncoding(*_view_matrices(rays), angles.cos(), angles.sin(), rotated_values="all")


def proxy_point(rays: Tensor, stride: int, heads: int) -> CameraEncoding:
    """The encoding of views given by their rays (B, V, 6, H, W), by points on each patch's ray.

    Even heads take the ray's point nearest to the scene frame's origin, odd heads its entry into the subject's ball.
    """
    moment, direction = token_rays(rays.float(), stride).split(3, dim=-1)  # (B, V, n, 3)
    nearest = torch.linalg.cross(direction, moment, dim=-1)
    entry = (SUBJECT_RADIUS**2 - nearest.square().sum(-1)).clamp_min(0).sqrt()
    cosines, sines = _point_angles(nearest, direction, _first_guess(entry, heads))
    return CameraEncoding(*_view_matrices(rays), cosines, sines, nearest, direction, entry)


def _first_guess(entry: Tensor, heads: int) -> Tensor:
    """(B, V, n) -> (B, V, n, H): 0 for even heads, -entry for odd ones."""
    odd = torch.arange(heads, device=entry.device) % 2
    return -entry[..., None] * odd


def _point_angles(nearest: Tensor, direction: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (B, V, n, H, 16) of the points nearest + depth * direction; depth (B, V, n, H)."""
    points = nearest[..., None, :] + depth[..., None] * direction[..., None, :]  # (B, V, n, H, 3)
    frequencies = torch.tensor(FREQUENCIES, device=points.device)
    angles = (points[..., None] * frequencies).flatten(-2)  # (B, V, n, H, 15)
    angles = torch.nn.functional.pad(angles, (0, 1))  # the last pair is not turned
    return angles.cos(), angles.sin()


def _view_matrices(rays: Tensor) -> tuple[Tensor, Tensor]:
    """Block-diagonal (B, V, 32, 32) of each view's projection, and of its inverse."""
    projection = world_to_image(rays.float())
    projection[..., :3, 3] *= TRANSLATION_SCALE
    blocks = torch.eye(MATRIX_CHANNELS // 4, device=rays.device)
    inverse = torch.linalg.inv(projection).contiguous()
    return torch.kron(blocks, projection), torch.kron(blocks, inverse)


def _tensors(encoding: CameraEncoding) -> dict[str, Any]:
    names = ("matrices", "inverses", "cosines", "sines", "nearest", "direction", "entry")
    return {name: getattr(encoding, name) for name in names if getattr(encoding, name) is not None}
