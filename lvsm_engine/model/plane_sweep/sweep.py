"""Depth and colours of a target from the photos nearest to it and their depth maps, guided by a picture. Without weights.

At each depth of a pixel's ray: do the photos' own surfaces lie there, or do they see through (soft visibility, after Penner
and Zhang 2017)? Do the photos that are not blocked show one colour there? Is it like the guide's, a picture of lower quality
such as a model's? What is likeliest is shown, in the colours of the photos that see it from nearly the target's direction;
where nothing can be copied, the guide.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..transformer import never_stop
from .depth_maps import DepthMaps, confirmed, weighted_quantiles
from .filters import box_filtered
from .planes import Planes, halved_sizes, resized
from .reprojection import Photos, Seen, Target, cosines, look_up, seen_at, sights_of

# Planes in the first, smallest picture, whose longer side has from half of so many pixels to so many.
COARSE_PLANES, COARSE_SIDE = 96, 96
# The logarithm of a depth's odds: for each unit of squared difference of the photos, of that, their difference from the
# guide at half, and for surfaces of the photos that lie there.
COLOUR_SHARPNESS, GUIDE_WEIGHT, SURFACE_WEIGHT = 120.0, 0.5, 12.0
# What is left of a depth's odds behind surfaces.
BEHIND_SURFACES = 1e-2
# A photo's surface lies at a point within so many planes' distances of it (a standard deviation); so many before it the photo
# sees through, and between so many behind it the point becomes hidden from the photo.
SURFACE_SPREAD, SEEN_THROUGH, HIDDEN = 0.6, 1.2, (0.9, 1.5)
# Weight of doubt beside that of the nearest photo, when surfaces are counted.
DOUBT = 0.02
# A photo's weight falls by e where its ray stands at this cosine below 1 from the target's.
ANGLE_SHARPNESS = 30.0
# The squared difference that a photo counts with where it does not see the point: little, since others may well be right.
UNSEEN = 0.03
# A squared difference of photos at which they are trusted e times less; and how decisively photos or guide are taken by that.
TRUSTED_DIFFERENCE, DECISION = 0.05, 2.0
# Cosines of the angle of the second nearest photo that sees a place, at which photos that agree are trusted wholly, and not
# at all, where no surface tells more: from far apart, plain surfaces agree by chance.
TRUSTED_COSINE, MISTRUSTED_COSINE = 0.95, 0.75
# Sides of the squares over which photos are compared with each other, and with the guide (pixels, odd).
MATCH_SIDE, GUIDE_SIDE = 7, 7
# Depth is looked for between these shares of the photos' surfaces that the target sees, and some way beyond.
RANGE_QUANTILES, RANGE_MARGINS = (0.01, 0.95), (0.9, 1.5)
# Where fewer surfaces than this are seen: between these multiples of the distance to the subject.
FEWEST_POINTS, NEAREST_SHARE, FARTHEST_SHARE = 100, 0.3, 6.0
# A surface is seen there from this likelihood on.
LIKELY = 0.3
# The logarithm of the odds of a depth at which a cut-out's background shows that nothing is there.
CARVED = -20.0
# Rows are computed in bands of about so many pixels, with as many rows around as squares reach.
BAND_PIXELS, BAND_MARGIN = 2**14, 5


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found: picture (B, 3, H, W) in [0, 1]; inverse_depth, confidence and alpha in [0, 1], (B, H, W).

    confidence: how far the picture is known, since photos agree; where it is low, the guide is shown. alpha: 0 where photos of
    cut-out subjects show that nothing is there, at any depth.
    """

    picture: Tensor
    inverse_depth: Tensor
    confidence: Tensor
    alpha: Tensor


