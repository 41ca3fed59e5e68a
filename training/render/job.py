"""What is wanted of one object: the value that travels from the command to a studio. Knows neither Ray nor Blender."""

from dataclasses import dataclass

# A tenth of what one quiet core of an AMD EPYC (Zen 2) does: 2 million pixel samples a second, in small objects.
SLOWEST_SAMPLES_PER_SECOND = 200_000
SECONDS_TO_IMPORT = 60.0


@dataclass(frozen=True, slots=True)
class RenderJob:
    """One object to render: a GLB file, the file to write, and what its views shall be.

    name: the object's uid; cameras and lights are a function of it. sampling: a name that
    training.render.cameras.cameras_for knows; field_of_view: its bounds, in the sampling's place. size: pixels a side.
    samples: of Cycles, a pixel. denoise: by OpenImageDenoise. seconds: after which the studio is killed.
    """

    name: str
    source: str
    output: str
    sampling: str
    views: int
    size: int
    samples: int
    denoise: bool
    seconds: float
    field_of_view: tuple[float, float] | None = None


def time_limit(views: int, size: int, samples: int) -> float:
    """Seconds after which an object is given up: ten times what it takes on one core."""
    return SECONDS_TO_IMPORT + views * size * size * samples / SLOWEST_SAMPLES_PER_SECOND
