"""The pictures that need no model."""

import numpy as np
import pytest

from lvsm_engine.baselines import fitted_photos, mean_photo, nearest_photo
from lvsm_engine.scene.camera import Camera
from lvsm_engine.scene.selection import angles_to


def camera_at(azimuth: float, width: int, height: int) -> Camera:
    """Two away from the origin, level, looking at it."""
    x, y = np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth))
    pose = np.eye(4)
    pose[:3, :3] = np.array([[-y, 0, -x], [x, 0, -y], [0, -1, 0]])
    pose[:3, 3] = 2 * x, 2 * y, 0
    return Camera(pose, 60, 60, width / 2, height / 2, width, height)


def disc(width: int, height: int) -> np.ndarray:
    """A black disc in the middle, half as high as the picture, on white."""
    y, x = np.mgrid[:height, :width] + 0.5
    inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2
    return np.repeat(np.where(inside, 0.0, 1.0)[..., None], 3, axis=-1).astype(np.float32)


def test_photos_of_another_shape_are_cut_and_never_stretched() -> None:
    wide = (disc(96, 64), camera_at(0, 96, 64))
    (image,) = fitted_photos([wide], camera_at(10, 32, 32))
    assert image.shape == (32, 32, 3)
    assert np.abs(image - disc(32, 32)).mean() < 0.02
    assert (image[16] < 0.5).sum() == (image[:, 16] < 0.5).sum(), "as wide as high"


def test_the_nearest_photo_is_that_of_the_smallest_angle_at_the_subject() -> None:
    cameras = [camera_at(azimuth, 8, 8) for azimuth in (0, 90, 180)]
    photos = [
        (np.full((8, 8, 3), level, np.float32), camera) for level, camera in zip((0.1, 0.5, 0.9), cameras, strict=True)
    ]
    target = camera_at(110, 4, 4)
    picture = nearest_photo(fitted_photos(photos, target), angles_to(target, cameras))
    assert picture.shape == (4, 4, 3) and picture == pytest.approx(0.5)


def test_the_mean_is_taken_pixel_by_pixel() -> None:
    images = np.stack([np.zeros((4, 4, 3)), np.ones((4, 4, 3)), np.full((4, 4, 3), 0.5)]).astype(np.float32)
    assert mean_photo(images) == pytest.approx(0.5) and mean_photo(images).shape == (4, 4, 3)
