"""Crops of targets around their subject: cheaper steps. Imports without torch."""

import numpy as np

# One crop in so many is not aimed at the subject.
ANYWHERE = 8


def crop_size(image_size: tuple[int, int], share: float, multiple: int) -> tuple[int, int]:
    """Pixels (width, height) of a crop that takes this share of each of an image's sides: multiples of `multiple`."""
    width, height = (max(multiple, round(share * side / multiple) * multiple) for side in image_size)
    return width, height


def draw_corners(rng: np.random.Generator, alpha: np.ndarray, width: int, height: int) -> np.ndarray:
    """Corners (T, 2), as (left, top), of crops of width x height pixels in views (T, H, W) whose alpha tells the subject.

    The middle of a crop is a random pixel of the subject, as far as the image's edges let it; one crop in ANYWHERE, and
    that of an empty view, lies anywhere.
    """
    last = np.array([alpha.shape[2] - width, alpha.shape[1] - height])  # the last corner from which a crop fits
    corners = []
    for view in alpha:
        rows, columns = np.nonzero(view > 0)
        if len(rows) == 0 or rng.integers(ANYWHERE) == 0:
            corners.append(rng.integers(0, last + 1))
        else:
            pixel = rng.integers(len(rows))
            middle = np.array([columns[pixel], rows[pixel]])
            corners.append(np.clip(middle - (width // 2, height // 2), 0, last))
    return np.stack(corners)
