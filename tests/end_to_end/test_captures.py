"""Real captures: the axes are right because points fall where the photos saw them, and all formats agree."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from lvsm_engine.cli import main
from lvsm_engine.metrics import psnr
from lvsm_engine.photos import load_photo
from lvsm_engine.scene.camera import OPENCV_FROM_OPENGL, camera_of, project
from lvsm_engine.scene.captures import load_capture
from lvsm_engine.scene.selection import spread_views

from ..shared_data import shared

WHITE = (1.0, 1.0, 1.0)
# Those with poses, and how many.
CAPTURES = {
    "banana_instant_ngp": 15,
    "lego_minimal_blender": 2,
    "gso_character_opencv": 32,
    "miku_plush_colmap": 49,
    "brighton_beach_colmap": 18,
    "buddha_formats": 13,
}


def turned(camera):
    """The same camera read with the wrong axes."""
    return camera_of(camera.camera_to_world @ OPENCV_FROM_OPENGL, camera.fxfycxcy, camera.width, camera.height)


@pytest.mark.parametrize(("folder", "count"), CAPTURES.items())
def test_every_capture_loads_whole_and_its_photos_fit_their_cameras(folder, count):
    capture = load_capture(shared("captures", folder))
    assert len(capture.views) == count
    told = [warning for warning in capture.warnings if "transforms.json was read, and not" in warning]
    assert list(capture.warnings) == told and len(told) == (folder == "buddha_formats")
    for view in capture.views[:2]:
        image, camera = load_photo(view, WHITE)
        assert image.shape == (camera.height, camera.width, 3)


@pytest.mark.parametrize("folder", CAPTURES)
def test_photos_that_were_left_out_are_rendered_with_the_right_geometry(folder, tmp_path, capsys):
    """Nearer to the photos, on average, than the same pictures mirrored or upside down, as wrong axes would give them."""
    path = shared("captures", folder)
    views = load_capture(path).views
    inputs = spread_views([view.camera for view in views], min(8, len(views) - 1))
    targets = [position for position in range(len(views)) if position not in inputs][:12]
    numbers = [",".join(map(str, positions)) for positions in (inputs, targets)]
    arguments = ["--capture", path, "--inputs", numbers[0], "--targets", numbers[1], "--out", tmp_path]
    assert main(["render", *map(str, arguments)]) == 0
    print(capsys.readouterr().out)  # PSNR beside nearest and mean, whatever it is
    entries = json.loads((tmp_path / "report.json").read_text())["targets"]
    assert [entry["position"] for entry in entries] == targets
    scores = []
    for entry in entries:
        truth, _ = load_photo(views[entry["position"]], WHITE)
        with Image.open(tmp_path / f"{entry['position']:04}.png") as image:
            picture = np.asarray(image) / 255
        assert entry["psnr"] == pytest.approx(psnr(picture, truth), abs=0.05)
        scores.append([psnr(turned, truth) for turned in (picture, picture[:, ::-1], picture[::-1])])
    as_it_is, mirrored, upside_down = np.mean(scores, axis=0)
    assert as_it_is > max(mirrored, upside_down)


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


@pytest.mark.parametrize(
    "form",
    [
        "transforms.json",
        "opencv_cameras.json",
        "binary",
        "text",
        "metashape_cameras.xml",
        "realitycapture.csv",
        "cameras.sfm",
        "sfm_data.json",
    ],
)
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
