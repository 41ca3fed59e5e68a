"""Plücker rays: how a camera enters the network, and how its geometry is read back from them.

Letters in shapes: B scenes, V views, H and W pixels.
"""

import torch
from torch import Tensor

from .config import ModelConfig


def rays_for(config: ModelConfig, camera_to_world: Tensor, fxfycxcy: Tensor, height: int, width: int) -> Tensor:
    """The rays (B, V, C, H, W) that a model of this configuration is told of cameras, which are given as to plucker_rays:
    those, or with their origins."""
    rays = plucker_rays(camera_to_world, fxfycxcy, height, width)
    if not config.rays_have_origins:
        return rays
    moment, direction = rays.split(3, dim=2)
    origin = camera_to_world[..., :3, 3, None, None].expand_as(direction)
    return torch.cat([origin, direction, moment], dim=2)


def plucker_rays(camera_to_world: Tensor, fxfycxcy: Tensor, height: int, width: int) -> Tensor:
    """One ray through each pixel's centre, as moment o x d and unit direction d (paper, section 3.1).

    camera_to_world: (B, V, 4, 4), OpenCV axes. fxfycxcy: (B, V, 4) in pixels of an image of this height and width.
    Returns (B, V, 6, H, W) float32 or wider, in world coordinates.
    """
    rotation, origin = camera_to_world[..., :3, :3], camera_to_world[..., :3, 3]
    direction = torch.einsum("bvij,bvjhw->bvihw", rotation, rays_in_camera(fxfycxcy, height, width))  # (B, V, 3, H, W)
    direction = direction / direction.square().sum(dim=2, keepdim=True).sqrt()
    moment = torch.einsum("bvij,bvjhw->bvihw", _cross_matrix(origin), direction)
    return torch.cat([moment, direction], dim=2)


def rays_in_camera(fxfycxcy: Tensor, height: int, width: int) -> Tensor:
    """Rays through the pixels' centres in the camera's own axes (OpenCV), of depth 1.

    fxfycxcy: (..., 4) in pixels of an image of this height and width. Returns (..., 3, H, W) in its dtype.
    """
    fx, fy, cx, cy = (value[..., None, None] for value in fxfycxcy.unbind(-1))  # (..., 1, 1)
    device, dtype = fxfycxcy.device, fxfycxcy.dtype
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=dtype) + 0.5,
        torch.arange(width, device=device, dtype=dtype) + 0.5,
        indexing="ij",
    )
    return torch.stack(torch.broadcast_tensors((x - cx) / fx, (y - cy) / fy, torch.ones_like(x)), dim=-3)


def token_rays(rays: Tensor, stride: int) -> Tensor:
    """The ray through the middle of each token, a stride apart: (B, V, 6, H, W) -> (B, V, n, 6), row by row.

    Rays of one camera share its origin, so that the mean of moments belongs to the mean of directions.
    """
    B, V = rays.shape[:2]
    means = torch.nn.functional.avg_pool2d(rays.flatten(0, 1), stride)  # (B * V, 6, H / s, W / s)
    means = means.flatten(2).transpose(1, 2).unflatten(0, (B, V))
    return means / means[..., 3:].norm(dim=-1, keepdim=True)


# Rays to read a camera from: a grid of this many a side, spread over the image.
GRID = 4


@torch.no_grad()
def world_to_image(rays: Tensor) -> Tensor:
    """The projection that made these rays: world points to image coordinates, -1 to 1 across the image's width and height.

    rays: (B, V, 6, H, W). Returns (B, V, 4, 4) in the rays' dtype: (x z, y z, z, 1) = matrix @ (point, 1), z in world
    units along the optical axis. Solved in float64: the origin as the point nearest to all rays, the homography from
    pixels to directions as the null vector of direction x (homography @ pixel) = 0.
    """
    H, W = rays.shape[-2:]
    rows = torch.linspace(0, H - 1, GRID, device=rays.device).round().long()
    columns = torch.linspace(0, W - 1, GRID, device=rays.device).round().long()
    sample = rays[..., rows, :][..., columns].double().flatten(-2).transpose(-1, -2)  # (B, V, 16, 6)
    moment, direction = sample[..., :3], sample[..., 3:]
    x, y = 2 * (columns.double() + 0.5) / W - 1, 2 * (rows.double() + 0.5) / H - 1
    pixels = torch.stack(
        [x.repeat(GRID), y.repeat_interleave(GRID), torch.ones(GRID * GRID, device=rays.device, dtype=torch.float64)],
        -1,
    )  # (16, 3)

    identity = torch.eye(3, device=rays.device, dtype=torch.float64)
    across = identity - direction[..., :, None] * direction[..., None, :]  # (B, V, 16, 3, 3)
    nearest = torch.linalg.cross(direction, moment, dim=-1)
    origin = torch.linalg.solve(across.sum(2), nearest.sum(2))  # (B, V, 3)

    equations = torch.einsum("bvrij,rk->bvrijk", _cross_matrix(direction), pixels).flatten(-2)  # (B, V, 16, 3, 9)
    equations = equations.flatten(2, 3)
    null_vector = torch.linalg.eigh(equations.transpose(-1, -2) @ equations).eigenvectors[..., 0]
    homography = null_vector.unflatten(-1, (3, 3))  # pixel -> direction, up to scale and sign
    facing = torch.einsum("bvij,rj,bvri->bv", homography, pixels, direction)
    inverse = torch.linalg.inv(homography * facing.sign()[..., None, None])
    inverse = inverse / inverse[..., 2:, :].norm(dim=-1, keepdim=True)  # its last row is the unit optical axis

    matrix = torch.zeros(*rays.shape[:2], 4, 4, device=rays.device, dtype=torch.float64)
    matrix[..., :3, :3] = inverse
    matrix[..., :3, 3] = -torch.einsum("bvij,bvj->bvi", inverse, origin)
    matrix[..., 3, 3] = 1
    return matrix.to(rays.dtype)


def _cross_matrix(vector: Tensor) -> Tensor:
    """(..., 3) -> (..., 3, 3) with matrix @ w = vector x w."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
