"""Texture: the fine part of a picture, of one photo at a time.

No two photos lie quite on each other, so what is finer than that is gone from a mixture of them: a carpet turns grey. So what
is coarse stays the mixture, and what is fine is taken from the photo that gives most around a place (multi-band blending,
Burt and Adelson 1983, with two bands).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .matching import Matching, band_rows
from .planes import resized
from .reprojection import look_up, seen_at, sights_of

# The coarse part of a picture is what one whose longer side has so many pixels can show.
BLURRED_SIDE = 64
# How far a photo that gives more is preferred: the power of what they give.
PREFERENCE = 2
# Where photos give only a share of the colour, their texture lacks this power of the rest: it is to look as sharp as elsewhere.
LACKING = 3
# From this share on a photo may give all of the texture of a place; one that gives less is perhaps blocked there.
ENOUGH = 0.1
TINY = 1e-12


def sharpened(
    picture: Tensor,
    given: Tensor,
    matching: Matching,
    inverse_depth: Tensor,
    check: Callable[[], None],
    band_pixels: int,
) -> Tensor:
    """A picture (B, 3, H, W) mixed from photos and others, with its fine part of one photo at a time.

    given: (B, V, H, W), the photos' shares in its colours. inverse_depth: (B, H, W), where they are looked up. A band of rows
    after the other; check is called before each, and may raise to stop. No colour is beyond those of the photos and the picture.
    """
    target, photos = matching.target, matching.photos
    height, rows = target.height, band_rows(target.width, band_pixels)
    around = _around(given)
    blurred = photos.shrunk_to(float(target.fxfycxcy[:, :2].median()) * BLURRED_SIDE / max(height, target.width))
    bands = []
    for first in range(0, height, rows):
        check()
        band = slice(first, min(first + rows, height))
        seen = seen_at(sights_of(target.of_rows(band.start, band.stop), photos), inverse_depth[:, None, band])
        whole, coarse = (look_up(some.images, some.sizes, seen)[:, :, :, 0] for some in (photos, blurred))
        mixed, own = picture[:, :, band], given[:, :, band]
        change = _shares_in_texture(own, around[:, :, band]) - own
        sharp = mixed + (change[:, :, None] * (whole - coarse)).sum(1)
        bands.append(sharp.clamp(torch.minimum(whole.amin(1), mixed), torch.maximum(whole.amax(1), mixed)))
    return torch.cat(bands, dim=-2)


def _around(given: Tensor) -> Tensor:
    """What photos give around each place, (B, V, H, W), as smooth as the coarse part is."""
    height, width = given.shape[-2:]
    factor = min(1.0, BLURRED_SIDE / max(height, width))
    return resized(resized(given, max(1, round(height * factor)), max(1, round(width * factor))), height, width)


def _shares_in_texture(given: Tensor, around: Tensor) -> Tensor:
    """How much of each photo's texture is to be in a picture, by the shares that they have in its colours: (B, V, H, W).

    What photos give in part, and a blurred guide the rest, gets more of their texture than that, to be as sharp as what they
    give alone.
    """
    decided = around**PREFERENCE * (given / ENOUGH).clamp(0, 1)
    total = 1 - (1 - given.sum(1, keepdim=True).clamp(0, 1)) ** LACKING
    return decided / decided.sum(1, keepdim=True).clamp_min(TINY) * total