def sweep(
    photos: Photos,
    maps: DepthMaps,
    presence: Tensor,
    target: Target,
    distance: Tensor,
    guide: Tensor,
    background: tuple[float, float, float],
    check: Callable[[], None] = never_stop,
    band_pixels: int = BAND_PIXELS,
) -> Sweep:
    """Colours and depth of targets from their photos.

    maps: of these photos. presence: (B, V) in [0, 1], how far each counts. distance: (B,), from the targets to the subject.
    guide: (B, 3, H, W) in [0, 1], a picture of the targets of any quality. background: what is shown where nothing is.
    check: called bands_of(target.height, target.width) times; may raise to stop. band_pixels: about so many are computed at
    a time.
    """
    surfaces = confirmed(maps, photos, presence)
    near, far = _range(photos, surfaces, presence, target, distance)
    planes = found = None
    for height, width in halved_sizes(target.height, target.width, COARSE_SIDE):
        if planes is None or found is None:
            planes = Planes.between(near, far, COARSE_PLANES, height, width)
        else:
            planes = planes.around_likeliest(found.log_odds, height, width)
        level = target.of_size(height, width)
        sharp = photos.shrunk_to(float(level.fxfycxcy[:, :2].median()))
        match = _Matching(sharp, surfaces, presence, level, planes, resized(guide, height, width))
        found = match.in_bands(check, band_pixels)
    assert found is not None
    nearness = (found.second_cosine - MISTRUSTED_COSINE) / (TRUSTED_COSINE - MISTRUSTED_COSINE)
    agreed = (-found.difference / TRUSTED_DIFFERENCE).exp() * nearness.clamp(0, 1)
    confidence = torch.maximum(agreed, found.surface)
    carved = found.carved.clamp(0, 1)
    alpha = 1 - carved
    colour = guide.new_tensor(background)[:, None, None]
    picture = torch.lerp(colour, _decided(found.picture, guide, confidence), alpha[:, None])
    return Sweep(picture.clamp(0, 1), found.inverse_depth, torch.maximum(confidence, carved).clamp(0, 1), alpha)


