"""Captures written and read again: the same cameras, the same photos, by every writer; nothing half, nothing written over."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from lvsm_engine.errors import Cancelled, CaptureError, OutputError
from lvsm_engine.scene.camera import Camera, Distortion, View
from lvsm_engine.scene.captures import WRITERS, Capture, export_capture, load_capture
from lvsm_engine.scene.captures.colmap_model import pose_matrix, pose_numbers
from tests.shared_data import shared

LENSES = [
    None,
    Distortion("brown", (0.1, -0.02, 0.003, 0.004)),
    Distortion("brown", (0.1, -0.02, 0.003, 0.004, 0.05)),
    Distortion("fisheye", (0.1, -0.02, 0.003, 0.004)),
]


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def pose(seed):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    matrix = np.eye(4)
    matrix[:3, :3] = q * np.linalg.det(q)
    matrix[:3, 3] = np.random.default_rng(seed).normal(size=3) * 10
    return matrix


@pytest.fixture
def capture(tmp_path):
    """Photos as a file, another of its name, a packed file and pixels, the last with a mask; each with a lens."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    files = [tmp_path / folder / "K\u00fcche 1.jpg" for folder in "ab"]
    for file in files:
        file.parent.mkdir()
        Image.fromarray(pixels).save(file)
    photos = [*files, np.frombuffer(png(pixels), np.uint8), pixels]
    names = ["a", "b", "packed", "x/y: painted"]
    views = [
        View(Camera(pose(number), 50 + number, 51, 20.5, 14.25, 40, 30), photo, name, None, lens)
        for number, (photo, name, lens) in enumerate(zip(photos, names, LENSES, strict=True))
    ]
    views[3] = View(views[3].camera, pixels, views[3].name, pixels[..., 0], LENSES[3])
    return Capture("kitchen", tuple(views), points=np.array([[1.5, 2, 3], [1e6, -2, 1e-9]]))


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_is_read_again(capture, tmp_path, name):
    told = []
    export_capture(capture, tmp_path / "out", WRITERS[name], png, told.append)
    again = load_capture(tmp_path / "out")
    assert again.warnings == () and told[-1].fraction == 1
    photos = sorted(path.name for path in (tmp_path / "out" / "images").iterdir())
    assert photos == ["K\u00fcche_1.jpg", "K\u00fcche_1_2.jpg", "packed.png", "x_y__painted.png"]
    assert [view.photo.name for view in again.views] == photos
    for before, after in zip(capture.views, again.views, strict=True):
        np.testing.assert_allclose(after.camera.camera_to_world, before.camera.camera_to_world, atol=1e-12)
        np.testing.assert_array_equal(after.camera.fxfycxcy, before.camera.fxfycxcy)
        assert (after.camera.width, after.camera.height) == (40, 30)
        assert (
            after.distortion is None if before.distortion is None else after.distortion.kind == before.distortion.kind
        )
        if before.distortion is not None:
            count = len(before.distortion.coefficients)
            assert after.distortion.coefficients[:count] == before.distortion.coefficients
            assert not any(after.distortion.coefficients[count:])
    pixels = capture.views[3].photo
    np.testing.assert_array_equal(np.asarray(Image.open(again.views[3].photo)), pixels)
    if name == "COLMAP":
        np.testing.assert_array_equal(again.points, capture.points)
    else:
        np.testing.assert_array_equal(np.asarray(Image.open(again.views[3].mask)), pixels[..., 0])


def test_colmap_reads_what_is_written(capture, tmp_path):
    import pycolmap

    export_capture(capture, tmp_path / "out", WRITERS["COLMAP"], png)
    model = pycolmap.Reconstruction(str(tmp_path / "out" / "sparse" / "0"))
    assert (model.num_images(), model.num_cameras(), model.num_points3D()) == (4, 4, 2)
    for image, view in zip(sorted(model.images.values(), key=lambda image: image.name), capture.views, strict=True):
        expected = np.linalg.inv(view.camera.camera_to_world)[:3]
        np.testing.assert_allclose(image.cam_from_world().matrix(), expected, atol=1e-9)


