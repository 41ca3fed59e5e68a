"""Pictures of a target that need no model: what a model must beat. Knows nothing of models, scores and files.

    images = fitted_photos([load_photo(view, WHITE) for view in inputs], target)
    nearest_photo(images, angles_to(target, [view.camera for view in inputs]))
    mean_photo(images)

All pictures are (H, W, 3) float32 in [0, 1], sRGB-encoded.
"""

from collections.abc import Iterable

import numpy as np

from .photos import fit_photo
from .scene.camera import Camera

NEAREST = "nearest input view"
MEAN = "mean of the inputs"


def fitted_photo(photo: tuple[np.ndarray, Camera], target: Camera) -> np.ndarray:
    """An input's photo (H, W, 3), undistorted, with its camera -> at a target's size: cut around its middle, not stretched."""
    return fit_photo(*photo, target.width, target.height)[0]


def fitted_photos(photos: Iterable[tuple[np.ndarray, Camera]], target: Camera) -> np.ndarray:
    """The same of all inputs: (N, height, width, 3)."""
    return np.stack([fitted_photo(photo, target) for photo in photos])


def nearest_photo(images: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The photo of the input that looks at the subject most as the target does: (H, W, 3).

    images: (N, H, W, 3), of fitted_photos. angles: (N,) degrees between each input and the target (selection.angles_to).
    """
    return images[int(np.argmin(angles))]


def mean_photo(images: Iterable[np.ndarray]) -> np.ndarray:
    """The mean (H, W, 3) of the inputs' photos, fitted to the target; one at a time is enough."""
    total, count = np.zeros(()), 0
    for image in images:
        total, count = total + image, count + 1
    return (total / count).astype(np.float32)
