"""Where photos agree: colours and depth of a target from its nearest photos, guided by a picture. Without weights.

Planes parallel to the target's image are swept through the scene (Collins 1996). On each, every pixel of the target is
looked up in all photos; where they agree, there is a surface, and its colours are theirs. From coarse to fine: all planes in
a small picture first, then few around what was found at each doubling of the size. Where photos disagree or none sees, a
picture of lower quality, such as a model's, decides; what it shows is taken where nothing can be copied.

Letters in shapes: B targets, V photos of each, C channels, D planes, H and W pixels of the target, h and w of the photos.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from .rays import rays_in_camera
from .transformer import never_stop

# Planes in the first, smallest picture, whose longer side has from half of so many pixels to so many.
COARSE_PLANES, COARSE_SIDE = 96, 96
# Planes around the coarser depth at each doubling, and how many of its planes they reach to either side.
FINE_PLANES, FINE_REACH = 7, 1.5
# How sharply a depth is chosen: the logarithm of its odds for each unit of squared difference of colours.
DEPTH_SHARPNESS = 120.0
# What a unit of squared difference to the guide counts beside one between photos.
GUIDE_WEIGHT = 0.5
# A squared difference of photos at which they are trusted e times less; and how decisively photos or guide are taken by that.
TRUSTED_DIFFERENCE, DECISION = 0.05, 2.0
# A photo's weight falls by e where its ray stands at this cosine below 1 from the target's.
ANGLE_SHARPNESS = 50.0
# Cosines of the angle of the second nearest photo that sees a place, at which photos that agree are trusted wholly, and not
# at all: from far apart, plain surfaces agree by chance.
TRUSTED_COSINE, MISTRUSTED_COSINE = 0.95, 0.75
# Sides of the squares over which photos are compared with each other, and with the guide (pixels, odd).
MATCH_SIDE, GUIDE_SIDE = 7, 7
# Depth in front of a camera below which nothing is seen.
NEAREST = 1e-4
# What a pair of photos counts for where one of them does not see the point: little, since a single photo may well be right.
UNSEEN = 0.03
# Rows are computed in bands of about so many pixels, with as many rows around as squares reach.
BAND_PIXELS, BAND_MARGIN = 2**16, 5


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
        return Target(
            self.camera_to_world, self.fxfycxcy - self.fxfycxcy.new_tensor([0, 0, 0, top]), bottom - top, self.width
        )


@dataclass(frozen=True, slots=True)
class Photos:
    """What is looked up: images (B, V, 3, h, w), camera_to_world (B, V, 4, 4), fxfycxcy (B, V, 4), pixels of these images.

    sizes: (B, V, 2), width and height of each photo within its image, from the top left; None: all of it.
    """

    images: Tensor
    camera_to_world: Tensor
    fxfycxcy: Tensor
    sizes: Tensor | None = None

    def shrunk_to(self, focal: float) -> "Photos":
        """The same as if taken with about this focal length in pixels; larger photos only: none is enlarged."""
        factor = min(1.0, focal / float(self.fxfycxcy[..., :2].median()))
        h, w = self.images.shape[-2:]
        height, width = max(1, round(h * factor)), max(1, round(w * factor))
        if (height, width) == (h, w):
            return self
        small = nn.functional.interpolate(self.images.flatten(0, 1), (height, width), mode="area")
        x, y = width / w, height / h
        intrinsics = self.fxfycxcy * self.fxfycxcy.new_tensor([x, y, x, y])
        sizes = None if self.sizes is None else self.sizes * self.sizes.new_tensor([x, y])
        return replace(self, images=small.unflatten(0, self.images.shape[:2]), fxfycxcy=intrinsics, sizes=sizes)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found: picture (B, 3, H, W) in [0, 1]; inverse_depth and confidence in [0, 1], (B, H, W).

    confidence: how far the picture is copied from photos that agree; where it is low, the guide is shown.
    """

    picture: Tensor
    inverse_depth: Tensor
    confidence: Tensor


