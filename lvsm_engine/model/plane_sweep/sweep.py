"""Depth and colours of a target from the photos nearest to it and their depth maps, guided by a picture.

At each depth of a pixel's ray: do the photos' own surfaces lie there, or do they see through (soft visibility, after Penner
and Zhang 2017)? Do the photos that are not blocked show one colour there? Is it like the guide's, a picture of lower quality
such as a model's? What is likeliest is shown, in the colours of the photos that see it from nearly the target's direction;
where nothing can be copied, the guide. A rule without weights decides so, or a trained blend.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..transformer import never_stop
from .blend import Blend
from .depth_maps import DepthMaps, confirmed
from .evidence import GUESSES, PORTION, Evidence, evidence_of
from .exposure import exposures_of, levelled_on
from .filling import filled
from .matching import BAND_PIXELS, Match, Matching, band_rows
from .planes import Planes, halved_sizes, resized, weighted_quantiles
from .reprojection import Photos, Target
from .texture import sharpened

# Planes in the first, smallest picture, whose longer side has from half of so many pixels to so many.
COARSE_PLANES, COARSE_SIDE = 96, 96
# A squared difference of photos at which they are trusted e times less; and how decisively photos or guide are taken by that.
TRUSTED_DIFFERENCE, DECISION = 0.05, 2.0
# Cosines of the angle of the second nearest photo that sees a place, at which photos that agree are trusted wholly, and not
# at all, where no surface tells more: from far apart, plain surfaces agree by chance.
TRUSTED_COSINE, MISTRUSTED_COSINE = 0.95, 0.75
# Pixels that a blend weighs at once on a CPU: what it has of them then stays in the cache, and it is twice as fast.
PIXELS_AT_ONCE = 2**11
# Depth is looked for between these shares of the photos' surfaces that the target sees, and some way beyond.
RANGE_QUANTILES, RANGE_MARGINS = (0.01, 0.95), (0.9, 1.5)
# Where fewer surfaces than this are seen: between these multiples of the distance to the subject.
FEWEST_POINTS, NEAREST_SHARE, FARTHEST_SHARE = 100, 0.3, 6.0
# The share of a colour below which its photos count for none.
MOSTLY = 0.5
# A surface is seen there from this likelihood on.
LIKELY = 0.3


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found: picture (B, 3, H, W) in [0, 1]; inverse_depth, confidence and alpha in [0, 1], (B, H, W).

    confidence: how far the picture is known, since photos agree; where it is low, the guide is shown. alpha: 0 where photos of
    cut-out subjects show that nothing is there, at any depth. main_photo: (B, H, W) int64, the photo of V that a blend takes
    most of the colour from, -1 where all photos together give less than half of it; None by a rule.
    """

    picture: Tensor
    inverse_depth: Tensor
    confidence: Tensor
    alpha: Tensor
    main_photo: Tensor | None = None


def search(
    photos: Photos,
    maps: DepthMaps,
    presence: Tensor,
    target: Target,
    distance: Tensor,
    guide: Tensor,
    background: tuple[float, float, float],
    check: Callable[[], None] = never_stop,
    band_pixels: int = BAND_PIXELS,
) -> "Search":
    """Where the targets' surfaces are by their photos, coarse to fine; what is shown there is decided later.

    maps: of these photos. presence: (B, V) in [0, 1], how far each counts. distance: (B,), from the targets to the subject.
    guide: (B, 3, H, W) in [0, 1], a picture of the targets of any quality. background: what is shown where nothing is. check:
    by this and by `blended` together called bands_of(target.height, target.width) times; may raise to stop.
    band_pixels: about so many are computed at a time.
    """
    surfaces = confirmed(maps, photos, presence)
    exposures = exposures_of(photos, surfaces, presence)
    photos = levelled_on(guide.new_tensor(background), photos, surfaces, exposures)
    near, far = _range(photos, surfaces, presence, target, distance)
    planes = matching = found = None
    for height, width in halved_sizes(target.height, target.width, COARSE_SIDE):
        if planes is None or found is None:
            planes = Planes.between(near, far, COARSE_PLANES, height, width)
        else:
            planes = planes.around_likeliest(found.log_odds, height, width)
        level = target.of_size(height, width)
        sharp = photos.shrunk_to(float(level.fxfycxcy[:, :2].median()))
        matching = Matching(sharp, surfaces, presence, level, planes, resized(guide, height, width))
        found = matching.in_bands(check, band_pixels)
    assert matching is not None and found is not None
    found = replace(found, inverse_depth=filled(found.inverse_depth, found.surface.square()))
    return Search(matching, found, guide.new_tensor(background), exposures)


