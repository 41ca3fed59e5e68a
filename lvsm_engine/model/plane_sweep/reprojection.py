"""Where photos see the points on a target's rays, and what they show there."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..rays import rays_in_camera

# Depth in front of a camera below which nothing is seen.
NEAREST = 1e-4


@dataclass(frozen=True, slots=True)
class Target:
    """Cameras to be seen from: camera_to_world (B, 4, 4), OpenCV axes; fxfycxcy (B, 4), pixels of height x width."""

    camera_to_world: Tensor
    fxfycxcy: Tensor
    height: int
    width: int

    def of_size(self, height: int, width: int) -> "Target":
        """The same with images of another size."""
        x, y = width / self.width, height / self.height
        return Target(self.camera_to_world, self.fxfycxcy * self.fxfycxcy.new_tensor([x, y, x, y]), height, width)

    def of_rows(self, top: int, bottom: int) -> "Target":
        """The same with these rows of the images alone."""
        above = self.fxfycxcy.new_tensor([0, 0, 0, top])
        return Target(self.camera_to_world, self.fxfycxcy - above, bottom - top, self.width)

    def points(self, inverse_depth: Tensor) -> Tensor:
        """The points (B, 3, H, W) of the world at inverse depths (B, H, W)."""
        local = rays_in_camera(self.fxfycxcy, self.height, self.width) / inverse_depth[:, None].clamp_min(NEAREST)
        rotation, position = self.camera_to_world[:, :3, :3], self.camera_to_world[:, :3, 3]
        return torch.einsum("bij,bjhw->bihw", rotation, local) + position[..., None, None]

    def pixels(self, points: Tensor) -> Tensor:
        """Where points (B, 3, N) of the world are seen: x, y in pixels and depth, (B, 3, N); x and y tell nothing behind."""
        local = self.camera_to_world[:, :3, :3].mT @ (points - self.camera_to_world[:, :3, 3:])
        fx, fy, cx, cy = self.fxfycxcy[..., None].unbind(1)
        depth = local[:, 2]
        safe = depth.clamp_min(NEAREST)
        return torch.stack([local[:, 0] / safe * fx + cx, local[:, 1] / safe * fy + cy, depth], dim=1)


@dataclass(frozen=True, slots=True)
class Photos:
    """What is looked up: images (B, V, 3, h, w), camera_to_world (B, V, 4, 4), fxfycxcy (B, V, 4), pixels of these images.

    sizes: (B, V, 2), width and height of each photo within its image, from the top left.
    """

    images: Tensor
    camera_to_world: Tensor
    fxfycxcy: Tensor
    sizes: Tensor

    @classmethod
    def whole(cls, images: Tensor, camera_to_world: Tensor, fxfycxcy: Tensor) -> "Photos":
        """Photos that fill their images."""
        h, w = images.shape[-2:]
        return cls(images, camera_to_world, fxfycxcy, fxfycxcy.new_tensor([w, h]).expand(*images.shape[:2], 2))

    def of(self, numbers: list[int]) -> "Photos":
        """Some of them, in this order."""
        return Photos(*(getattr(self, name)[:, numbers] for name in self.__slots__))

    def as_target(self, number: int) -> Target:
        """The camera of one of them, which must fill its image."""
        return Target(self.camera_to_world[:, number], self.fxfycxcy[:, number], *self.images.shape[-2:])

    def shrunk_to(self, focal: float) -> "Photos":
        """The same as if taken with about this focal length in pixels; larger photos only: none is enlarged."""
        return self.shrunk_by(focal / float(self.fxfycxcy[..., :2].median()))

    def shrunk_by(self, factor: float) -> "Photos":
        """The same in images of about this factor times their sides; from 1 on as they are."""
        h, w = self.images.shape[-2:]
        height, width = max(1, round(h * min(factor, 1.0))), max(1, round(w * min(factor, 1.0)))
        if (height, width) == (h, w):
            return self
        small = nn.functional.interpolate(self.images.flatten(0, 1), (height, width), mode="area")
        x, y = width / w, height / h
        return replace(
            self,
            images=small.unflatten(0, self.images.shape[:2]),
            fxfycxcy=self.fxfycxcy * self.fxfycxcy.new_tensor([x, y, x, y]),
            sizes=self.sizes * self.sizes.new_tensor([x, y]),
        )


@dataclass(frozen=True, slots=True)
class Sights:
    """How photos see what lies along a target's rays.

    The point at inverse depth s on a pixel's ray is at far + s * epipole of a photo, in homogeneous coordinates whose
    third is s times its depth there, and in which the photo reaches from (0, 0) to (1, 1): far (B, V, 3, H, W), epipole
    (B, V, 3). rays (B, 3, H, W): the target's, of depth 1, in its own axes; centres (B, V, 3): of the photos' cameras in
    these axes.
    """

    far: Tensor
    epipole: Tensor
    rays: Tensor
    centres: Tensor


@dataclass(frozen=True, slots=True)
class Seen:
    """Points at D inverse depths on each ray, as photos have them.

    places (B, V, 2, D, H, W): in shares of a photo's width and height; inverse_depth (B, V, D, H, W): along the photo's own
    axis; is_in_front, and is_seen, in its frame too: (B, V, D, H, W) bool.
    """

    places: Tensor
    inverse_depth: Tensor
    is_in_front: Tensor
    is_seen: Tensor


def sights_of(target: Target, photos: Photos) -> Sights:
    """Exact in float32 for scenes of a size near 1, as scene frames make them."""
    rays = rays_in_camera(target.fxfycxcy, target.height, target.width)
    to_photo = photos.camera_to_world[..., :3, :3].mT
    between = target.camera_to_world[:, None, :3, 3] - photos.camera_to_world[..., :3, 3]
    shift = (to_photo @ between[..., None])[..., 0]
    intrinsics = _matrices(photos.fxfycxcy / photos.sizes.repeat(1, 1, 2))
    rotation = to_photo @ target.camera_to_world[:, None, :3, :3]
    far = torch.einsum("bvij,bjhw->bvihw", intrinsics @ rotation, rays)
    centres = (target.camera_to_world[:, None, :3, :3].mT @ -between[..., None])[..., 0]
    return Sights(far, (intrinsics @ shift[..., None])[..., 0], rays, centres)


def seen_at(sights: Sights, inverse_depth: Tensor) -> Seen:
    """The points of inverse depth (B, D, H, W) on the target's rays."""
    points = sights.far[:, :, :, None] + sights.epipole[..., None, None, None] * inverse_depth[:, None, None]
    depth = points[:, :, 2] / inverse_depth[:, None]
    places = points[:, :, :2] / points[:, :, 2:].clamp_min(NEAREST)
    is_in_front = depth > NEAREST
    is_seen = is_in_front & ((places > 0) & (places < 1)).all(dim=2)
    return Seen(places, 1 / depth.clamp_min(NEAREST), is_in_front, is_seen)


