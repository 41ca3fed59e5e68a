"""Where a capture stands: upright, around its subject, at another scale; and the way back."""

import numpy as np
import pytest

from blender_addon.captures.capture_placement import (
    AT_SUBJECT,
    BY_PHOTOS,
    FAR,
    Y_UP,
    Placement,
    placed,
    spread,
    transformed,
)
from lvsm_engine.scene.camera import Camera, View
from lvsm_engine.scene.captures import Capture
from tests.synthetic import look_at

SUBJECT = np.array([3.0, 40.0, -2.0])


def ring(up: np.ndarray, middle: np.ndarray = SUBJECT) -> Capture:
    """Eight cameras around a subject, upright along an axis, level with it, five units away."""
    across = np.roll(up, 1), np.roll(up, 2)
    places = [
        middle + 5 * (np.cos(angle) * across[0] + np.sin(angle) * across[1]) for angle in np.arange(8) * np.pi / 4
    ]
    views = tuple(View(Camera(look_at(place, middle, up), 50, 50, 32, 24, 64, 48), None, "x") for place in places)
    return Capture("ring", views, points=middle[None], up=up)


X, Y, Z = np.eye(3)


@pytest.mark.parametrize("up", [X, Y, Z, -Y])
def test_by_the_photos_what_is_up_in_them_points_up(up: np.ndarray) -> None:
    capture, _ = placed(ring(up), Placement(up=BY_PHOTOS))
    assert np.allclose([view.camera.camera_to_world[:3, 1] for view in capture.views], [0, 0, -1], atol=1e-9)
    assert np.allclose(capture.up, Z)


def test_the_files_y_becomes_z() -> None:
    capture, _ = placed(ring(Y), Placement(up=Y_UP))
    assert np.allclose(capture.up, Z)


def test_the_subject_comes_to_the_origin_and_points_come_along() -> None:
    capture, _ = placed(ring(Z), Placement(origin=AT_SUBJECT, scale=2.0))
    assert np.allclose(capture.points, 0, atol=1e-9)
    assert np.allclose([np.linalg.norm(view.camera.position) for view in capture.views], 10)


def test_poses_stay_poses_and_come_back() -> None:
    before = ring(X)
    after, similarity = placed(before, Placement(BY_PHOTOS, AT_SUBJECT, 0.125))
    for there, view in zip(after.views, before.views, strict=True):
        rotation = there.camera.camera_to_world[:3, :3]
        assert np.allclose(rotation.T @ rotation, np.eye(3))
        back = transformed(there, np.linalg.inv(similarity))
        assert np.allclose(back.camera.camera_to_world, view.camera.camera_to_world)


def test_a_capture_that_stays_is_not_touched_by_a_digit() -> None:
    before = ring(Z)
    after, similarity = placed(before, Placement())
    assert after is before and np.array_equal(similarity, np.eye(4))


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_one_that_is_too_far_away_comes_near_and_says_so(scale: float) -> None:
    before = ring(Z, SUBJECT + 2 * FAR * 5)
    after, similarity = placed(before, Placement(scale=scale))
    assert "all were moved by (" in after.warnings[-1]
    assert np.abs(np.mean([view.camera.position for view in after.views], axis=0)).max() <= 1
    assert spread(after.views) == pytest.approx(5 * scale)
    assert np.allclose(similarity[:3, :3], scale * np.eye(3))
