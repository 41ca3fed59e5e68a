"""Exposure: how much lighter each photo is than the others, by the surfaces that several of them see.

A camera left to itself exposes every photo anew. Copied side by side such photos show as patches, and do not agree where they
see the same; levelled, they do. Each channel by itself, since white balance changes as well.
"""

from dataclasses import replace

import torch
from torch import Tensor

from .depth_maps import AGREEING_STEPS, BACKGROUND_TOLERANCE, DepthMaps
from .reprojection import Photos, look_up, seen_at, sights_of

# Encoded colours that are compared: darker ones are noise, lighter ones may be cut off.
DARKEST, LIGHTEST = 0.06, 0.9
# A surface counts from this likelihood on; a pair of photos half, that shares so many pixels of them.
LIKELY, FEW_PIXELS = 0.3, 200
# How little ties a photo to the others' mean that shares next to nothing with them.
TIE = 0.02
# No photo is made lighter or darker than by this factor.
MOST = 2.0


def log_exposures(photos: Photos, surfaces: DepthMaps, presence: Tensor) -> Tensor:
    """By the logarithm of which factor each photo's encoded colours are lighter than the photos' mean: (B, V, 3).

    surfaces: of these photos, as likely as others confirm them. presence: (B, V) in [0, 1], how far each counts, in the mean too:
    so nothing jumps when a photo fades in or out.
    """
    apart, pixels = (torch.stack(columns, 1) for columns in zip(*_of_pairs(photos, surfaces), strict=True))
    weights = pixels / (pixels + FEW_PIXELS) * (presence[:, :, None] * presence[:, None])[..., None]  # (B, V, V, 3)
    # The least squares of weights[i, j] * (exposure[j] - exposure[i] - apart[i, j]): a graph's Laplacian.
    wanted = (weights * apart).sum(1) - (weights * apart).sum(2)  # (B, V, 3)
    both = (weights + weights.transpose(1, 2)).movedim(-1, 1)  # (B, 3, V, V)
    laplacian = torch.diag_embed(both.sum(-1) + TIE) - both
    exposures = torch.linalg.solve(laplacian, wanted.mT).mT
    mean = (presence[..., None] * exposures).sum(1, keepdim=True) / presence.sum(1).clamp_min(TIE)[:, None, None]
    most = torch.tensor(MOST).log().item()
    return (exposures - mean).clamp(-most, most)


def _of_pairs(photos: Photos, surfaces: DepthMaps) -> "list[tuple[Tensor, Tensor]]":
    """Of each photo: how much lighter the others show its surfaces (B, V, 3), and by how many pixels that is told."""
    found = []
    for number in range(surfaces.step.shape[1]):
        camera = surfaces.camera(number, photos)
        small = photos.shrunk_to(float(camera.fxfycxcy[:, :2].median()))
        seen = seen_at(sights_of(camera, small), surfaces.inverse_depth[:, number, None])
        before, _, _ = surfaces.looked_up(seen, surfaces.step[:, number])
        likely = surfaces.likelihood[:, number, None] > LIKELY
        is_seen = ((before.abs() < AGREEING_STEPS) & seen.is_seen)[:, :, 0] & likely  # (B, V, h, w)
        colours = look_up(small.images, small.sizes, seen)[:, :, :, 0].flatten(3)  # (B, V, 3, P)
        is_exposed = (colours > DARKEST) & (colours < LIGHTEST)
        told = is_seen.flatten(2)[:, :, None] & is_exposed & is_exposed[:, number, None]
        lighter = (colours / colours[:, number, None]).clamp_min(1e-6).log()
        found.append((lighter.where(told, torch.nan).nanmedian(-1).values.nan_to_num(), told.sum(-1).to(lighter)))
    return found


def levelled(photos: Photos, surfaces: DepthMaps, exposures: Tensor, background: Tensor) -> Photos:
    """The photos as light as their mean. What cut-outs show of a background (3,), where nothing is, stays as it is."""
    is_cut_out = (surfaces.inverse_depth == 0).flatten(2).any(-1)[..., None, None, None]
    apart = (photos.images - background[:, None, None]).abs().amax(2, keepdim=True)
    lighter = (photos.images * exposures.neg().exp()[..., None, None]).clamp(0, 1)
    return replace(photos, images=torch.where(is_cut_out & (apart < BACKGROUND_TOLERANCE), photos.images, lighter))