def bands_of(height: int, width: int) -> int:
    """How often a sweep of this size calls its check."""
    return sum(-(-rows // band_rows(columns)) for rows, columns in halved_sizes(height, width, COARSE_SIDE))


def band_rows(width: int, band_pixels: int = BAND_PIXELS) -> int:
    """How many rows of a picture are computed at a time."""
    return max(1, band_pixels // width)


def _decided(picture: Tensor, guide: Tensor, confidence: Tensor) -> Tensor:
    """The picture where it is trusted, the guide elsewhere, with little between: what is half one, half the other is a ghost."""
    copied, guessed = confidence[:, None] ** DECISION, (1 - confidence[:, None]) ** DECISION
    return (copied * picture + guessed * guide) / (copied + guessed)


def _range(
    photos: Photos, surfaces: DepthMaps, presence: Tensor, target: Target, distance: Tensor
) -> tuple[Tensor, Tensor]:
    """Between which depths (B,) the target may see anything: by the photos' surfaces that lie in its frame."""
    depths, weights = [], []
    for number in range(surfaces.step.shape[1]):
        points = surfaces.camera(number, photos).points(surfaces.inverse_depth[:, number]).flatten(2)  # (B, 3, N)
        x, y, depth = target.pixels(points).unbind(1)
        in_frame = (depth > 0) & (x > 0) & (x < target.width) & (y > 0) & (y < target.height)
        is_likely = surfaces.likelihood[:, number].flatten(1) > LIKELY
        depths.append(depth)
        weights.append((in_frame & is_likely) * presence[:, number, None])
    weight = torch.cat(weights, dim=1)
    near, far = weighted_quantiles(torch.cat(depths, dim=1), weight, RANGE_QUANTILES)
    is_known = weight.sum(1) >= FEWEST_POINTS
    return (
        torch.where(is_known, near * RANGE_MARGINS[0], distance * NEAREST_SHARE),
        torch.where(is_known, far * RANGE_MARGINS[1], distance * FARTHEST_SHARE),
    )


@dataclass(frozen=True, slots=True)
class _Match:
    """log_odds (B, D, H, W) of the planes; and by these odds picture (B, 3, H, W), inverse_depth, the photos' difference, how
    far their surfaces lie there, the cosine of the angle of the second nearest of those that see the place, -1 where there
    is none, and how far a photo shows that nothing is there, (B, H, W)."""

    log_odds: Tensor
    picture: Tensor
    inverse_depth: Tensor
    difference: Tensor
    surface: Tensor
    second_cosine: Tensor
    carved: Tensor


@dataclass(frozen=True, slots=True)
class _Matching:
    """All that planes are compared by, at one size of the target."""

    photos: Photos
    surfaces: DepthMaps
    presence: Tensor
    target: Target
    planes: Planes
    guide: Tensor

    def in_bands(self, check: Callable[[], None], band_pixels: int) -> _Match:
        """A band of rows after the other, so that memory does not grow with the picture."""
        height, rows = self.target.height, band_rows(self.target.width, band_pixels)
        bands = []
        for top in range(0, height, rows):
            check()
            bottom = min(top + rows, height)
            first, last = max(0, top - BAND_MARGIN), min(height, bottom + BAND_MARGIN)
            band = self._of_rows(first, last)._compared()
            bands.append([getattr(band, field.name)[..., top - first : bottom - first, :] for field in fields(_Match)])
        return _Match(*(torch.cat(parts, dim=-2) for parts in zip(*bands, strict=True)))

    def _of_rows(self, first: int, last: int) -> "_Matching":
        planes = Planes(self.planes.inverse_depth[:, :, first:last], self.planes.step)
        target, guide = self.target.of_rows(first, last), self.guide[:, :, first:last]
        return _Matching(self.photos, self.surfaces, self.presence, target, planes, guide)

    def _compared(self) -> _Match:
        inverse_depth = self.planes.inverse_depth
        sights = sights_of(self.target, self.photos)
        seen = seen_at(sights, inverse_depth)
        colours = look_up(self.photos.images, self.photos.sizes, seen)  # (B, V, 3, D, H, W)
        before, likelihood, is_empty = self.surfaces.looked_up(seen, self.planes.step)
        cosine = cosines(sights, inverse_depth)
        present = seen.is_seen * self.presence[..., None, None, None]
        weights = (ANGLE_SHARPNESS * (cosine - 1)).exp() * present  # (B, V, D, H, W)
        surface = _surfaces_at(before, likelihood * weights, weights)
        clear = weights * (1 - likelihood * _hidden(before)) + 1e-9
        total = clear.sum(1)
        blended = (clear[:, :, None] * colours).sum(1) / total[:, None]  # (B, 3, D, H, W)
        difference = _disagreement(colours, blended, clear, total, seen)
        unlike = (box_filtered(blended, GUIDE_SIDE) - self.guide[:, :, None]).square().mean(1)
        cost = difference + GUIDE_WEIGHT * box_filtered(unlike, 3)
        log_odds = (
            -COLOUR_SHARPNESS * cost + SURFACE_WEIGHT * surface + (_before_surfaces(surface) + BEHIND_SURFACES).log()
        )
        carved = (is_empty * self.presence[..., None, None, None]).amax(1)
        log_odds = log_odds + CARVED * carved
        odds = log_odds.softmax(dim=1)

        def expected(x: Tensor) -> Tensor:
            return (odds * x).sum(1)

        second = ((cosine + 1) * present - 1).topk(min(2, cosine.shape[1]), dim=1).values[:, -1]
        return _Match(
            log_odds,
            (odds[:, None] * blended).sum(2),
            expected(inverse_depth),
            expected(difference),
            expected(surface),
            expected(second),
            expected(carved),
        )


def _surfaces_at(before: Tensor, likely_weights: Tensor, weights: Tensor) -> Tensor:
    """How far the photos' surfaces lie at points, of those that do or see through: (B, V, D, H, W) -> (B, D, H, W) in [0, 1]."""
    there = (-(before / SURFACE_SPREAD).square() / 2).exp()
    through = (before / SEEN_THROUGH).clamp(0, 1).square()
    doubt = DOUBT * weights.amax(1) + 1e-6
    return (likely_weights * there).sum(1) / ((likely_weights * (there + through)).sum(1) + doubt)


def _hidden(before: Tensor) -> Tensor:
    """How far points lie behind a photo's surface, in [0, 1]."""
    begins, ends = HIDDEN
    return ((-before - begins) / (ends - begins)).clamp(0, 1)


def _before_surfaces(surface: Tensor) -> Tensor:
    """What of each ray arrives at each plane, the nearest first: (B, D, H, W)."""
    passes = (1 - surface.clamp(max=0.98).square()).cumprod(1)
    return torch.cat([torch.ones_like(passes[:, :1]), passes[:, :-1]], dim=1)


def _disagreement(colours: Tensor, blended: Tensor, clear: Tensor, total: Tensor, seen: Seen) -> Tensor:
    """How far photos that are not blocked differ at each point: twice their mean squared difference from the blended colour
    over squares, which is that of pairs. (B, D, H, W)."""
    apart = (colours - blended[:, None]).square().mean(2)
    apart = box_filtered(torch.where(seen.is_seen, apart, UNSEEN), MATCH_SIDE)
    return 2 * (clear * apart).sum(1) / total
