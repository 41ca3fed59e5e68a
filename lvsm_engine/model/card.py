"""ModelCard: what must be known of a model to use it well. No torch."""

import math
from dataclasses import dataclass
from typing import Any

from ..scene.frame import SceneFrame

# Far beyond what attention over all pixels can be trained at.
MAX_RESOLUTION = 16384


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """What must be known of a model to use it well; travels in its file's metadata."""

    name: str
    scene_frame: SceneFrame
    resolution: int
    """Trained on squares of this many pixels a side, or on pictures of another shape with as many pixels."""
    input_views: tuple[int, int]
    """The fewest and most input views in training."""
    field_of_view: tuple[float, float]
    """The narrowest and widest horizontal field of view in training, degrees."""
    background: tuple[float, float, float] | None
    """What RGBA photos are composited over: sRGB-encoded, 0 to 1 (None: trained on opaque photos; white is taken)."""
    licence: str
    input_keep_ratio: float = 1.0
    """The share of each input's patches that it was shown in the end of its training, and is shown: the subject's first."""
    aspect: float | None = None
    """Width / height of all pictures that it takes and gives: photos are cut to it (None: trained on squares, any shape does)."""
    text: str = ""
    """Markdown: data, recipe, scores."""

    def __post_init__(self) -> None:
        """Raises ValueError for a value that no model can have: the card may come from anyone's file."""
        for name in ("name", "licence", "text"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is {getattr(self, name)!r}: it must be a text.")
        if type(self.resolution) is not int or not 1 <= self.resolution <= MAX_RESOLUTION:
            raise ValueError(
                f"resolution is {self.resolution!r}: it must be a whole number from 1 to {MAX_RESOLUTION}."
            )
        if not _are_numbers(self.input_views, 2, int) or not 1 <= self.input_views[0] <= self.input_views[1]:
            raise ValueError(f"input_views is {self.input_views!r}: it must be the fewest and the most, 1 or more.")
        if not _are_numbers(self.field_of_view, 2) or not 0 < self.field_of_view[0] <= self.field_of_view[1] < 180:
            raise ValueError(
                f"field_of_view is {self.field_of_view!r}: it must be two angles between 0 and 180 degrees."
            )
        if not _are_numbers((self.input_keep_ratio,), 1) or not 0 < self.input_keep_ratio <= 1:
            raise ValueError(
                f"input_keep_ratio is {self.input_keep_ratio!r}: it must be a share, above 0 and at most 1."
            )
        if self.aspect is not None and (not _are_numbers((self.aspect,), 1) or not 0 < self.aspect < math.inf):
            raise ValueError(f"aspect is {self.aspect!r}: it must be a number above 0, or None.")
        if self.background is not None and (
            not _are_numbers(self.background, 3) or not all(0 <= value <= 1 for value in self.background)
        ):
            raise ValueError(f"background is {self.background!r}: it must be three numbers from 0 to 1, or None.")


def _are_numbers(values: Any, count: int, kinds: type | tuple[type, ...] = (int, float)) -> bool:
    """Whether this is a tuple of so many numbers; True and False are none."""
    is_tuple = isinstance(values, tuple) and len(values) == count
    return is_tuple and all(isinstance(value, kinds) and not isinstance(value, bool) for value in values)
