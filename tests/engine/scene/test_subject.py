"""A subject that someone names: frames, angles and trust go by it instead of by what the cameras look at."""

import numpy as np
import pytest

from lvsm_engine.errors import CameraError
from lvsm_engine.scene.frame import SceneFrame, world_to_model
from lvsm_engine.scene.selection import angles_to, nearest_view
from lvsm_engine.scene.subject import Subject
from lvsm_engine.scene.subject_size import guessed_subject
from lvsm_engine.scene.suggestion import suggested_photo
from lvsm_engine.scene.trust import GOOD, trust
from tests.synthetic import ring_cameras

RING = ring_cameras(8)
ELSEWHERE = Subject((0.4, -0.3, 0.2), 0.25)


def scale_of(similarity):
    return np.cbrt(np.linalg.det(similarity[:3, :3]))


@pytest.mark.parametrize("kind", ["subject", "subject_size"])
def test_a_frame_has_the_named_subject_in_its_middle(kind):
    similarity, warning = world_to_model(SceneFrame(kind, 0.9), RING, subject=ELSEWHERE)
    assert warning == ""
    np.testing.assert_allclose(similarity @ [*ELSEWHERE.centre, 1], [0, 0, 0, 1], atol=1e-12)


def test_a_frame_of_a_subjects_size_takes_the_named_one_as_it_is():
    masks = [np.ones((camera.height, camera.width), bool) for camera in RING]  # which would tell another
    similarity, _ = world_to_model(SceneFrame("subject_size", 0.9), RING, masks, ELSEWHERE)
    assert scale_of(similarity) * ELSEWHERE.half_side == pytest.approx(0.9, rel=1e-12)


def test_a_frame_around_the_subject_keeps_the_cameras_at_their_mean_distance():
    similarity, _ = world_to_model(SceneFrame("subject", 2.0), RING, subject=ELSEWHERE)
    away = [np.linalg.norm(camera.position - ELSEWHERE.centre) for camera in RING]
    assert scale_of(similarity) * np.mean(away) == pytest.approx(2.0, rel=1e-12)


def test_a_published_frame_of_scenes_does_not_know_subjects():
    row = [camera for camera in RING if camera.forward @ RING[0].forward > 0.5]
    frame = SceneFrame("mean_pose", 1.35)
    np.testing.assert_array_equal(world_to_model(frame, row, subject=ELSEWHERE)[0], world_to_model(frame, row)[0])


def test_angles_and_the_nearest_photo_are_seen_from_the_named_subject():
    behind = Subject(
        tuple(2 * RING[0].position - RING[4].position), 0.5
    )  # outside of the ring, behind its first camera
    assert angles_to(RING[4], RING)[0] > 150 and angles_to(RING[4], RING, behind)[0] < 1
    assert nearest_view(RING[4], RING[:4], behind) == 0 != nearest_view(RING[4], RING[:4])


def test_trust_goes_by_the_named_subject():
    target, beside = RING[0], Subject((0, 40.0, 0), 1.0)
    assert trust(target, RING).level == GOOD
    assert trust(target, RING[4:6], beside).reasons != trust(target, RING[4:6]).reasons


def test_a_suggested_photo_looks_at_the_named_subject():
    suggested = suggested_photo(RING[0], RING[3:5], ELSEWHERE)
    assert suggested is not None
    way = ELSEWHERE.centre - suggested.position
    assert suggested.forward @ way / np.linalg.norm(way) > 0.999


def test_the_guess_is_what_the_cameras_look_at_as_large_as_usual_subjects():
    guess = guessed_subject(RING)
    np.testing.assert_allclose(guess.centre, 0, atol=1e-9)
    tangent, away = RING[0].width / 2 / RING[0].fx, np.linalg.norm(RING[0].position)
    assert 0.5 * tangent * away < guess.half_side < tangent * away
    frame = SceneFrame("subject_size", 0.9)
    named, by_itself = world_to_model(frame, RING, subject=guess)[0], world_to_model(frame, RING)[0]
    np.testing.assert_allclose(named, by_itself, atol=1e-6)


@pytest.mark.parametrize("half_side", [0.0, -1.0, np.nan, np.inf])
def test_a_size_that_is_none_is_refused(half_side):
    with pytest.raises(CameraError, match="its size is not above 0"):
        Subject((0.0, 0.0, 0.0), half_side)


def test_a_place_that_is_none_is_refused():
    with pytest.raises(CameraError, match="place or size is no number"):
        Subject((0.0, np.nan, 0.0), 1.0)


def test_a_subject_without_a_size_has_that_of_its_silhouettes_or_the_usual_one():
    masks = [np.pad(np.ones((camera.height // 2, camera.width // 2), bool), 8) for camera in RING]
    masks = [mask[: camera.height, : camera.width] for mask, camera in zip(masks, RING, strict=True)]
    frame, middle = SceneFrame("subject_size", 0.9), guessed_subject(RING).centre
    for silhouettes in (None, masks):
        by_itself, _ = world_to_model(frame, RING, silhouettes)
        np.testing.assert_allclose(world_to_model(frame, RING, silhouettes, Subject(middle))[0], by_itself, atol=1e-9)
    elsewhere, _ = world_to_model(frame, RING, None, Subject(ELSEWHERE.centre))
    np.testing.assert_allclose(elsewhere @ [*ELSEWHERE.centre, 1], [0, 0, 0, 1], atol=1e-12)
