"""Camera: what no camera can be is refused; resizing and cropping keep a point on its pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsm_engine.errors import CameraError
from lvsm_engine.scene.camera import Camera, Distortion, cropped, is_of_shape, project, resized, square_pixels

SIDES = st.integers(1, 4000)
FOCALS = st.floats(10, 5000)


@st.composite
def cameras(draw):
    q, r = np.linalg.qr(np.random.default_rng(draw(st.integers(0, 2**32))).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    pose = np.eye(4)
    pose[:3, :3] = q * np.linalg.det(q)
    pose[:3, 3] = draw(st.tuples(*[st.floats(-10, 10)] * 3))
    width, height = draw(SIDES), draw(SIDES)
    return Camera(pose, draw(FOCALS), draw(FOCALS), width / 2 + 3, height / 2 - 5, width, height)


def in_front(camera):
    rays = np.array([[0, 0, 1], [0.3, -0.2, 1], [-0.5, 0.4, 2]])
    return camera.position + rays @ camera.camera_to_world[:3, :3].T


@given(cameras(), SIDES, SIDES)
def test_a_resized_camera_sees_a_point_at_the_same_part_of_the_image(camera, width, height):
    before, _ = project(camera, in_front(camera))
    after, _ = project(resized(camera, width, height), in_front(camera))
    assert np.allclose(after / [width, height], before / [camera.width, camera.height], rtol=1e-9, atol=1e-9)


@given(cameras(), st.integers(0, 500), st.integers(0, 500), SIDES, SIDES)
def test_a_cropped_camera_sees_a_point_shifted_by_the_corner(camera, left, top, width, height):
    before, _ = project(camera, in_front(camera))
    after, _ = project(cropped(camera, left, top, width, height), in_front(camera))
    assert np.allclose(after + np.array([left, top]), before, rtol=1e-9, atol=1e-6)


@given(cameras())
def test_projection_follows_the_pinhole_formula(camera):
    pixels, depth = project(camera, in_front(camera))
    expected = [[camera.cx + camera.fx * x, camera.cy + camera.fy * y] for x, y in [(0, 0), (0.3, -0.2), (-0.25, 0.2)]]
    assert np.allclose(depth, [1, 1, 2])
    assert np.allclose(pixels, expected, atol=1e-6)


def test_square_pixels_stretch_the_height_only():
    square = square_pixels(Camera(np.eye(4), 100, 50, 30, 20, 60, 40))
    assert (square.fx, square.fy, square.cx, square.cy, square.width, square.height) == (100, 100, 30, 40, 60, 80)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"camera_to_world": np.zeros((4, 4))}, "not a rotation"),
        ({"camera_to_world": np.full((4, 4), np.nan)}, "not finite"),
        ({"camera_to_world": np.diag([-1.0, 1, 1, 1])}, "mirrored"),
        ({"camera_to_world": np.eye(3)}, "shape"),
        ({"fx": -5}, "fx"),
        ({"cy": np.inf}, "cy"),
        ({"width": 0}, "width"),
        ({"height": 10**9}, "height"),
    ],
)
def test_what_no_camera_can_be_is_refused_by_name(change, words):
    values = {"camera_to_world": np.eye(4), "fx": 50, "fy": 50, "cx": 5, "cy": 5, "width": 10, "height": 10}
    with pytest.raises(CameraError, match=words):
        Camera(**(values | change))


def test_a_lens_with_three_numbers_is_refused():
    with pytest.raises(CameraError, match="3 numbers"):
        Distortion("brown", (0.1, 0.2, 0.3))


@pytest.mark.parametrize(
    ("size", "other", "expected"),
    [
        ((640, 480), (320, 240), True),
        ((320, 240), (640, 480), True),
        ((640, 479), (320, 240), True),  # solvers shrink and round
        ((640, 481), (1280, 960), True),
        ((640, 476), (320, 240), False),
        ((480, 640), (640, 480), False),
    ],
)
def test_a_picture_is_of_its_cameras_shape_at_any_scale_but_for_a_pixel(size, other, expected):
    assert is_of_shape(size, other) == expected


@pytest.mark.parametrize(("fx", "fy"), [(1e300, 1e-300), (1e6, 1.0)])
def test_pixels_that_no_lens_has_are_refused(fx, fy):
    with pytest.raises(CameraError, match=r"fx is 1e\+\d+ and its fy \S+: no lens is so, solve it again"):
        square_pixels(Camera(np.eye(4), fx, fy, 20, 15, 40, 30))
