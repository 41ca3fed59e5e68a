"""The committed photos of the toy locomotive agree with their cameras."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lvsm_engine.scene.camera import OPENCV_FROM_OPENGL, Camera, project

FOLDER = Path(__file__).resolve().parents[2] / "training" / "sample_capture"
FACE = np.array([[0.433, 0.0, 0.016]])  # The middle of the cream disc, between eyes and smile.
CREAM = (250, 232, 196)


def frames() -> list[tuple[np.ndarray, Camera]]:
    """Photos (H, W, 3) uint8 and their cameras."""
    document = json.loads((FOLDER / "transforms.json").read_text())
    lens = [document[key] for key in ("fl_x", "fl_y", "cx", "cy", "w", "h")]
    photos = [np.asarray(Image.open(FOLDER / frame["file_path"])) for frame in document["frames"]]
    poses = [np.array(frame["transform_matrix"]) @ OPENCV_FROM_OPENGL for frame in document["frames"]]
    return [(photo, Camera(pose, *lens)) for photo, pose in zip(photos, poses, strict=True)]


def test_there_are_two_rings_of_eight_and_four_held_out_photos() -> None:
    everything = frames()
    assert len(everything) == 20
    heights = [camera.position[2] / np.linalg.norm(camera.position) for _, camera in everything]
    assert np.ptp(heights[:8]) < 1e-6 and np.ptp(heights[8:16]) < 1e-6
    assert all(photo.shape == (camera.height, camera.width, 3) for photo, camera in everything)


def test_the_face_is_where_the_cameras_in_front_of_it_see_it() -> None:
    in_front = [(photo, camera) for photo, camera in frames() if camera.position[0] > 1.0]
    assert len(in_front) >= 5
    for photo, camera in in_front:
        column, row = project(camera, FACE)[0][0]
        assert photo[int(row), int(column)].astype(int) == pytest.approx(CREAM, abs=30)


def test_the_locomotive_stays_within_its_box_and_fills_its_length() -> None:
    signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(-1, 3)
    box = signs * [0.5, 0.25, 0.33]
    for photo, camera in frames():
        rows, columns = np.nonzero(photo.min(axis=-1) < 245)
        pixels, _ = project(camera, box)
        assert columns.min() > pixels[:, 0].min() - 3 and columns.max() < pixels[:, 0].max() + 3
        assert rows.min() > pixels[:, 1].min() - 3 and rows.max() < pixels[:, 1].max() + 3
    photo, camera = frames()[2]  # From the side: the length is seen whole.
    columns = np.nonzero(photo.min(axis=-1) < 245)[1]
    assert np.ptp(columns) > 0.85 * camera.fx / np.linalg.norm(camera.position)


def test_the_background_is_white_and_the_capture_is_small() -> None:
    assert all((photo[:8] == 255).all() for photo, _ in frames())
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 3e6
