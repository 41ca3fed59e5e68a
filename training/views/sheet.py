"""A look at posed views: the first of some scenes, as one picture."""

from pathlib import Path

import numpy as np

from .sources import open_source


def views_sheet(path: Path, size: int, rows: int, columns: int) -> np.ndarray:
    """The first views of evenly spread scenes, a row a scene: (rows * size, columns * size, 3) uint8."""
    source = open_source(path, size)
    strips = []
    for scene in np.linspace(0, len(source.names) - 1, min(rows, len(source.names))).round().astype(int):
        images = source.read(int(scene), np.arange(min(columns, source.views[scene]))).images
        strip = np.full((size, columns * size, 3), 255, dtype=np.uint8)
        strip[:, : len(images) * size] = np.concatenate(list(images), axis=1)
        strips.append(strip)
    return np.concatenate(strips)
