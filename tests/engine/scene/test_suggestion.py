"""One more photo where it is suggested makes a target trusted."""

import numpy as np
import pytest

from lvsm_engine.scene.camera import Camera, project
from lvsm_engine.scene.captures import load_capture
from lvsm_engine.scene.selection import angles_to
from lvsm_engine.scene.suggestion import suggested_photo
from lvsm_engine.scene.trust import GOOD, LEVELS, POOR, trust
from tests.shared_data import shared
from tests.synthetic import look_at, ring_cameras

RING = ring_cameras(16)
LENS = (35.2, 35.2, 16, 16, 32, 32)


def seen_from(position, target=(0, 0, 0), lens=LENS):
    return Camera(look_at(position, target), *lens)


ROW = [seen_from((0, x, 0), (5, x, 0)) for x in (-0.2, 0, 0.2)]


def with_suggestion(target, cameras):
    """The photo that is suggested, and the trust in the target with it."""
    photo = suggested_photo(target, cameras)
    assert photo is not None
    return photo, trust(target, [*cameras, photo])


@pytest.mark.parametrize(
    ("target", "cameras"),
    [
        (seen_from((0.01, 0, 3)), RING),
        (seen_from((1.2, 0, 2.2)), RING),
        (seen_from((0.8, 0.1, 0.16)), RING),
        (seen_from((10, 0, 2)), RING),
        (seen_from((0, 0.1, -3)), RING),
        (seen_from((0, 0, 0), (1, 5, 0)), ROW),
        (seen_from((-3, 0, 0)), [seen_from((3, 0, 0))]),
    ],
    ids=["above", "high", "near", "far", "below", "beside", "opposite"],
)
def test_a_photo_where_it_is_suggested_makes_the_target_trusted_more(target, cameras):
    before = trust(target, cameras)
    _, after = with_suggestion(target, cameras)
    fewer = after.level == before.level and len(after.reasons) < len(before.reasons)
    assert LEVELS.index(after.level) < LEVELS.index(before.level) or fewer


@pytest.mark.parametrize("target", [seen_from((0.01, 0, 3)), seen_from((1.2, 0, 2.2))])
def test_a_target_that_is_only_too_far_round_becomes_good_from_on_the_way_there(target):
    photo, after = with_suggestion(target, RING)
    assert after.level == GOOD
    nearest = min(np.linalg.norm(camera.position - target.position) for camera in RING)
    assert 0.05 < np.linalg.norm(photo.position - target.position) < nearest
    assert (photo.fx, photo.width, photo.height) == (RING[0].fx, RING[0].width, RING[0].height)
    pixels, depths = project(photo, np.zeros((1, 3)))
    assert depths[0] > 0 and np.abs(pixels - 16).max() < 2, "it looks at the subject"


@pytest.mark.parametrize(
    "target",
    [seen_from(RING[3].position), seen_from((2.5, 0, 0.5), (5, 0, 1)), seen_from((0, 0, 0), (1, 0, 0))],
    ids=["trusted already", "looks away", "stands in the subject"],
)
def test_where_no_photo_would_help_none_is_suggested(target):
    assert suggested_photo(target, RING) is None


def test_it_is_a_function_of_the_cameras_alone():
    target = seen_from((0.01, 0, 3))
    first, second = (with_suggestion(target, RING)[0].camera_to_world for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_part_of_a_real_capture_is_told_where_to_go_on():
    cameras = [view.camera for view in load_capture(shared("captures", "miku_plush_colmap")).views]
    angles = angles_to(cameras[0], cameras)
    far = [camera for camera, angle in zip(cameras, angles, strict=True) if angle > 60]
    assert far and trust(cameras[0], far).level == POOR
    assert with_suggestion(cameras[0], far)[1].level != POOR