@pytest.mark.parametrize("name", WRITERS)
def test_a_real_capture_comes_back(name, tmp_path):
    capture = load_capture(shared("captures", "buddha_formats", "transforms.json"))
    export_capture(capture, tmp_path, WRITERS[name], png)
    again = {view.photo.name: view for view in load_capture(tmp_path).views}
    assert len(again) == len(capture.views)
    for view in capture.views:
        other = again[view.photo.name]
        np.testing.assert_allclose(other.camera.camera_to_world, view.camera.camera_to_world, atol=1e-9)
        assert other.photo.read_bytes() == view.photo.read_bytes()


def test_cameras_without_a_photo_are_kept_where_the_format_knows_them(capture, tmp_path):
    views = (*capture.views, View(Camera(pose(9), 50, 50, 20, 15, 40, 30), None, "target"))
    export_capture(Capture("kitchen", views), tmp_path / "out", WRITERS["transforms.json"], png)
    assert [view.photo is None for view in load_capture(tmp_path / "out").views] == [False] * 4 + [True]
    export_capture(Capture("kitchen", views), tmp_path / "colmap", WRITERS["COLMAP"], png)
    assert len(load_capture(tmp_path / "colmap").views) == 4


def test_photos_that_are_in_their_place_are_left_there(capture, tmp_path):
    export_capture(capture, tmp_path / "out", WRITERS["COLMAP"], png)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "images").iterdir()}
    again = load_capture(tmp_path / "out")
    plain = Capture("kitchen", tuple(View(view.camera, view.photo, view.name) for view in again.views))
    export_capture(plain, tmp_path / "out", WRITERS["transforms.json"], png)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "images").iterdir()} == before


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_is_written_over(capture, tmp_path, name):
    export_capture(capture, tmp_path / "out", WRITERS[name], png)
    with pytest.raises(OutputError, match=f"{WRITERS[name].poses.name} is there already: choose an empty folder"):
        export_capture(capture, tmp_path / "out", WRITERS[name], png)
    (tmp_path / "other" / "images").mkdir(parents=True)
    (tmp_path / "other" / "images" / "packed.png").write_bytes(b"someone's")
    with pytest.raises(OutputError, match="packed.png is there already"):
        export_capture(capture, tmp_path / "other", WRITERS[name], png)
    assert [path.name for path in (tmp_path / "other").rglob("*") if path.is_file()] == ["packed.png"]


def test_a_cancel_and_a_failure_leave_nothing(capture, tmp_path):
    with pytest.raises(Cancelled):
        export_capture(capture, tmp_path / "out", WRITERS["COLMAP"], png, cancel=lambda: True)
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(CaptureError, match="K\u00fcche 1.jpg does not exist: locate it"):
        export_capture(capture, tmp_path / "out", WRITERS["COLMAP"], png)
    packed = View(capture.views[0].camera, np.frombuffer(b"no picture", np.uint8), "packed")
    with pytest.raises(CaptureError, match="packed: its picture is not known"):
        export_capture(Capture("kitchen", (packed,)), tmp_path / "out", WRITERS["COLMAP"], png)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_lens_that_the_format_cannot_hold_is_told(capture, tmp_path):
    lens = Distortion("brown", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8))
    view = View(capture.views[0].camera, capture.views[0].photo, "wide", None, lens)
    with pytest.raises(CaptureError, match="wide: this file cannot hold a lens distortion of 8 numbers"):
        export_capture(Capture("kitchen", (view,)), tmp_path / "out", WRITERS["transforms.json"], png)
    export_capture(Capture("kitchen", (view,)), tmp_path / "out", WRITERS["COLMAP"], png)
    assert load_capture(tmp_path / "out").views[0].distortion == lens


@pytest.mark.parametrize("seed", range(50))
def test_quaternions_are_the_rotations(seed):
    matrix = pose(seed)
    for turn in (np.diag([1, 1, 1, 1]), np.diag([1, -1, -1, 1]), np.diag([-1, 1, -1, 1]), np.diag([-1, -1, 1, 1])):
        turned = matrix @ turn if seed else turn.astype(float)
        numbers = pose_numbers(turned)
        assert numbers[0] >= 0 and np.hypot.reduce(numbers[:4]) == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(pose_matrix(numbers), turned, atol=1e-12)
