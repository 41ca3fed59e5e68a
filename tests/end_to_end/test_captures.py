"""Real captures: the axes are right because points fall where the photos saw them, and all formats agree."""

import shutil

import numpy as np
import pytest

from lvsm_engine.photos import load_photo
from lvsm_engine.scene.camera import OPENCV_FROM_OPENGL, camera_of, project
from lvsm_engine.scene.captures import load_capture

from ..shared_data import shared

WHITE = (1.0, 1.0, 1.0)


def turned(camera):
    """The same camera read with the wrong axes."""
    return camera_of(camera.camera_to_world @ OPENCV_FROM_OPENGL, camera.fxfycxcy, camera.width, camera.height)


@pytest.mark.parametrize(
    ("folder", "count"),
    [
        ("banana_instant_ngp", 15),
        ("lego_minimal_blender", 2),
        ("gso_character_opencv", 32),
        ("miku_plush_colmap", 49),
        ("brighton_beach_colmap", 18),
        ("buddha_formats", 13),
    ],
)
def test_every_capture_loads_whole_and_its_photos_fit_their_cameras(folder, count):
    capture = load_capture(shared("captures", folder))
    assert len(capture.views) == count
    assert capture.warnings == ()
    for view in capture.views[:2]:
        image, camera = load_photo(view, WHITE)
        assert image.shape == (camera.height, camera.width, 3)


@pytest.mark.parametrize(("folder", "limit"), [("miku_plush_colmap", 0.6), ("brighton_beach_colmap", 0.3)])
def test_colmap_points_reproject_onto_their_observations(folder, limit):
    import cv2
    import pycolmap

    path = shared("captures", folder)
    views = {view.name: view for view in load_capture(path).views}
    model = pycolmap.Reconstruction(str(path / "sparse/0"))
    errors, wrong_errors = [], []
    for image in list(model.images.values())[::5]:
        seen = [point for point in image.points2D if point.has_point3D()]
        points = np.array([model.points3D[point.point3D_id].xyz for point in seen])
        pixels = np.array([point.xy for point in seen])
        view = views[image.name]
        fx, fy, cx, cy = view.camera.fxfycxcy
        lens = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        straight = cv2.undistortPoints(pixels[:, None], lens, np.array(view.distortion.coefficients), P=lens)[:, 0]
        errors += np.linalg.norm(project(view.camera, points)[0] - straight, axis=1).tolist()
        wrong_errors += np.linalg.norm(project(turned(view.camera), points)[0] - straight, axis=1).tolist()
    assert np.median(errors) < limit
    assert np.median(wrong_errors) > 20


@pytest.mark.parametrize("form", ["transforms.json", "opencv_cameras.json", "binary", "text"])
def test_every_format_of_one_capture_matches_its_projection_matrices(form, tmp_path):
    folder = shared("captures", "buddha_formats")
    path = folder / form
    if form in ("binary", "text"):
        path = tmp_path / "sparse" / "0"
        path.mkdir(parents=True)
        (tmp_path / "images").symlink_to(folder / "images")
        for file in (folder / "sparse/0").glob("*.bin" if form == "binary" else "*.txt"):
            shutil.copy(file, path)
    views = load_capture(path).views
    truth = {file.name[:5]: np.loadtxt(file) for file in (folder / "cmpmvs_P").glob("*_P.txt")}
    assert {view.name[:5] for view in views} == set(truth)
    for view in views:
        camera = view.camera
        points = camera.position + [[0.1, 0.2, 0], [-0.3, 0.1, 0.2], [0, 0, 0.1]] + 2 * camera.forward
        expected = np.c_[points, np.ones(3)] @ truth[view.name[:5]].T
        expected = expected[:, :2] / expected[:, 2:]
        assert np.abs(project(camera, points)[0] - expected).max() < 1e-4
        assert np.abs(project(turned(camera), points)[0] - expected).max() > 10
