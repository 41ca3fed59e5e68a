"""A world whose depth and colours are known: two textured walls, photographed by pinhole cameras."""

import math

import torch

from lvsm_engine.model.plane_sweep.blend import Blend
from lvsm_engine.model.plane_sweep.depth_maps import DepthMaps
from lvsm_engine.model.plane_sweep.photo_depth import depth_map
from lvsm_engine.model.plane_sweep.reprojection import Photos, Target
from lvsm_engine.model.plane_sweep.sweep import Sweep, search
from lvsm_engine.model.rays import rays_in_camera

FOCAL, SIZE = 90.0, 96
FRONT, BACK = 2.0, 4.0
DISTANCE = torch.tensor([3.0])
WHITE = (1.0, 1.0, 1.0)
GREY = torch.full((1, 3, SIZE, SIZE), 0.5)


def camera(x: float, y: float = 0.0, z: float = 0.0, turn: float = 0.0) -> torch.Tensor:
    """A pose (4, 4) that looks along +z, turned about y by degrees."""
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    pose = torch.eye(4)
    pose[:3, :3] = torch.tensor([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    pose[:3, 3] = torch.tensor([x, y, z])
    return pose


def walls(
    pose: torch.Tensor, height: int = SIZE, width: int = SIZE, focal: float = FOCAL
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a camera sees of two walls, z = BACK and, where x < 0, z = FRONT: image (3, H, W) and depth (H, W)."""
    intrinsics = torch.tensor([[focal, focal, width / 2, height / 2]])
    rays = rays_in_camera(intrinsics, height, width)[0]  # (3, H, W), of depth 1
    world = torch.einsum("ij,jhw->ihw", pose[:3, :3], rays)
    origin = pose[:3, 3, None, None]
    images, depth = [], []
    for z in (FRONT, BACK):
        along = (z - origin[2]) / world[2]
        x, y, _ = origin + along * world
        waves = [0.5 + 0.5 * torch.sin(k * x + m * y + z + n) for k, m, n in ((9, 4, 0), (-5, 8, 1), (6, -7, 2))]
        images.append(torch.stack(waves))
        depth.append((x, along))
    is_front = depth[0][0] < 0
    return torch.where(is_front, images[0], images[1]), torch.where(is_front, depth[0][1], depth[1][1])


def posed(*poses: torch.Tensor, **options: float) -> Photos:
    images = torch.stack([walls(pose, **options)[0] for pose in poses])
    height, width = images.shape[-2:]
    focal = options.get("focal", FOCAL)
    intrinsics = torch.tensor([focal, focal, width / 2, height / 2]).expand(1, len(poses), 4)
    return Photos.whole(images[None], torch.stack(poses)[None], intrinsics)


def target(pose: torch.Tensor, height: int = SIZE, width: int = SIZE, focal: float = FOCAL) -> Target:
    return Target(pose[None], torch.tensor([[focal, focal, width / 2, height / 2]]), height, width)


AROUND = (
    camera(-0.25),
    camera(0.25, 0.05),
    camera(0.05, -0.25, 0.1),
    camera(-0.05, 0.25, 0, 3),
    camera(0.3, 0.2, 0, -4),
)


def maps_of(photos: Photos) -> DepthMaps:
    """Each photo's, beside all others."""
    count = photos.images.shape[1]
    others = [[other for other in range(count) if other != number] or [number] for number in range(count)]
    found = [depth_map(photos.of([number]), photos.of(others[number]), DISTANCE) for number in range(count)]
    return DepthMaps.stacked(found)


def swept(photos: Photos, to: Target, guide: torch.Tensor, blend: Blend | None = None, **options: object) -> Sweep:
    """As a blend shows it, or the rule."""
    found = search(photos, maps_of(photos), torch.ones(photos.images.shape[:2]), to, DISTANCE, guide, WHITE, **options)
    return found.decided() if blend is None else found.blended(blend, **options)


def psnr(picture: torch.Tensor, truth: torch.Tensor) -> float:
    return float(-10 * (picture - truth).square().mean().log10())