def look_up(maps: Tensor, sizes: Tensor, seen: Seen, mode: str = "bilinear") -> Tensor:
    """What maps (B, V, C, h, w) of the photos hold at points: (B, V, C, D, H, W), their edges beyond.

    sizes: (B, V, 2), width and height of what is a photo within each map, from the top left. mode: of `grid_sample`.
    """
    B, V, C, h, w = maps.shape
    D, H, W = seen.places.shape[-3:]
    share = sizes / sizes.new_tensor([w, h])
    grid = (seen.places.movedim(2, -1) * share[:, :, None, None, None] * 2 - 1).clamp(-2, 2)
    grid = grid.reshape(B * V, D * H, W, 2)
    found = nn.functional.grid_sample(maps.flatten(0, 1), grid, mode, padding_mode="border", align_corners=False)
    return found.reshape(B, V, C, D, H, W)


def cosines(sights: Sights, inverse_depth: Tensor) -> Tensor:
    """Of the angles between the target's ray and each photo's at points of inverse depth (B, D, H, W): (B, V, D, H, W)."""
    depth = 1 / inverse_depth[:, None]
    ray_ray = sights.rays.square().sum(1)[:, None, None]  # (B, 1, 1, H, W)
    ray_centre = torch.einsum("bihw,bvi->bvhw", sights.rays, sights.centres)[:, :, None]
    centre_centre = sights.centres.square().sum(-1)[..., None, None, None]
    along = depth * ray_ray - ray_centre
    distance = (depth.square() * ray_ray - 2 * depth * ray_centre + centre_centre).clamp_min(1e-12).sqrt()
    return along / (distance * ray_ray.sqrt())


def _matrices(fxfycxcy: Tensor) -> Tensor:
    """(..., 4) -> (..., 3, 3)."""
    fx, fy, cx, cy = fxfycxcy.unbind(-1)
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = [torch.stack(row, -1) for row in ((fx, zero, cx), (zero, fy, cy), (zero, zero, one))]
    return torch.stack(rows, -2)
