"""The fields of view that a run's model has seen, measured on its data."""

import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..views.sources import read_scenes
from ..views.stored import ViewsError
from .trained_run import ExportError

# Each view has a field of view drawn by itself: so many scenes show the range.
SCENES_MEASURED = 64


def measured_field_of_view(config: Mapping[str, Any]) -> tuple[float, float]:
    """The narrowest and widest horizontal field of view in the run's data, degrees, its crops included.

    Raises ExportError where the data are not there.
    """
    size = config["stages"][-1]["size"]
    half_widths = []
    for source in config["sources"]:
        try:
            scenes = list(islice(read_scenes(Path(source["folder"]), size), SCENES_MEASURED))
        except ViewsError as error:
            raise ExportError(f"{error} Or give --field-of-view.") from error
        half_widths += [size / 2 / scene.fxfycxcy[:, 0] for scene in scenes]
    narrowest, widest = float(np.min(np.concatenate(half_widths))), float(np.max(np.concatenate(half_widths)))
    if crops := config.get("crops"):
        # A window narrower than high is cut from the image's width; one wider than high keeps it.
        narrowest *= min(1.0, crops["aspect"][0]) / crops["zoom"][1]
        widest *= min(1.0, crops["aspect"][1]) / crops["zoom"][0]
    return degrees(narrowest), degrees(widest)


def degrees(half_width: float) -> float:
    """The field of view, to a hundredth, of an image that is half_width wide on each side at distance 1."""
    return round(math.degrees(2 * math.atan(half_width)), 2)
