"""In what light an object stands: white from everywhere, or drawn at random. Knows numpy, nothing of Blender.

Brightness is counted in levels: the linear radiance that a light gives to a white matte surface at the origin which
faces it. White light has level 1 everywhere, so that objects show their own colours. Random lights add up to about 1
on a surface that faces them all: pictures are neither black nor burnt out, whatever was drawn.
"""

from dataclasses import dataclass

import numpy as np

from .cameras import rng_for

# Bounds of uniform draws, except where said.
TOTAL_LEVEL = (0.8, 1.25)
AMBIENT_SHARE = (0.3, 0.8)  # Of the total, from all around: what no lamp reaches stays visible.
MAX_TINT = 0.35  # How far a light is from white.
LAMPS = (1, 2, 3)
LAMP_ELEVATION = (10.0, 85.0)  # Degrees above the horizon.
SUN_ANGLE = (0.5, 20.0)  # Degrees: from hard shadows to soft ones.
PANEL_DISTANCE = (2.0, 4.0)
PANEL_SIDE = (0.5, 2.5)
# Of a sky: how bright its parts are beside each other.
GROUND_LEVEL, HORIZON_LEVEL, ZENITH_LEVEL = (0.1, 0.7), (0.8, 1.2), (0.4, 1.2)
HORIZON_WIDTH = 0.1  # In sines: the sky fades into the ground between -0.1 and 0.


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What shines from all around: linear colours (3,) straight down, at the horizon, straight up."""

    ground: np.ndarray
    horizon: np.ndarray
    zenith: np.ndarray

    def mean(self) -> np.ndarray:
        """(3,): the average over the sphere, on which the sine of the elevation is uniform."""
        faded = HORIZON_WIDTH / 2 * (self.ground + self.horizon) / 2
        return (1 - HORIZON_WIDTH) / 2 * self.ground + faded + (self.horizon + self.zenith) / 4


@dataclass(frozen=True, slots=True, eq=False)
class Lamp:
    """One light. colour: (3,) linear, its level included. direction: (3,) unit, from the origin to it.

    A sun has an angle (degrees across) and is far away; a panel is a square (side) at a distance, facing the origin.
    """

    colour: np.ndarray
    direction: np.ndarray
    angle: float = 0.0
    side: float = 0.0
    distance: float = np.inf

    @property
    def is_sun(self) -> bool:
        return self.distance == np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Lighting:
    """All the light of a scene."""

    surroundings: Surroundings
    lamps: tuple[Lamp, ...] = ()


WHITE = Lighting(Surroundings(*np.ones((3, 3))))


def lighting_for(name: str, sampling: str) -> Lighting:
    """The light of an object: white, but for half of the objects of the sampling "robust"."""
    if sampling != "robust":
        return WHITE
    rng = rng_for(name, "lighting")
    return random_lighting(rng) if rng.uniform() < 0.5 else WHITE


def random_lighting(rng: np.random.Generator) -> Lighting:
    """Surroundings of one colour or as a sky, and one to three lamps."""
    total, share = rng.uniform(*TOTAL_LEVEL), rng.uniform(*AMBIENT_SHARE)
    surroundings = _random_sky(rng) if rng.uniform() < 0.5 else Surroundings(*[_tint(rng)] * 3)
    scale = total * share / surroundings.mean().mean()
    count = rng.choice(LAMPS)
    levels = total * (1 - share) * rng.dirichlet(np.ones(count))
    return Lighting(
        Surroundings(surroundings.ground * scale, surroundings.horizon * scale, surroundings.zenith * scale),
        tuple(_random_lamp(rng, level) for level in levels),
    )


def _random_sky(rng: np.random.Generator) -> Surroundings:
    levels = [rng.uniform(*bounds) for bounds in (GROUND_LEVEL, HORIZON_LEVEL, ZENITH_LEVEL)]
    return Surroundings(*(level * _tint(rng) for level in levels))


def _random_lamp(rng: np.random.Generator, level: float) -> Lamp:
    elevation, azimuth = np.radians([rng.uniform(*LAMP_ELEVATION), rng.uniform(0, 360)])
    flat = np.cos(elevation)
    direction = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
    colour = level * _tint(rng)
    if rng.uniform() < 0.5:
        return Lamp(colour, direction, angle=rng.uniform(*SUN_ANGLE))
    side, distance = rng.uniform(*PANEL_SIDE), rng.uniform(*PANEL_DISTANCE)
    return Lamp(colour, direction, side=side, distance=distance)


def _tint(rng: np.random.Generator) -> np.ndarray:
    """A colour (3,) near white, whose mean is 1."""
    colour = 1 - rng.uniform(0, MAX_TINT) * rng.uniform(size=3)
    return colour / colour.mean()
