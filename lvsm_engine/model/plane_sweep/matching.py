"""How well each depth of a target's pixels fits its photos, their depth maps and a guide, at one size of the target."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from .depth_maps import DepthMaps
from .filters import box_filtered
from .planes import Planes
from .reprojection import Photos, Seen, Target, cosines, look_up, seen_at, sights_of

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
# Sides of the squares over which photos are compared with each other, and with the guide (pixels, odd).
MATCH_SIDE, GUIDE_SIDE = 7, 7
# The logarithm of the odds of a depth at which a cut-out's background shows that nothing is there.
CARVED = -20.0
# Rows are computed in bands of about so many pixels, with as many rows around as squares reach.
BAND_PIXELS, BAND_MARGIN = 2**14, 5


def band_rows(width: int, band_pixels: int = BAND_PIXELS) -> int:
    """How many rows of a picture are computed at a time."""
    return max(1, band_pixels // width)


@dataclass(frozen=True, slots=True)
class Match:
    """log_odds (B, D, H, W) of the planes; the likeliest inverse_depth (B, H, W); and by these odds picture (B, 3, H, W), the
    photos' difference, how far their surfaces lie there, the cosine of the angle of the second nearest of those that see the
    place, -1 where there is none, and how far a photo shows that nothing is there, (B, H, W)."""

    log_odds: Tensor
    picture: Tensor
    inverse_depth: Tensor
    difference: Tensor
    surface: Tensor
    second_cosine: Tensor
    carved: Tensor

    def of_rows(self, first: int, last: int) -> "Match":
        """The same of these rows alone."""
        return Match(*(getattr(self, field.name)[..., first:last, :] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Matching:
    """All that planes are compared by, at one size of the target."""

    photos: Photos
    surfaces: DepthMaps
    presence: Tensor
    target: Target
    planes: Planes
    guide: Tensor

    def in_bands(self, check: Callable[[], None], band_pixels: int) -> Match:
        """A band of rows after the other, so that memory does not grow with the picture."""
        height, rows = self.target.height, band_rows(self.target.width, band_pixels)
        bands = []
        for top in range(0, height, rows):
            check()
            bottom = min(top + rows, height)
            first, last = max(0, top - BAND_MARGIN), min(height, bottom + BAND_MARGIN)
            band = self.of_rows(first, last)._compared()
            kept = band.of_rows(top - first, bottom - first)
            bands.append([getattr(kept, field.name) for field in fields(Match)])
        return Match(*(torch.cat(parts, dim=-2) for parts in zip(*bands, strict=True)))

    def of_rows(self, first: int, last: int) -> "Matching":
        """The same of these rows of the target alone."""
        planes = Planes(self.planes.inverse_depth[:, :, first:last], self.planes.step)
        target, guide = self.target.of_rows(first, last), self.guide[:, :, first:last]
        return Matching(self.photos, self.surfaces, self.presence, target, planes, guide)

    def _compared(self) -> Match:
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
        return Match(
            log_odds,
            (odds[:, None] * blended).sum(2),
            self.planes.likeliest(log_odds),
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