@dataclass(frozen=True, slots=True)
class Search:
    """Where the surfaces of targets are: how all was matched at their own size, and how it fits, its depth filled from around
    where no photo's surface lies. background: (3,). exposures: (B, V, 3), by which photos were lighter than their mean before
    they were levelled."""

    matching: Matching
    match: Match
    background: Tensor
    exposures: Tensor

    def decided(self) -> Sweep:
        """What a rule shows: what the photos agree on where they do, the guide elsewhere. Without weights."""
        picture, share = self._by_rule()
        alpha = 1 - self.match.carved.clamp(0, 1)
        shown = torch.lerp(self.background[:, None, None], picture, alpha[:, None])
        return Sweep(shown.clamp(0, 1), self.match.inverse_depth, torch.maximum(share, 1 - alpha), alpha)

    def blended(self, blend: Blend, check: Callable[[], None] = never_stop, band_pixels: int = BAND_PIXELS) -> Sweep:
        """What the blend shows, with its texture of one photo at a time; computed a band of rows after the other."""
        height, rows = self.matching.target.height, band_rows(self.matching.target.width, band_pixels)
        picture, share = self._by_rule()
        bands = []
        for first in range(0, height, rows):
            check()
            evidence = evidence_of(
                self.matching, self.match, picture, share, self.background, first, min(first + rows, height)
            )
            weights = _weights(blend, evidence)
            bands.append(
                (
                    (weights[..., None] * evidence.colours).sum(-2).permute(0, 3, 1, 2),
                    (weights * evidence.known).sum(-1),
                    1 - weights[..., GUESSES.index("background")],
                    _given_by_photos(weights, evidence),
                )
            )
        shown, confidence, alpha, given = (torch.cat(parts, dim=-2) for parts in zip(*bands, strict=True))
        inverse_depth = self.match.inverse_depth
        shown = sharpened(shown, given, self.matching, inverse_depth, check, band_pixels)
        return Sweep(shown.clamp(0, 1), inverse_depth, confidence.clamp(0, 1), alpha.clamp(0, 1), _main_photo(given))

    def evidence(self) -> Evidence:
        """Of all pixels, for training."""
        picture, share = self._by_rule()
        return evidence_of(self.matching, self.match, picture, share, self.background, 0, self.matching.target.height)

    def _by_rule(self) -> tuple[Tensor, Tensor]:
        """The picture (B, 3, H, W) that is trusted where photos agree or their surfaces lie, and is the guide elsewhere, with
        little between, since what is half one, half the other is a ghost; and the photos' share in it (B, H, W)."""
        match = self.match
        nearness = (match.second_cosine - MISTRUSTED_COSINE) / (TRUSTED_COSINE - MISTRUSTED_COSINE)
        agreed = (-match.difference / TRUSTED_DIFFERENCE).exp() * nearness.clamp(0, 1)
        confidence = torch.maximum(agreed, match.surface)
        copied, guessed = confidence**DECISION, (1 - confidence) ** DECISION
        share = copied / (copied + guessed)
        return torch.lerp(self.matching.guide, match.picture, share[:, None]), share


def _weights(blend: Blend, evidence: Evidence) -> Tensor:
    """(B, H, W, C), computed in parts that a cache holds, or in one on a card."""
    flat = evidence.flat()
    parts = [blend(part) for part in flat.split(PIXELS_AT_ONCE if flat.prior.device.type == "cpu" else len(flat.prior))]
    return torch.cat(parts).reshape(evidence.prior.shape)


def _given_by_photos(weights: Tensor, evidence: Evidence) -> Tensor:
    """How much of each pixel's colour is of each photo: (B, V, H, W) in [0, 1].

    weights: (B, H, W, C). What photos agree on, and their share in what the rule decides, is of each photo by its portion.
    """
    decided, agreed = (GUESSES.index(name) for name in ("decided", "agreed"))
    mixed = weights[..., decided] * evidence.known[..., decided] + weights[..., agreed]
    given = weights[..., len(GUESSES) :] + mixed[..., None] * evidence.of_photos[..., PORTION]
    return given.movedim(-1, 1)


def _main_photo(given: Tensor) -> Tensor:
    """The photo (B, H, W) int64 that gives most of the colour, -1 where all give less than half. given: (B, V, H, W)."""
    return torch.where(given.sum(1) < MOSTLY, -1, given.argmax(1))


def bands_of(height: int, width: int) -> int:
    """How often a search in this size and its blending call their check."""
    matched = sum(-(-rows // band_rows(columns)) for rows, columns in halved_sizes(height, width, COARSE_SIDE))
    return matched + 2 * -(-height // band_rows(width))


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