def sweep(
    photos: Photos,
    target: Target,
    near: Tensor,
    far: Tensor,
    guide: Tensor | None = None,
    check: Callable[[], None] = never_stop,
    band_pixels: int = BAND_PIXELS,
) -> Sweep:
    """Colours and depth of targets from their photos.

    near, far: (B,) depths between which surfaces are looked for. guide: (B, 3, H, W) in [0, 1], a picture of the targets of any
    quality, or None. check: called bands_of(target.height, target.width) times; may raise to stop. band_pixels: about so many are
    computed at a time.
    """
    planes = _all_planes(near, far)
    step = (1 / near - 1 / far) / (COARSE_PLANES - 1)
    found = None
    for height, width in _sizes(target.height, target.width):
        if found is None:
            inverse_depth = planes[:, :, None, None].expand(-1, -1, height, width)
        else:
            inverse_depth, step = _planes_around(inverse_depth, found.log_odds, step, height, width)
        level_guide = None if guide is None else _resized(guide, height, width)
        found = _match_in_bands(photos, target.of_size(height, width), inverse_depth, level_guide, check, band_pixels)
    assert found is not None
    nearness = (found.second_cosine - MISTRUSTED_COSINE) / (TRUSTED_COSINE - MISTRUSTED_COSINE)
    confidence = (-found.difference / TRUSTED_DIFFERENCE).exp() * nearness.clamp(0, 1)
    picture = found.picture if guide is None else _decided(found.picture, guide, confidence)
    return Sweep(picture.clamp(0, 1), found.inverse_depth, confidence)


