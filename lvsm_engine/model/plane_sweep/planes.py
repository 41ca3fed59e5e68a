"""Which depths are tried: planes by inverse depth, all of them in a small picture, then few around the likeliest."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Planes around the coarser depth at each doubling of a picture, and how many of its planes they reach to either side.
FINE_PLANES, FINE_REACH = 7, 1.5
# Nothing is looked for beyond this inverse depth.
FARTHEST_INVERSE = 1e-4


@dataclass(frozen=True, slots=True)
class Planes:
    """inverse_depth (B, D, H, W), falling; step (B,): their distance."""

    inverse_depth: Tensor
    step: Tensor

    @classmethod
    def between(cls, near: Tensor, far: Tensor, count: int, height: int, width: int) -> "Planes":
        """Evenly by inverse depth, from near to far (B,)."""
        share = torch.linspace(0, 1, count, device=near.device)
        inverse = (1 / near)[:, None] * (1 - share) + (1 / far)[:, None] * share
        step = (1 / near - 1 / far) / (count - 1)
        return cls(inverse[:, :, None, None].expand(-1, -1, height, width), step)

    def around_likeliest(self, log_odds: Tensor, height: int, width: int) -> "Planes":
        """Fewer and closer ones around the likeliest, in a picture of another size. log_odds: (B, D, H, W)."""
        middle = resized(self.likeliest(log_odds)[:, None], height, width)
        reach = FINE_REACH * self.step
        offsets = torch.linspace(1, -1, FINE_PLANES, device=reach.device)
        inverse = (middle + reach[:, None, None, None] * offsets[:, None, None]).clamp_min(FARTHEST_INVERSE)
        return Planes(inverse, 2 * reach / (FINE_PLANES - 1))

    def likeliest(self, log_odds: Tensor) -> Tensor:
        """Inverse depths (B, H, W): of the likeliest plane and its neighbours, by their odds."""
        best = log_odds.argmax(1, keepdim=True)
        around = (best + torch.arange(-1, 2, device=best.device)[:, None, None]).clamp(0, log_odds.shape[1] - 1)
        odds = log_odds.gather(1, around).softmax(1)
        return (odds * self.inverse_depth.gather(1, around)).sum(1)


def halved_sizes(height: int, width: int, smallest: int) -> list[tuple[int, int]]:
    """(height, width) from a small picture, its longer side from half of `smallest` to all, each about half the next."""
    halvings = ((max(height, width) - 1) // smallest).bit_length()
    return [(max(1, round(height / 2**n)), max(1, round(width / 2**n))) for n in range(halvings, -1, -1)]


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W) -> (B, C, height, width): area means when it shrinks, bilinear when it grows."""
    if images.shape[-2:] == (height, width):
        return images
    if height < images.shape[-2]:
        return nn.functional.interpolate(images, (height, width), mode="area")
    return nn.functional.interpolate(images, (height, width), mode="bilinear", align_corners=False)


def weighted_quantiles(values: Tensor, weights: Tensor, shares: tuple[float, ...]) -> tuple[Tensor, ...]:
    """The values (B,) below which these shares of all weight lie. values, weights: (B, N)."""
    ordered, order = values.sort(dim=1)
    reached = weights.gather(1, order).cumsum(1)
    positions = [(reached < share * reached[:, -1:]).sum(1, keepdim=True) for share in shares]
    return tuple(ordered.gather(1, position.clamp_max(values.shape[1] - 1))[:, 0] for position in positions)
