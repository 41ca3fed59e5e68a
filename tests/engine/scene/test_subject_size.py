"""The frame of a subject's own size: carved from silhouettes, measured on few of them, or guessed from lenses."""

import dataclasses

import numpy as np
import pytest

from lvsm_engine.photos import fit_photo, load_cut_out
from lvsm_engine.scene.camera import Camera, resized
from lvsm_engine.scene.captures import load_capture
from lvsm_engine.scene.frame import SceneFrame, world_to_model
from lvsm_engine.scene.subject_size import DISAGREEMENT, USUAL_FILL, sized_subject_similarity
from tests.shared_data import shared
from tests.synthetic import look_at

SIZE = 96
HALVES = np.array([0.5, 0.3, 0.2])  # of a box
MIDDLE = np.array([3.0, -1.0, 2.0])


def cameras_around(count, field_of_view=50.0, distance=3.0, arc=360.0, looking_at=MIDDLE, elevation=30.0):
    angles, rise = np.radians(np.arange(count) * arc / count), np.radians(elevation)
    focal = SIZE / 2 / np.tan(np.radians(field_of_view) / 2)
    ring = [np.array([np.cos(a) * np.cos(rise), np.sin(a) * np.cos(rise), np.sin(rise)]) for a in angles]
    lens = (focal, focal, SIZE / 2, SIZE / 2, SIZE, SIZE)
    return [Camera(look_at(looking_at + distance * direction, looking_at), *lens) for direction in ring]


def silhouette_of_box(camera, halves=HALVES, middle=MIDDLE, turn=0.0):
    """(H, W) bool: the pixels whose rays meet the box, turned about the vertical."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], axis=-1)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    to_box = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    directions = rays @ camera.camera_to_world[:3, :3].T @ to_box.T
    origin = to_box @ (camera.position - middle)
    first, second = (-halves - origin) / directions, (halves - origin) / directions
    return np.maximum.reduce(np.minimum(first, second), axis=-1) < np.minimum.reduce(np.maximum(first, second), axis=-1)


def scale_of(similarity):
    return np.cbrt(np.linalg.det(similarity[:3, :3]))


@pytest.mark.parametrize(("field_of_view", "distance"), [(50, 3.0), (25, 6.0), (90, 1.6)])
@pytest.mark.parametrize("turn", [0, 33])
def test_a_carved_subject_has_its_size_whatever_the_lens(field_of_view, distance, turn):
    cameras = [
        camera
        for elevation in (-20, 10, 40, 70)
        for camera in cameras_around(3, field_of_view, distance, elevation=elevation)
    ]
    masks = [silhouette_of_box(camera, turn=turn) for camera in cameras]
    similarity, warning = sized_subject_similarity(cameras, 0.9, masks)
    assert warning == ""
    assert scale_of(similarity) * HALVES.max() == pytest.approx(0.9, rel=0.08)
    np.testing.assert_allclose(similarity @ [*MIDDLE, 1], [0, 0, 0, 1], atol=0.08)
    np.testing.assert_allclose(similarity[:3, :3] @ [0, 0, 1] / scale_of(similarity), [0, 0, 1], atol=1e-6)


def test_a_subject_beside_the_point_that_cameras_look_at_comes_to_the_origin():
    cameras = cameras_around(16, looking_at=np.add(MIDDLE, [0.4, 0.2, 0.0]))
    similarity, _ = sized_subject_similarity(cameras, 0.9, [silhouette_of_box(camera) for camera in cameras])
    np.testing.assert_allclose(similarity @ [*MIDDLE, 1], [0, 0, 0, 1], atol=0.12)
    assert scale_of(similarity) * HALVES.max() == pytest.approx(0.9, rel=0.08)


@pytest.mark.parametrize(("count", "arc"), [(2, 180.0), (5, 20.0)])
def test_from_few_sides_the_size_is_measured_on_the_silhouettes_alone(count, arc):
    cameras = cameras_around(count, arc=arc, elevation=0.0)
    masks = [silhouette_of_box(camera) for camera in cameras]  # from its narrow end
    similarity, warning = sized_subject_similarity(cameras, 0.9, masks)
    assert warning == ""
    seen = np.mean(
        [
            np.ptp(np.nonzero(mask.any(axis=0))) / 2 / camera.fx * 3.0
            for camera, mask in zip(cameras, masks, strict=True)
        ]
    )
    assert scale_of(similarity) * seen == pytest.approx(0.9, rel=1e-6)
    np.testing.assert_allclose(similarity @ [*MIDDLE, 1], [0, 0, 0, 1], atol=0.05)


@pytest.mark.parametrize("field_of_view", [30.0, 60.0])
def test_without_silhouettes_the_lens_tells(field_of_view):
    cameras = cameras_around(6, field_of_view)
    similarity, warning = world_to_model(SceneFrame("subject_size", 0.9), cameras)
    assert warning == ""
    filled = USUAL_FILL * np.tan(np.radians(field_of_view) / 2) * 3.0
    assert scale_of(similarity) * filled == pytest.approx(0.9, rel=1e-6)


def test_silhouettes_that_do_not_agree_are_told_and_the_size_is_guessed():
    cameras = cameras_around(6)
    masks = [
        silhouette_of_box(camera, middle=MIDDLE + np.eye(3)[n % 3] * (-1) ** n) for n, camera in enumerate(cameras)
    ]
    similarity, warning = sized_subject_similarity(cameras, 0.9, masks)
    assert warning == DISAGREEMENT
    assert np.isfinite(similarity).all() and scale_of(similarity) > 0


@pytest.mark.parametrize("count", [1, 3, 8])
def test_empty_silhouettes_and_cameras_at_one_place_still_have_a_frame(count):
    cameras = cameras_around(count)
    empty = [np.zeros((SIZE, SIZE), bool)] * count
    same_place = [dataclasses.replace(cameras[0])] * count
    for inputs, masks in ((cameras, empty), (same_place, [silhouette_of_box(cameras[0])] * count)):
        similarity, _ = sized_subject_similarity(inputs, 0.9, masks)
        assert np.isfinite(similarity).all() and scale_of(similarity) > 0


@pytest.mark.parametrize("count", [8, 20])
def test_an_empty_mask_or_of_many_one_that_is_wrong_does_no_harm(count):
    cameras = cameras_around(count)
    masks = [silhouette_of_box(camera) for camera in cameras]
    expected, _ = sized_subject_similarity(cameras, 0.9, masks)
    masks[4] = np.zeros_like(masks[4]) if count == 8 else np.roll(masks[4], 20, axis=1)
    similarity, warning = sized_subject_similarity(cameras, 0.9, masks)
    assert warning == ""
    assert scale_of(similarity) == pytest.approx(scale_of(expected), rel=0.05)


def test_the_published_sample_is_found_as_large_as_it_is():
    """Its cameras stand in the frame of training already: half of its longest side is 0.9, +z is up."""
    views = load_capture(shared("captures", "gso_character_opencv")).views[::2]
    cameras, masks = [], []
    for view in views:
        _, alpha, camera = load_cut_out(view, (1.0, 1.0, 1.0), 256)
        masks.append(fit_photo(alpha, camera, 256, 256)[0] >= 0.5)
        cameras.append(resized(camera, 256, 256))
    similarity, warning = world_to_model(SceneFrame("subject_size", 0.9), cameras, masks)
    assert warning == ""
    assert scale_of(similarity) == pytest.approx(1.0, rel=0.08)
    np.testing.assert_allclose(similarity[:3, :3] / scale_of(similarity), np.eye(3), atol=0.06)
