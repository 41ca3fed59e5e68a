"""Things that stand in rooms, of upright slabs and columns: they give thin legs, boards, and what lies below them.

In about metres, on z = 0, around the z axis.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .things import Thing, assembled, column, slab

Furniture = Callable[[np.random.Generator, Sequence[int]], Thing]


def table(rng: np.random.Generator, materials: Sequence[int]) -> Thing:
    """A board on four legs."""
    top, legs = _two(rng, materials)
    width, depth, height, thick = (
        rng.uniform(0.35, 0.8),
        rng.uniform(0.3, 0.5),
        rng.uniform(0.4, 0.8),
        rng.uniform(0.02, 0.06),
    )
    return assembled(
        [
            slab((-width, -depth, height - thick), (width, depth, height), top),
            *_legs(width - 0.03, depth - 0.03, height - thick, rng.uniform(0.015, 0.04), legs),
        ]
    )


def chair(rng: np.random.Generator, materials: Sequence[int]) -> Thing:
    """A seat on four legs, with a back."""
    seat, legs = _two(rng, materials)
    half, height, back = rng.uniform(0.18, 0.26), rng.uniform(0.38, 0.5), rng.uniform(0.3, 0.6)
    return assembled(
        [
            slab((-half, -half, height - 0.04), (half, half, height), seat),
            slab((-half, half - 0.04, height), (half, half, height + back), seat),
            *_legs(half - 0.02, half - 0.02, height - 0.04, 0.02, legs),
        ]
    )


def shelf(rng: np.random.Generator, materials: Sequence[int]) -> Thing:
    """Boards between two sides, with books and boxes on them."""
    wood, back = _two(rng, materials)
    half, depth, height, boards = (
        rng.uniform(0.3, 0.6),
        rng.uniform(0.12, 0.2),
        rng.uniform(0.8, 1.9),
        rng.integers(2, 6),
    )
    levels = np.linspace(0.03, height, boards + 1)
    parts = [slab((side * half - 0.015, -depth, 0), (side * half + 0.015, depth, height), wood) for side in (-1, 1)]
    parts += [slab((-half, -depth, level - 0.03), (half, depth, level), wood) for level in levels]
    parts.append(slab((-half, depth - 0.02, 0), (half, depth, height), back))
    for level, above in zip(levels[:-1], levels[1:], strict=True):
        left = -half + 0.03
        while left < half - 0.2:
            width, tall = rng.uniform(0.04, 0.2), (above - level - 0.03) * rng.uniform(0.4, 0.95)
            if rng.uniform() < 0.75:
                low, high = (left, -depth * rng.uniform(0.2, 0.9), level), (left + width, depth - 0.03, level + tall)
                parts.append(slab(low, high, int(rng.choice(materials))))
            left += width + 0.005
    return assembled(parts)


def pedestal(rng: np.random.Generator, materials: Sequence[int]) -> Thing:
    """A block, or a column."""
    material, foot = _two(rng, materials)
    radius, height = rng.uniform(0.2, 0.45), rng.uniform(0.2, 0.9)
    if rng.uniform() < 0.5:
        return slab((-radius, -radius, 0), (radius, radius, height), material)
    return assembled([column(radius, 0, 0.06, foot), column(0.8 * radius, 0.06, height, material)])


def lamp(rng: np.random.Generator, materials: Sequence[int]) -> Thing:
    """A foot, a pole and a shade."""
    metal, shade = _two(rng, materials)
    height, radius = rng.uniform(0.5, 1.7), rng.uniform(0.1, 0.25)
    return assembled(
        [
            column(radius, 0, 0.03, metal),
            column(0.015, 0.03, height - 0.1, metal),
            column(radius, height - 0.3, height, shade, "frustum"),
        ]
    )


def crates(rng: np.random.Generator, materials: Sequence[int]) -> Thing:
    """Boxes on boxes."""
    parts, height, half = [], 0.0, rng.uniform(0.2, 0.45)
    for _ in range(rng.integers(1, 5)):
        tall = half * rng.uniform(0.6, 1.6)
        x, y = rng.uniform(-0.1, 0.1, size=2) * half
        parts.append(
            slab(
                (x - half, y - half * 0.8, height),
                (x + half, y + half * 0.8, height + tall),
                int(rng.choice(materials)),
            )
        )
        height += tall
        half *= rng.uniform(0.65, 0.95)
    return assembled(parts)


FURNITURE: dict[str, Furniture] = {
    "table": table,
    "chair": chair,
    "shelf": shelf,
    "pedestal": pedestal,
    "lamp": lamp,
    "crates": crates,
}


def picture(width: float, tall: float, frame: int, canvas: int) -> Thing:
    """A framed picture that hangs on the plane y = 0 and is seen from -y; its lower edge's middle at the origin."""
    half = width / 2
    return assembled(
        [
            slab((-half, -0.03, 0), (half, 0.0, tall), frame),
            slab((-half + 0.04, -0.035, 0.04), (half - 0.04, -0.001, tall - 0.04), canvas),
        ]
    )


def _two(rng: np.random.Generator, materials: Sequence[int]) -> tuple[int, int]:
    first, second = rng.choice(materials, size=2)
    return int(first), int(second)


def _legs(x: float, y: float, height: float, half: float, material: int) -> list[Thing]:
    return [
        slab((i * x - half, j * y - half, 0), (i * x + half, j * y + half, height), material)
        for i in (-1, 1)
        for j in (-1, 1)
    ]
