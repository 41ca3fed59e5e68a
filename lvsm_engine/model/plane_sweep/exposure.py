"""Exposure: how much lighter photos are than others that see the same surfaces.

A camera left to itself exposes every photo anew. Copied side by side such photos show as patches, and do not agree where they
see the same; levelled, they do. Each channel by itself, since white balance changes as well. Exposures are logarithms of the
factors by which encoded colours are lighter.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from .depth_maps import DepthMaps
from .emptiness import is_plain
from .reprojection import Photos, look_up, seen_at, sights_of

# Encoded colours that are compared: darker ones are noise, lighter ones may be cut off.
DARKEST, LIGHTEST = 0.06, 0.9
# What so many pixels tell counts half.
FEW_PIXELS = 100
# A surface counts from this likelihood on.
LIKELY = 0.3
# How little ties a photo to the others' mean that shares next to nothing with them.
TIE = 0.02
# No photo is made lighter or darker by more than twice.
MOST = math.log(2)
GAMMA = 2.2


def exposures_beside(photo: Photos, neighbours: Photos, inverse_depth: Tensor, is_sure: Tensor) -> Tensor:
    """Exposures (B, V, 3) of neighbours beside a photo (V = 1), whose depth is known a little.

    inverse_depth, is_sure: (B, h, w), of the photo's pixels, and which of them count. Nearer to 0 where few are shared.
    """
    seen = seen_at(sights_of(photo.as_target(0), neighbours), inverse_depth[:, None])
    theirs = look_up(neighbours.images, neighbours.sizes, seen)[:, :, :, 0]
    lighter, weight = _lighter(theirs, photo.images, seen.is_seen[:, :, 0] & is_sure[:, None])
    return (lighter * weight).clamp(-MOST, MOST)


def exposures_of(photos: Photos, surfaces: DepthMaps, presence: Tensor) -> Tensor:
    """Exposures (B, V, 3) of photos beside their mean.

    surfaces: of these photos, as likely as others confirm them. presence: (B, V) in [0, 1], how far each counts, in the mean too:
    so nothing jumps when a photo fades in or out.
    """
    apart, weights = (torch.stack(columns, 1) for columns in zip(*_of_pairs(photos, surfaces), strict=True))
    weights = weights * (presence[:, :, None] * presence[:, None])[..., None]  # (B, V, V, 3)
    # The least squares of weights[i, j] * (exposure[j] - exposure[i] - apart[i, j]): a graph's Laplacian.
    wanted = (weights * apart).sum(1) - (weights * apart).sum(2)  # (B, V, 3)
    both = (weights + weights.transpose(1, 2)).movedim(-1, 1)  # (B, 3, V, V)
    laplacian = torch.diag_embed(both.sum(-1) + TIE) - both
    exposures = torch.linalg.solve(laplacian, wanted.mT).mT
    mean = (presence[..., None] * exposures).sum(1, keepdim=True) / presence.sum(1).clamp_min(TIE)[:, None, None]
    return (exposures - mean).clamp(-MOST, MOST)


def stops_apart(exposures: Tensor) -> Tensor:
    """By how many stops the lightest of photos is from the darkest: exposures (B, V, 3) -> (B,). A stop is twice the light, and
    encoded colours go with about its root of GAMMA."""
    grey = exposures.mean(-1)
    return (grey.amax(1) - grey.amin(1)) * GAMMA / math.log(2)


def levelled(photos: Photos, exposures: Tensor) -> Photos:
    """Photos without what their exposures (B, V, 3) made lighter or darker."""
    return replace(photos, images=(photos.images * exposures.neg().exp()[..., None, None]).clamp(0, 1))


def levelled_on(background: Tensor, photos: Photos, surfaces: DepthMaps, exposures: Tensor) -> Photos:
    """The same; what cut-outs show of a background (3,), where nothing is, stays as it is."""
    is_cut_out = (surfaces.inverse_depth == 0).flatten(2).any(-1)[..., None, None]
    stays = (is_plain(photos.images, background) & is_cut_out)[:, :, None]
    return replace(photos, images=torch.where(stays, photos.images, levelled(photos, exposures).images))


def _of_pairs(photos: Photos, surfaces: DepthMaps) -> list[tuple[Tensor, Tensor]]:
    """Of each photo: how much lighter the others show its surfaces (B, V, 3), and how far that counts."""
    found = []
    for number in range(surfaces.step.shape[1]):
        camera = surfaces.camera(number, photos)
        small = photos.shrunk_to(float(camera.fxfycxcy[:, :2].median()))
        seen = seen_at(sights_of(camera, small), surfaces.inverse_depth[:, number, None])
        colours = look_up(small.images, small.sizes, seen)[:, :, :, 0]
        is_sure = surfaces.agreeing(seen, number) & (surfaces.likelihood[:, number, None] > LIKELY)
        found.append(_lighter(colours, colours[:, number, None], is_sure))
    return found


def _lighter(theirs: Tensor, own: Tensor, is_sure: Tensor) -> tuple[Tensor, Tensor]:
    """How much lighter colours (B, V, 3, h, w) are than others (B, 1, 3, h, w) of the same places, (B, V, 3), and how far that
    counts, in [0, 1]. is_sure: (B, V, h, w), which of them are compared."""
    is_exposed = (theirs > DARKEST) & (theirs < LIGHTEST) & (own > DARKEST) & (own < LIGHTEST)
    told = (is_sure[:, :, None] & is_exposed).flatten(3)
    ratio = (theirs.clamp_min(DARKEST) / own.clamp_min(DARKEST)).log().flatten(3)
    pixels = told.sum(-1).to(ratio)
    return ratio.where(told, torch.nan).nanmedian(-1).values.nan_to_num(), pixels / (pixels + FEW_PIXELS)
