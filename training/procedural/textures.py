"""Solid textures: linear colours as functions of a point. Drawn at random, calm more often than not."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

Texture = Callable[[Tensor], Tensor]  # points (N, 3), about in [-1, 1] -> linear colours (N, 3)

NOISE_CELLS = 16  # The noise repeats after so many cells.
# Odds of the kinds below; low frequencies first, as most things in the world are of few colours.
KINDS = {"solid": 0.25, "gradient": 0.2, "noise": 0.25, "stripes": 0.15, "checker": 0.15}


def linear_from_srgb(values: Tensor) -> Tensor:
    return torch.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(values: Tensor) -> Tensor:
    return torch.where(values <= 0.0031308, values * 12.92, 1.055 * values.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def uniform(generator: Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, device=generator.device))


def choice(generator: Generator, weights: dict[str, float]) -> str:
    """One of the keys, with odds in proportion to its weight."""
    odds = torch.tensor(list(weights.values()), device=generator.device)
    return list(weights)[int(torch.multinomial(odds, 1, generator=generator))]


def random_colour(generator: Generator) -> Tensor:
    """A linear colour (3,): any hue, the full ones seldom."""
    hue = uniform(generator, 0, 6)
    saturation = uniform(generator, 0, 1) ** 1.5
    value = uniform(generator, 0.15, 1.0)
    offsets = torch.tensor([0.0, 4.0, 2.0], device=generator.device)
    pure = (((hue + offsets) % 6 - 3).abs() - 1).clamp(0, 1)
    return linear_from_srgb(value * (1 - saturation * (1 - pure)))


def random_texture(generator: Generator) -> Texture:
    kind = choice(generator, KINDS)
    first = random_colour(generator)
    if kind == "solid":
        return lambda points: first.expand(len(points), 3)
    second = torch.lerp(first, random_colour(generator), uniform(generator, 0.3, 1.0))
    pattern = _pattern(generator, kind)
    return lambda points: torch.lerp(first, second, pattern(points)[:, None])


def _pattern(generator: Generator, kind: str) -> Callable[[Tensor], Tensor]:
    """points (N, 3) -> share of the second colour (N,) in [0, 1]."""
    axes = torch.linalg.qr(torch.randn(3, 3, generator=generator, device=generator.device)).Q
    offset = uniform(generator, 0, NOISE_CELLS)
    if kind == "gradient":
        return lambda points: ((points @ axes[0]) * 0.6 + 0.5).clamp(0, 1)
    frequency = 2 ** uniform(generator, 0, 2)
    if kind == "stripes":
        width = uniform(generator, 0.3, 0.7)
        return lambda points: ((points @ axes[0] * frequency + offset) % 1 < width).float()
    if kind == "checker":
        # Along the solid's own axes, as tiles lie; the offset keeps a face from falling on a boundary.
        return lambda points: ((points * frequency + offset).floor().sum(-1) % 2).float()
    table = torch.rand((NOISE_CELLS,) * 3, generator=generator, device=generator.device)
    hardness = 2 ** uniform(generator, 0, 3)

    def noise(points: Tensor) -> Tensor:
        value = value_noise(table, points @ axes * frequency + offset)
        value = value + 0.5 * value_noise(table, points @ axes * (2.03 * frequency) + 2 * offset)
        return ((value / 1.5 - 0.5) * hardness + 0.5).clamp(0, 1)

    return noise


def value_noise(table: Tensor, points: Tensor) -> Tensor:
    """Smooth interpolation in a periodic table (C, C, C) at points (N, 3), in cells: (N,)."""
    cells = len(table)
    corner = points.floor()
    x, y, z = (lambda part: part * part * (3 - 2 * part))(points - corner).unbind(-1)
    low = corner.long() % cells
    high = (low + 1) % cells
    flat = table.reshape(-1)

    def at(i: Tensor, j: Tensor, k: Tensor) -> Tensor:
        return flat[(i * cells + j) * cells + k]

    (x0, y0, z0), (x1, y1, z1) = low.unbind(-1), high.unbind(-1)
    near = torch.lerp(torch.lerp(at(x0, y0, z0), at(x1, y0, z0), x), torch.lerp(at(x0, y1, z0), at(x1, y1, z0), x), y)
    far = torch.lerp(torch.lerp(at(x0, y0, z1), at(x1, y0, z1), x), torch.lerp(at(x0, y1, z1), at(x1, y1, z1), x), y)
    return torch.lerp(near, far, z)


def sphere_direction(generator: Generator) -> Tensor:
    """A unit vector (3,), uniform over the sphere."""
    height, turn = uniform(generator, -1, 1), uniform(generator, 0, 2 * math.pi)
    across = math.sqrt(1 - height * height)
    return torch.tensor([across * math.cos(turn), across * math.sin(turn), height], device=generator.device)
