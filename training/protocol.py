"""The validation protocol: from where an object's photos are taken, and which of them a model gets. Values only.

Objects are centred at the origin, their longest side is 1, Z is up, the light is uniform and white. 26 views of each: 0 to 3
are inputs at fixed places, 4 to 13 targets at places drawn by the object's name, 14 to 25 further inputs at fixed places.
training.render makes the views, training.train validates on them, training.evaluate scores models by them.
"""

from typing import Protocol

FIELD_OF_VIEW = 50.0
"""Degrees, horizontal and vertical, of all views."""

INPUT_ELEVATION = 20.0
"""Degrees above the horizon, of all inputs."""
INPUT_DISTANCE = 1.94
"""From the origin, of all inputs."""
FIRST_AZIMUTHS = (0.0, 90.0, 180.0, 270.0)
"""Degrees, of the views 0 to 3."""
FURTHER_AZIMUTHS = (45.0, 225.0, 135.0, 315.0, 22.5, 202.5, 112.5, 292.5, 67.5, 247.5, 157.5, 337.5)
"""Of the views from 14 on: opposite ones follow each other, so that any first few are spread."""

TARGETS = range(4, 14)
"""The views that are to be synthesized, whatever the number of inputs."""
TARGET_ELEVATION = (-10.0, 60.0)
TARGET_AZIMUTH = (0.0, 360.0)
TARGET_DISTANCE = (1.7, 2.3)
"""The bounds of the targets' uniform draws: elevation, azimuth, distance, in this order for each target."""

VIEWS = len(FIRST_AZIMUTHS) + len(TARGETS) + len(FURTHER_AZIMUTHS)
MAX_INPUTS = len(FIRST_AZIMUTHS) + len(FURTHER_AZIMUTHS)

Place = tuple[float, float, float]
"""Elevation and azimuth in degrees, distance from the origin, at which a camera looks."""


class Draws(Protocol):
    """Random numbers, as numpy's generators give them."""

    def uniform(self, low: float, high: float) -> float: ...


def places(rng: Draws) -> list[Place]:
    """Where the cameras of the 26 views stand. rng: of the object's name."""
    first, further = (
        [(INPUT_ELEVATION, azimuth, INPUT_DISTANCE) for azimuth in azimuths]
        for azimuths in (FIRST_AZIMUTHS, FURTHER_AZIMUTHS)
    )
    targets = [
        (rng.uniform(*TARGET_ELEVATION), rng.uniform(*TARGET_AZIMUTH), rng.uniform(*TARGET_DISTANCE)) for _ in TARGETS
    ]
    return [*first, *targets, *further]


def input_views(count: int) -> list[int]:
    """Which views are the inputs, where there are `count` of them (1 to 16).

    1, 2, 4, 8 and 16 stand evenly spaced around the object, fewer are among more; 4 are the first 4 views.
    Raises ValueError for another count.
    """
    if not 1 <= count <= MAX_INPUTS:
        raise ValueError(f"the protocol has 1 to {MAX_INPUTS} inputs, not {count}.")
    return sorted([0, 2, 1, 3, *range(TARGETS.stop, VIEWS)][:count])
