"""Captures as people have them: each is read to the values that are right, or refused in a sentence. Needs ../shared."""

import numpy as np
import pytest

from lvsm_engine.photos import load_cut_out, load_photo
from lvsm_engine.scene.captures import load_capture

from ..shared_data import shared

WHITE = (1.0, 1.0, 1.0)


def field_case(name, *parts):
    return shared("field_cases", name, "input", *parts)


@pytest.fixture(scope="module")
def toy():
    """The cameras of the toy that all cases show, view00 to view07."""
    return [view.camera for view in load_capture(field_case("00_baseline")).views]


def assert_same_cameras(views, cameras, tolerance=1e-6):
    assert len(views) == len(cameras)
    for view, camera in zip(views, cameras, strict=True):
        assert np.abs(view.camera.camera_to_world - camera.camera_to_world).max() < tolerance
        assert np.abs(view.camera.fxfycxcy - camera.fxfycxcy).max() < 1e-5
        assert (view.camera.width, view.camera.height) == (camera.width, camera.height)
        assert view.photo is not None


def test_of_two_models_the_larger_is_read_and_both_are_named(toy):
    capture = load_capture(field_case("02_colmap_two_models"))
    assert len(capture.views) == 7
    assert len(capture.warnings) == 1
    assert "sparse/1 (7 images) was read, and not sparse/0 (2 images)" in capture.warnings[0]
    assert len(load_capture(field_case("02_colmap_two_models", "sparse", "0")).views) == 2
    assert len(load_capture(field_case("02_colmap_two_models", "sparse", "0", "images.bin")).views) == 2
    cameras = {f"view{number:02}.png": camera for number, camera in enumerate(toy)}
    assert_same_cameras(capture.views, [cameras[view.name] for view in capture.views], 1e-4)


@pytest.mark.parametrize(("page", "name"), [("cp1252", "K\u00fcche_00.png"), ("gbk", "\u7167\u7247_00.png")])
def test_names_in_a_code_page_are_read_by_the_photos_that_are_there(page, name):
    capture = load_capture(field_case("03_colmap_names_not_utf8", page))
    assert capture.views[0].name == name and capture.views[0].photo.name == name
    assert all(view.photo is not None for view in capture.views) and capture.warnings == ()


@pytest.mark.parametrize(
    "script", ["a_empty_points3D", "b_no_points3D_file", "c_no_blank_lines", "d_quaternions_not_normalised"]
)
def test_models_that_scripts_write_are_read_whole(script, toy):
    capture = load_capture(field_case("04_colmap_known_poses_by_script", script))
    assert_same_cameras(capture.views, toy)
    assert capture.points is None and capture.warnings == ()


def test_a_rigs_poses_come_from_its_frames():
    capture = load_capture(field_case("05_colmap_rig_text_stale_poses"))
    assert len(capture.warnings) == 1 and "other poses for 4 photos: the frames' were read" in capture.warnings[0]
    views = {view.name: view for view in capture.views}
    assert np.allclose(views["cam2/0000.png"].camera.position, (1.7941, 1.7941, 0.9235), atol=1e-4)
    assert views["cam2/0000.png"].photo.parent.name == "cam2"


@pytest.mark.parametrize("form", ["dl3dv", "colmap"])
def test_photos_that_are_only_there_shrunk_are_found_with_their_cameras_scaled(form, toy):
    capture = load_capture(field_case("06_only_downscaled_folder", form))
    assert_same_cameras(capture.views, toy)
    assert len(capture.warnings) == 1 and "8 photos are not where the file says" in capture.warnings[0]
    assert "images_4" in capture.warnings[0]
    _, camera = load_photo(capture.views[0], WHITE)
    assert camera.fx == pytest.approx(171.5606, abs=1e-3)


def test_masks_are_obeyed(toy):
    capture = load_capture(field_case("07_nerfstudio_mask_path"))
    assert_same_cameras(capture.views, toy[: len(capture.views)])
    assert all(view.mask.parent.name == "masks" for view in capture.views) and capture.warnings == ()
    plain = load_capture(field_case("00_baseline")).views
    for view, other in zip(capture.views[:2], plain[:2], strict=True):
        picture, alpha, _ = load_cut_out(view, WHITE)
        assert 0.02 < alpha.mean() < 0.9
        assert np.abs(picture - load_photo(other, WHITE)[0]).mean() < 0.02


@pytest.mark.parametrize("path", ["toy.json", "."])
def test_lvsms_own_metadata_is_read(path, toy):
    capture = load_capture(field_case("10_lvsm_own_metadata", path))
    assert_same_cameras(capture.views, toy)
    assert capture.warnings == ()


def test_georeferenced_cameras_keep_their_places(toy):
    views = load_capture(field_case("11_georeferenced_utm")).views
    middle = (447321.37, 5411876.25, 312.4)
    for view, camera in zip(views, toy, strict=True):
        assert np.abs(view.camera.position - camera.position - middle).max() < 1e-6


@pytest.mark.parametrize(("case", "size"), [("a_solved_as_stored", (160, 120)), ("b_solved_upright", (120, 160))])
def test_photos_that_are_turned_by_exif_fit_the_cameras_that_were_solved(case, size):
    for view in load_capture(field_case("12_exif_orientation", case)).views[:2]:
        picture, camera = load_photo(view, WHITE)
        assert (camera.width, camera.height) == size and picture.shape == (*size[::-1], 3)
