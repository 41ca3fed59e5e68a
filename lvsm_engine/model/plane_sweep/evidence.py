"""What a sweep knows of each pixel, as numbers that a small network can weigh: of each photo there, and of the place.

All of it is of about unit size, and none of it depends on the picture's size, on other pixels far away, or on the order of
the photos.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from .filters import box_filtered
from .matching import ANGLE_SHARPNESS, SURFACE_SPREAD, Match, Matching
from .reprojection import cosines, look_up, seen_at, sights_of

# What may be shown beside the colour of each photo: what a rule decides, the guide, what photos agree on, the background.
GUESSES = ("decided", "guide", "agreed", "background")
# Means over squares of so many pixels tell of the surroundings.
SURROUNDINGS = (5, 13)
# Rows around a pixel that its evidence depends on.
REACH = max(SURROUNDINGS) // 2
OF_PHOTOS, OF_PLACES = 17, 22
# Where of_photos tells how likely a photo's own surface is here; and each photo's portion of those that see the place, the
# nearest to the target's direction most.
HERE, PORTION = 6, 10
# Distances before and behind a photo's surface, in planes, count up to this.
FARTHEST_BEFORE = 4.0
# What makes differences of colours, and of cosines, about as large as the other numbers.
COLOUR_SCALE, COSINE_SCALE, MIDDLE_COSINE = 5.0, 4.0, 0.9
# Differences beyond this are all alike; below the least, a logarithm would have no end.
MOST_DIFFERENT, LEAST_DIFFERENT = 0.3, 1e-5
# The least odds: of showing anything where nothing is, of a photo that does not see the place, and of the background where
# no photo shows that nothing is there.
HARDLY_THERE, HARDLY_PRESENT, NEVER = 1e-4, 1e-6, 1e-30


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of pixels (...), each seen by V photos: of_photos (..., V, OF_PHOTOS) and of_places (..., OF_PLACES), to be weighed.

    Of the C = len(GUESSES) + V that may be shown: colours (..., C, 3), known (..., C) in [0, 1], how far photos agree on
    it, and prior (..., C), the logarithm of its odds before anything is weighed.
    """

    of_photos: Tensor
    of_places: Tensor
    colours: Tensor
    known: Tensor
    prior: Tensor

    def flat(self) -> "Evidence":
        """The same with the pixels (B, H, W) in one row, (B * H * W)."""
        return Evidence(*(getattr(self, field.name).flatten(0, 2) for field in fields(self)))

    def split(self, pixels: int) -> "list[Evidence]":
        """The same, flat, in parts of so many pixels."""
        columns = (getattr(self, field.name).split(pixels) for field in fields(self))
        return [Evidence(*parts) for parts in zip(*columns, strict=True)]


def evidence_of(
    matching: Matching, match: Match, decided: Tensor, share: Tensor, background: Tensor, first: int, last: int
) -> Evidence:
    """Of rows first to last of the finest level.

    decided: (B, 3, H, W), the picture by a rule, in which the photos have this share (B, H, W). background: (3,).
    """
    top, bottom = max(0, first - REACH), min(matching.target.height, last + REACH)
    rows = matching.of_rows(top, bottom)
    decided, share = decided[:, :, top:bottom], share[:, top:bottom]
    found = match.of_rows(top, bottom)
    inner = slice(first - top, last - top)

    sights, points = sights_of(rows.target, rows.photos), found.inverse_depth[:, None]
    seen = seen_at(sights, points)
    colours = look_up(rows.photos.images, rows.photos.sizes, seen)[:, :, :, 0]  # (B, V, 3, H, W)
    before, likelihood, is_empty = (x[:, :, 0] for x in rows.surfaces.looked_up(seen, rows.planes.step))
    present = seen.is_seen[:, :, 0] * rows.presence[..., None, None]
    cosine = cosines(sights, points)[:, :, 0]
    of_photos = _of_photos(colours, before, likelihood, is_empty, present, cosine, decided, rows.guide)
    strongest = (_angle_weight(cosine) * present).amax(1)
    of_places = _of_places(found, rows, decided, share, present.sum(1) / present.shape[1], strongest)

    guesses = (decided, rows.guide, found.picture, background[:, None, None].expand_as(decided))
    shown = torch.cat([torch.stack(guesses, 1), colours], 1)  # (B, C, 3, H, W)
    guesses_known = torch.stack([share, torch.zeros_like(share), share, torch.ones_like(share)], 1)
    known = torch.cat([guesses_known, torch.maximum(of_photos[:, :, HERE], share[:, None])], 1)
    there, gone = (1 - found.carved).clamp_min(HARDLY_THERE).log(), found.carved.clamp_min(NEVER).log()
    seen_by = (present + HARDLY_PRESENT).log() + there[:, None]
    prior = torch.cat([torch.stack([there, there, seen_by.amax(1), gone], 1), seen_by], 1)
    columns = (of_photos, of_places, shown, known, prior)
    return Evidence(*(column[..., inner, :].movedim((-2, -1), (1, 2)).contiguous() for column in columns))