def bands_of(height: int, width: int) -> int:
    """How often a sweep of this size calls its check."""
    return sum(-(-rows // band_rows(columns)) for rows, columns in _sizes(height, width))


def _decided(picture: Tensor, guide: Tensor, confidence: Tensor) -> Tensor:
    """The picture where it is trusted, the guide elsewhere, with little between: what is half one, half the other is a ghost."""
    copied, guessed = confidence[:, None] ** DECISION, (1 - confidence[:, None]) ** DECISION
    return (copied * picture + guessed * guide) / (copied + guessed)


@dataclass(frozen=True, slots=True)
class _Match:
    """log_odds (B, D, H, W) of the planes; and by these odds picture (B, 3, H, W), inverse_depth, the photos' difference, and
    the cosine of the angle of the second nearest of those that see the place, -1 where there is none, (B, H, W)."""

    log_odds: Tensor
    picture: Tensor
    inverse_depth: Tensor
    difference: Tensor
    second_cosine: Tensor


def _match_in_bands(
    photos: Photos,
    target: Target,
    inverse_depth: Tensor,
    guide: Tensor | None,
    check: Callable[[], None],
    band_pixels: int,
) -> _Match:
    """_match, a band of rows after the other, so that memory does not grow with the picture."""
    photos = photos.shrunk_to(float(target.fxfycxcy[:, :2].median()))
    rows, bands = band_rows(target.width, band_pixels), []
    for top in range(0, target.height, rows):
        check()
        bottom = min(top + rows, target.height)
        first, last = max(0, top - BAND_MARGIN), min(target.height, bottom + BAND_MARGIN)
        band = _match(
            photos,
            target.of_rows(first, last),
            inverse_depth[:, :, first:last],
            None if guide is None else guide[:, :, first:last],
        )
        bands.append([getattr(band, field.name)[..., top - first : bottom - first, :] for field in fields(_Match)])
    return _Match(*(torch.cat(parts, dim=-2) for parts in zip(*bands, strict=True)))


def _match(photos: Photos, target: Target, inverse_depth: Tensor, guide: Tensor | None) -> _Match:
    sights = sights_of(target, photos)
    colours, seen = look_up(photos.images, sights, inverse_depth, photos.sizes)
    cosine = cosines(sights, inverse_depth)
    weights = (ANGLE_SHARPNESS * (cosine - 1)).exp() * seen + 1e-9  # (B, V, D, H, W)
    blended = (weights[:, :, None] * colours).sum(1) / weights.sum(1)[:, None]  # (B, 3, D, H, W)
    difference = disagreement(colours, seen)
    cost = difference
    if guide is not None:
        unlike = (box_filtered(blended, GUIDE_SIDE) - guide[:, :, None]).square().mean(1)
        cost = difference + GUIDE_WEIGHT * box_filtered(unlike, 3)
    log_odds = -DEPTH_SHARPNESS * cost
    odds = log_odds.softmax(dim=1)

    def expected(x: Tensor) -> Tensor:
        return (odds * x).sum(1)

    picture = (odds[:, None] * blended).sum(2)
    second = cosine.where(seen, -1.0).topk(min(2, cosine.shape[1]), dim=1).values[:, -1]
    return _Match(log_odds, picture, expected(inverse_depth), expected(difference), expected(second))


@dataclass(frozen=True, slots=True)
class Sights:
    """How photos see what lies along a target's rays.

    The point at inverse depth s on a pixel's ray is at the pixel far + s * epipole of a photo, in homogeneous coordinates:
    far (B, V, 3, H, W), epipole (B, V, 3). rays (B, 3, H, W): the target's, of depth 1, in its own axes; centres (B, V, 3):
    of the photos' cameras in these axes.
    """

    far: Tensor
    epipole: Tensor
    rays: Tensor
    centres: Tensor


def sights_of(target: Target, photos: Photos) -> Sights:
    """Exact in float32 for scenes of a size near 1, as scene frames make them."""
    rays = rays_in_camera(target.fxfycxcy, target.height, target.width)
    rotation = (
        photos.camera_to_world[..., :3, :3].mT @ target.camera_to_world[:, None, :3, :3]
    )  # target's axes -> photo's
    between = target.camera_to_world[:, None, :3, 3] - photos.camera_to_world[..., :3, 3]
    shift = (photos.camera_to_world[..., :3, :3].mT @ between[..., None])[..., 0]
    intrinsics = _matrices(photos.fxfycxcy)
    far = torch.einsum("bvij,bjhw->bvihw", intrinsics @ rotation, rays)
    centres = (target.camera_to_world[:, None, :3, :3].mT @ -between[..., None])[..., 0]
    return Sights(far, (intrinsics @ shift[..., None])[..., 0], rays, centres)


def look_up(maps: Tensor, sights: Sights, inverse_depth: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What maps (B, V, C, h, w) of the photos hold at points of inverse depth (B, D, H, W) on the target's rays.

    sizes: (B, V, 2), width and height of what is a photo within each map; None: all of it.

    Returns (B, V, C, D, H, W), and whether a photo has the point in its frame and before it, (B, V, D, H, W) bool.
    """
    B, V, C, h, w = maps.shape
    D, H, W = inverse_depth.shape[1:]
    points = sights.far[:, :, :, None] + sights.epipole[..., None, None, None] * inverse_depth[:, None, None]
    depth = points[:, :, 2]
    pixels = points[:, :, :2] / depth[:, :, None].clamp_min(NEAREST)  # (B, V, 2, D, H, W)
    whole = pixels.new_tensor([w, h]).expand(B, V, 2) if sizes is None else sizes
    in_frame = (pixels > 0) & (pixels < whole[..., None, None, None])
    seen = (depth > NEAREST) & in_frame.all(dim=2)
    grid = (pixels.movedim(2, -1) / pixels.new_tensor([w, h]) * 2 - 1).clamp(-2, 2)
    values = nn.functional.grid_sample(
        maps.flatten(0, 1), grid.reshape(B * V, D * H, W, 2), padding_mode="border", align_corners=False
    )
    return values.reshape(B, V, C, D, H, W), seen


def cosines(sights: Sights, inverse_depth: Tensor) -> Tensor:
    """Of the angles between the target's ray and each photo's at points of inverse depth (B, D, H, W): (B, V, D, H, W)."""
    depth = 1 / inverse_depth[:, None]
    ray_ray = sights.rays.square().sum(1)[:, None, None]  # (B, 1, 1, H, W)
    ray_centre = torch.einsum("bihw,bvi->bvhw", sights.rays, sights.centres)[:, :, None]
    centre_centre = sights.centres.square().sum(-1)[..., None, None, None]
    along = depth * ray_ray - ray_centre
    distance = (depth.square() * ray_ray - 2 * depth * ray_centre + centre_centre).clamp_min(1e-12).sqrt()
    return along / (distance * ray_ray.sqrt())


def disagreement(colours: Tensor, seen: Tensor) -> Tensor:
    """How far photos differ at each point: (B, V, 3, D, H, W) and (B, V, D, H, W) -> (B, D, H, W).

    The mean squared difference of the better half of all pairs of photos, over squares of MATCH_SIDE pixels: one photo whose
    view is blocked there, or that shines, spoils its pairs alone.
    """
    V = colours.shape[1]
    if V == 1:
        return torch.full_like(colours[:, 0, 0], UNSEEN)
    pairs = [
        torch.where(seen[:, i] & seen[:, j], (colours[:, i] - colours[:, j]).square().mean(1), UNSEEN)
        for i in range(V)
        for j in range(i)
    ]
    compared = box_filtered(torch.stack(pairs, 1), MATCH_SIDE)
    return compared.topk(max(1, len(pairs) // 2), dim=1, largest=False, sorted=False).values.mean(1)


def box_filtered(x: Tensor, side: int) -> Tensor:
    """Means over squares of side x side pixels: (..., H, W), the same shape."""
    H, W = x.shape[-2:]
    means = nn.functional.avg_pool2d(x.reshape(-1, 1, H, W), side, 1, side // 2, count_include_pad=False)
    return means.reshape(x.shape)


def _matrices(fxfycxcy: Tensor) -> Tensor:
    """(..., 4) -> (..., 3, 3)."""
    fx, fy, cx, cy = fxfycxcy.unbind(-1)
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = [torch.stack(row, -1) for row in ((fx, zero, cx), (zero, fy, cy), (zero, zero, one))]
    return torch.stack(rows, -2)


def _all_planes(near: Tensor, far: Tensor) -> Tensor:
    """Inverse depths (B, D), evenly from near to far."""
    share = torch.linspace(0, 1, COARSE_PLANES, device=near.device)
    return (1 / near)[:, None] * (1 - share) + (1 / far)[:, None] * share


def _planes_around(
    inverse_depth: Tensor, log_odds: Tensor, step: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Planes (B, D, height, width) around the likeliest ones of a smaller picture, and their distance (B,)."""
    best = log_odds.argmax(1, keepdim=True)
    around = (best + torch.arange(-1, 2, device=best.device)[:, None, None]).clamp(0, log_odds.shape[1] - 1)
    odds = log_odds.gather(1, around).softmax(1)
    middle = _resized((odds * inverse_depth.gather(1, around)).sum(1, keepdim=True), height, width)
    reach = FINE_REACH * step
    offsets = torch.linspace(1, -1, FINE_PLANES, device=step.device)
    planes = (middle + reach[:, None, None, None] * offsets[:, None, None]).clamp_min(NEAREST)
    return planes, 2 * reach / (FINE_PLANES - 1)


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) from the smallest picture to the target's, each about half the next."""
    halvings = ((max(height, width) - 1) // COARSE_SIDE).bit_length()
    return [(max(1, round(height / 2**n)), max(1, round(width / 2**n))) for n in range(halvings, -1, -1)]


def band_rows(width: int, band_pixels: int = BAND_PIXELS) -> int:
    """How many rows of a picture are computed at a time."""
    return max(1, band_pixels // width)


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W) -> (B, C, height, width): area means when it shrinks, bilinear when it grows."""
    if images.shape[-2:] == (height, width):
        return images
    if height < images.shape[-2]:
        return nn.functional.interpolate(images, (height, width), mode="area")
    return nn.functional.interpolate(images, (height, width), mode="bilinear", align_corners=False)
