"""What phones export: cameras in ARKit's world become ours, z up, by the folder or a file; what is wrong is told."""

import json

import numpy as np
import pytest

from lvsm_engine.errors import CameraError, CaptureError
from lvsm_engine.scene.captures import load_capture

# A camera 2 m up and 3 m back that looks along the world's -z, as ARKit has it, turned by 90 degrees around y.
TURNED = np.array([[0, 0, 1, 1.0], [0, 1, 0, 2], [-1, 0, 0, 3], [0, 0, 0, 1]])
# The same, z up: x, y, z become y, z, x.
POSITION, FORWARD, DOWN = [3, 1, 2], [0, -1, 0], [0, 0, -1]
LENS = {"fx": 50.5, "fy": 51, "cx": 20.25, "cy": 15, "width": 40, "height": 30}


def write_polycam(folder, cameras="corrected_cameras", photos="corrected_images", **changes):
    """Two photos, the later with the greater number, which is longer."""
    for name in (cameras, photos):
        (folder / "keyframes" / name).mkdir(parents=True)
    for stem in ("99", "100"):
        rows = {f"t_{row}{column}": TURNED[row, column] for row in range(3) for column in range(4)}
        (folder / "keyframes" / photos / f"{stem}.jpg").touch()
        content = json.dumps(LENS | rows | {"blur_score": 5} | changes)
        (folder / "keyframes" / cameras / f"{stem}.json").write_text(content)
    return folder / "keyframes" / cameras


def write_record3d(folder, **changes):
    (folder / "rgb").mkdir()
    for number in range(2):
        (folder / "rgb" / f"{number}.jpg").touch()
    half = np.sqrt(0.5)
    poses = [[0, half, 0, half, 1, 2, 3]] * 2
    content = {"w": 40, "h": 30, "K": [50.5, 0, 0, 0, 51, 0, 20.25, 15, 1], "poses": poses, "fps": 60}
    (folder / "metadata.json").write_text(json.dumps(content | changes))
    return folder / "metadata.json"


def expect_the_camera(capture, names):
    assert [view.name for view in capture.views] == names and capture.warnings == ()
    for view in capture.views:
        assert (view.camera.width, view.camera.height, view.photo.name) == (40, 30, view.name)
        np.testing.assert_allclose(view.camera.fxfycxcy, [50.5, 51, 20.25, 15])
        np.testing.assert_allclose(view.camera.position, POSITION, atol=1e-12)
        np.testing.assert_allclose(view.camera.forward, FORWARD, atol=1e-12)
        np.testing.assert_allclose(view.camera.camera_to_world[:3, 1], DOWN, atol=1e-12)
    np.testing.assert_allclose(capture.up, [0, 0, 1], atol=1e-6)


def test_polycams_corrected_cameras_come_in_the_order_of_time(tmp_path):
    cameras = write_polycam(tmp_path)
    for chosen in (tmp_path, tmp_path / "keyframes", cameras / "99.json"):
        expect_the_camera(load_capture(chosen), ["99.jpg", "100.jpg"])


def test_polycams_cameras_are_read_where_none_are_corrected(tmp_path):
    write_polycam(tmp_path, "cameras", "images", t_03=7)
    assert load_capture(tmp_path).views[0].camera.position[1] == 7
    write_polycam(tmp_path)
    expect_the_camera(load_capture(tmp_path), ["99.jpg", "100.jpg"])


def test_record3ds_poses_belong_to_the_photos_of_their_number(tmp_path):
    file = write_record3d(tmp_path)
    for chosen in (tmp_path, file):
        expect_the_camera(load_capture(chosen), ["0.jpg", "1.jpg"])
    (tmp_path / "above").mkdir()
    (tmp_path / "above" / "EXR_RGBD").mkdir()
    write_record3d(tmp_path / "above" / "EXR_RGBD")
    expect_the_camera(load_capture(tmp_path / "above"), ["0.jpg", "1.jpg"])


@pytest.mark.parametrize(
    ("write", "changes", "words"),
    [
        (write_polycam, {"t_03": "x"}, r"99.json, its camera: .*x"),
        (write_polycam, {"t_00": 5}, r"99.json, its camera: .*not a rotation"),
        (write_polycam, {"fx": None}, r"99.json, its camera"),
        (write_polycam, {"width": 40.5}, r"99.json, its camera: .*40.5"),
        (write_record3d, {"poses": []}, r"metadata.json has no list of poses"),
        (write_record3d, {"poses": [[0, 0, 0, 0, 1, 2, 3]]}, r"metadata.json, pose 0: .*no direction"),
        (write_record3d, {"poses": [[1, 2]]}, r"metadata.json, pose 0"),
        (write_record3d, {"K": [1, 2, 3]}, r"metadata.json, pose 0"),
        (write_record3d, {"w": None}, r"metadata.json, pose 0"),
    ],
)
def test_what_is_wrong_is_told_with_its_file(tmp_path, write, changes, words):
    write(tmp_path, **changes)
    with pytest.raises((CaptureError, CameraError), match=words) as caught:
        load_capture(tmp_path)
    assert "\n" not in str(caught.value)
