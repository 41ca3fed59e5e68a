"""The depth of a photo, from few others beside it: multi-view stereo by a plane sweep (Collins 1996), without weights.

Each of its pixels is looked up in its neighbours at every depth; where they show its colour and its edges, there is its
surface. First over a wide range in a very small picture, which tells between which depths there is anything at all, then
over this range alone, coarse to fine.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .depth_maps import DepthMaps
from .emptiness import wholly_empty
from .exposure import exposures_beside, levelled
from .filters import box_filtered, guided_filtered
from .planes import Planes, weighted_quantiles
from .reprojection import Photos, cosines, look_up, seen_at, sights_of

# The range is looked for between these multiples of the distance to the subject, with so many planes, in so small a picture.
NEAREST_SHARE, FARTHEST_SHARE, RANGE_PLANES, RANGE_SIDE = 0.05, 20.0, 128, 48
# The range: between these shares of all pixels, told by how decided they are to this power, and some way beyond.
RANGE_QUANTILES, RANGE_DECISION, RANGE_MARGINS = (0.1, 0.95), 4, (0.7, 1.4)
# A photo is plain where fewer of its pixels than this share differ in grey from those beside them by so much.
TEXTURED_STEP, TEXTURED_SHARE = 0.02, 0.05
# Planes of the first picture of the range, and the longer sides of the pictures in which depth is found.
PLANES, SIDES = 96, (96, 192)
# Colours, and their steps from pixel to pixel, differ by no more than this: beyond, all differ alike.
MOST_DIFFERENT = 0.3
# The difference that a neighbour counts with where it does not see the point.
UNSEEN = 0.25
# Differences are averaged over squares of so many pixels, within edges of grey whose variance is above this.
MATCH_SIDE, SMOOTHNESS = 5, 1e-3
# How sharply a depth is chosen: the logarithm of its odds for each unit of difference.
DEPTH_SHARPNESS = 60.0
# A depth is e times less likely to be right for each such difference from its neighbours.
LIKELY_DIFFERENCE = 0.15
# Cosines of the angle from which the nearest neighbour sees a surface, at which its likeness is trusted wholly, and not at all.
TRUSTED_COSINE, MISTRUSTED_COSINE = 0.7, 0.4


def depth_map(photo: Photos, neighbours: Photos, distance: Tensor, empty: Tensor | None = None) -> DepthMaps:
    """Of one photo (V = 1), which fills its image, from its neighbours. distance: (B,), from its camera to the subject.

    empty: (B, H, W) bool, where the photo's image shows that nothing is there, as photos of cut-out subjects do.
    """
    near, far, neighbours = _range_and_levelled(photo, neighbours, distance)
    small, others = photo, neighbours
    planes = log_odds = difference = None
    for side in SIDES:
        small, others = _of_side(photo, side), _of_side(neighbours, side)
        height, width = small.images.shape[-2:]
        if planes is None or log_odds is None:
            planes = Planes.between(near, far, PLANES, height, width)
        else:
            planes = planes.around_likeliest(log_odds, height, width)
        difference = differences(small, others, planes.inverse_depth)
        log_odds = -DEPTH_SHARPNESS * difference
    assert planes is not None and log_odds is not None and difference is not None
    step = (1 / near - 1 / far) / (PLANES - 1)
    inverse_depth = planes.likeliest(log_odds)
    likelihood = (-difference.amin(1) / LIKELY_DIFFERENCE).exp() * _nearness(small, others, inverse_depth)
    if empty is not None:
        wholly = wholly_empty(empty, *likelihood.shape[-2:])
        inverse_depth, likelihood = (values.masked_fill(wholly, 0.0) for values in (inverse_depth, likelihood))
    sizes = step.new_tensor([likelihood.shape[-1], likelihood.shape[-2]]).expand(len(step), 1, 2)
    return DepthMaps(inverse_depth[:, None], likelihood[:, None], sizes, step[:, None])


def differences(photo: Photos, neighbours: Photos, inverse_depth: Tensor) -> Tensor:
    """How far a photo (V = 1) differs from its neighbours at inverse depths (B, D, h, w) of its own: the same shape.

    The mean of the better half of them, over squares along the photo's edges: one whose view is blocked, or that shines,
    spoils nothing.
    """
    seen = seen_at(sights_of(photo.as_target(0), neighbours), inverse_depth)
    theirs = look_up(_with_steps(neighbours.images), neighbours.sizes, seen)
    apart = (theirs - _with_steps(photo.images)[:, :, :, None]).abs()
    colours, steps = (part.mean(2).clamp_max(MOST_DIFFERENT) for part in (apart[:, :, :3], apart[:, :, 3:]))
    smoothed = box_filtered(torch.where(seen.is_seen, colours + steps, UNSEEN), 3)
    better = smoothed.topk(max(1, smoothed.shape[1] // 2), dim=1, largest=False, sorted=False).values.mean(1)
    return guided_filtered(better, photo.images[:, 0].mean(1), MATCH_SIDE, SMOOTHNESS)


def _nearness(photo: Photos, neighbours: Photos, inverse_depth: Tensor) -> Tensor:
    """How near in direction the nearest neighbour stands that sees a point, in [0, 1]: (B, h, w)."""
    sights = sights_of(photo.as_target(0), neighbours)
    points = inverse_depth[:, None]
    cosine = cosines(sights, points).where(seen_at(sights, points).is_seen, -1.0).amax(1)[:, 0]
    return ((cosine - MISTRUSTED_COSINE) / (TRUSTED_COSINE - MISTRUSTED_COSINE)).clamp(0, 1)


def depth_quartiles(photo: Photos, neighbours: Photos, distance: Tensor) -> Tensor:
    """(B, 3): about a quarter, half, and three quarters of what a photo (V = 1) shows are nearer; NaN where it shows nothing but
    plain surfaces. distance: as depth_map's, but it may be wrong by ten times."""
    rough = _roughly(photo, neighbours, distance)
    steps = _with_steps(rough.photo.images)[:, 0, 3:].abs().sum(1)
    shows_nothing = (steps > TEXTURED_STEP).float().mean((1, 2)) < TEXTURED_SHARE
    quartiles = torch.stack(rough.depth_quantiles((0.25, 0.5, 0.75)), dim=1)
    return quartiles.masked_fill(shows_nothing[:, None], torch.nan)