def _angle_weight(cosine: Tensor) -> Tensor:
    """How much a photo counts by the angle from which it sees a place, in [e^-6, 1]."""
    return (ANGLE_SHARPNESS * (cosine - 1)).clamp_min(-6).exp()


def _of_photos(
    colours: Tensor,
    before: Tensor,
    likelihood: Tensor,
    is_empty: Tensor,
    present: Tensor,
    cosine: Tensor,
    decided: Tensor,
    guide: Tensor,
) -> Tensor:
    """(B, V, OF_PHOTOS, H, W); 0 where a photo does not see the place."""
    before = before.clamp(-FARTHEST_BEFORE, FARTHEST_BEFORE)
    here = (-(before / SURFACE_SPREAD).square() / 2).exp() * likelihood
    hidden = before.clamp(max=0).neg() * likelihood
    unlike_decided, unlike_guide = (
        COLOUR_SCALE * (colours - picture[:, None]).abs().mean(2) for picture in (decided, guide)
    )
    lighter = COLOUR_SCALE * (colours - decided[:, None]).mean(2)
    near = _angle_weight(cosine)
    portion = near * present / ((near * present).sum(1, keepdim=True) + 1e-3)
    is_present = (present > 0).float()
    around = torch.stack([here * is_present, unlike_decided, hidden], 2)
    seen = [before / FARTHEST_BEFORE, likelihood, is_empty.float(), near, COSINE_SCALE * (cosine - MIDDLE_COSINE)]
    seen += [present, here, unlike_decided, unlike_guide, lighter, portion]
    surroundings = [box_filtered(around, side) for side in SURROUNDINGS]
    return torch.cat([torch.stack(seen, 2), *surroundings], 2) * is_present[:, :, None]


def _of_places(
    found: Match, rows: Matching, decided: Tensor, share: Tensor, present: Tensor, strongest: Tensor
) -> Tensor:
    """(B, OF_PLACES, H, W)."""
    difference = COLOUR_SCALE * found.difference.clamp(0, MOST_DIFFERENT)
    decades = found.difference.clamp_min(LEAST_DIFFERENT).log10() / 2 + 1
    step = rows.planes.step[:, None, None]
    bump = ((box_filtered(found.inverse_depth, 5) - found.inverse_depth) / step).clamp(-2, 2)
    unlike_guide = COLOUR_SCALE * (rows.guide - decided).abs().mean(1)
    unlike_agreed = COLOUR_SCALE * (found.picture - decided).abs().mean(1)
    grey = decided.mean(1)
    contrast = COLOUR_SCALE * (box_filtered(grey.square(), 5) - box_filtered(grey, 5).square()).clamp_min(1e-6).sqrt()
    here = [difference, decades, found.surface, found.second_cosine, found.carved, share, bump]
    here += [unlike_guide, unlike_agreed, present, strongest, contrast]
    around = torch.stack([difference, found.surface, share, unlike_guide, found.carved], 1)
    return torch.cat([torch.stack(here, 1), *(box_filtered(around, side) for side in SURROUNDINGS)], 1)
