"""The depth of photos as maps: what points lie on their surfaces, and how far other photos confirm them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .reprojection import Photos, Seen, Target, look_up, seen_at, sights_of

# Depths agree when they are this many steps apart; so many other photos that agree make one wholly trusted, and one that
# none confirms counts like this many.
AGREEING_STEPS, WHOLLY_CONFIRMED, UNCONFIRMED = 1.5, 3.0, 0.05


@dataclass(frozen=True, slots=True)
class DepthMaps:
    """inverse_depth and likelihood in [0, 1]: (B, V, h, w). sizes (B, V, 2): width and height of what is a photo within each
    map, from the top left. step (B, V): how far apart the planes were that found them.

    Where a photo shows that nothing is there, inverse_depth and likelihood are 0.
    """

    inverse_depth: Tensor
    likelihood: Tensor
    sizes: Tensor
    step: Tensor

    @classmethod
    def stacked(cls, maps: Sequence["DepthMaps"]) -> "DepthMaps":
        """Those of several photos as one, edge values repeated where they differ in size."""
        height, width = (max(one.inverse_depth.shape[axis] for one in maps) for axis in (-2, -1))

        def grown(x: Tensor) -> Tensor:
            return nn.functional.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]), mode="replicate")

        return cls(
            torch.cat([grown(one.inverse_depth) for one in maps], dim=1),
            torch.cat([grown(one.likelihood) for one in maps], dim=1),
            torch.cat([one.sizes for one in maps], dim=1),
            torch.cat([one.step for one in maps], dim=1),
        )

    def camera(self, number: int, photos: Photos) -> Target:
        """The camera of one of the photos, as its map has it."""
        scale = (self.sizes[:, number] / photos.sizes[:, number]).repeat(1, 2)
        height, width = self.inverse_depth.shape[-2:]
        return Target(photos.camera_to_world[:, number], photos.fxfycxcy[:, number] * scale, height, width)

    def looked_up(self, seen: Seen, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """How far points lie before the photos' surfaces, in planes' distances (those behind below 0); how likely these
        surfaces are to be right; and whether a photo shows that nothing is there: (B, V, D, H, W) each.

        step (B,): the distance of the planes that the points stand on.
        """
        maps = torch.stack([self.inverse_depth, self.likelihood], dim=2)
        inverse_depth, likelihood = look_up(maps, self.sizes, seen, "nearest").unbind(2)
        apart = torch.maximum(self.step, step[:, None])[..., None, None, None]
        is_empty = (inverse_depth == 0) & seen.is_in_front  # beyond a border without anything there is nothing either
        return (seen.inverse_depth - inverse_depth) / apart, torch.where(is_empty, 1.0, likelihood), is_empty

    def agreeing(self, seen: Seen, number: int) -> Tensor:
        """Whether points on the surface of one photo (D = 1) are seen by the photos, and on theirs: (B, V, H, W)."""
        before, _, _ = self.looked_up(seen, self.step[:, number])
        return ((before.abs() < AGREEING_STEPS) & seen.is_seen)[:, :, 0]


def confirmed(maps: DepthMaps, photos: Photos, presence: Tensor) -> DepthMaps:
    """The same maps, less likely where others do not find the same surface. presence: (B, V) in [0, 1], how far each counts."""
    likelihoods = []
    for number in range(maps.step.shape[1]):
        seen = seen_at(sights_of(maps.camera(number, photos), photos), maps.inverse_depth[:, number, None])
        agrees = maps.agreeing(seen, number) * presence[..., None, None]
        others = agrees.sum(1) - agrees[:, number]
        likelihoods.append(maps.likelihood[:, number] * ((others + UNCONFIRMED) / WHOLLY_CONFIRMED).clamp(max=1.0))
    return DepthMaps(maps.inverse_depth, torch.stack(likelihoods, 1), maps.sizes, maps.step)