@dataclass(frozen=True, slots=True)
class _Rough:
    """A photo and its neighbours, very small; its inverse depth by these, and how decided that is: (B, h, w)."""

    photo: Photos
    neighbours: Photos
    inverse_depth: Tensor
    decided: Tensor

    def depth_quantiles(self, shares: tuple[float, ...]) -> tuple[Tensor, ...]:
        """The depths (B,) before which these shares of all that is decided lie."""
        return weighted_quantiles(
            1 / self.inverse_depth.flatten(1), self.decided.flatten(1) ** RANGE_DECISION + 1e-12, shares
        )


def _roughly(photo: Photos, neighbours: Photos, distance: Tensor) -> _Rough:
    small, others = _of_side(photo, RANGE_SIDE), _of_side(neighbours, RANGE_SIDE)
    nearest, farthest = NEAREST_SHARE * distance, FARTHEST_SHARE * distance
    planes = Planes.between(nearest, farthest, RANGE_PLANES, *small.images.shape[-2:])
    difference = differences(small, others, planes.inverse_depth)
    inverse_depth = planes.inverse_depth.gather(1, difference.argmin(1, keepdim=True))[:, 0]
    return _Rough(small, others, inverse_depth, (difference.mean(1) - difference.amin(1)).clamp_min(0))


def _range_and_levelled(photo: Photos, neighbours: Photos, distance: Tensor) -> tuple[Tensor, Tensor, Photos]:
    """Between which depths (B,) the photo shows anything; and the neighbours as light as it is, of which so rough a depth
    tells enough."""
    rough = _roughly(photo, neighbours, distance)
    low, high = rough.depth_quantiles(RANGE_QUANTILES)
    near = torch.maximum(low * RANGE_MARGINS[0], NEAREST_SHARE * distance)
    far = torch.minimum(high * RANGE_MARGINS[1], FARTHEST_SHARE * distance)
    is_sure = rough.decided >= rough.decided.flatten(1).median(dim=1).values[:, None, None]
    levels = exposures_beside(rough.photo, rough.neighbours, rough.inverse_depth, is_sure)
    return near, far, levelled(neighbours, levels)


def _with_steps(images: Tensor) -> Tensor:
    """(B, V, 3, h, w) -> (B, V, 5, h, w): with half the steps of grey from the pixels before to those behind, in x and y."""
    grey = images.mean(2)
    x, y = torch.zeros_like(grey), torch.zeros_like(grey)
    x[..., 1:-1] = (grey[..., 2:] - grey[..., :-2]) / 2
    y[..., 1:-1, :] = (grey[..., 2:, :] - grey[..., :-2, :]) / 2
    return torch.cat([images, torch.stack([x, y], dim=2)], dim=2)


def _of_side(photos: Photos, side: int) -> Photos:
    """With images whose longer side is at most about this."""
    return photos.shrunk_by(side / max(photos.images.shape[-2:]))
