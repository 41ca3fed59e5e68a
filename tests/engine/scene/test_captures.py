"""The capture readers: what they make of good files, and the one sentence for bad ones."""

import copy
import json
import math
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lvsm_engine.errors import CameraError, CaptureError, OutputError
from lvsm_engine.scene.camera import OPENCV_FROM_OPENGL, Camera, Distortion, View
from lvsm_engine.scene.captures import Capture, load_capture, write_transforms
from tests.full_disk import no_file_larger_than

POSE = np.eye(4).tolist()
FRAME = {"file_path": "a", "transform_matrix": POSE}
LENS = {"fl_x": 50.0, "w": 40, "h": 30}
OPENCV_FRAME = {"file_path": "a.png", "w2c": POSE, "fx": 50, "fy": 50, "cx": 20, "cy": 15, "w": 40, "h": 30}


@pytest.fixture
def load(tmp_path):
    """Writes a document beside two (empty) photos and loads it; photos are 40x30."""
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).touch()

    def loaded(document, name="transforms.json", sizes=()):
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return load_capture(tmp_path / name, photo_size=lambda path: dict(sizes).get(path.name, (40, 30)))

    return loaded


def test_an_angle_of_view_becomes_a_focal_length(load):
    camera = load({"camera_angle_x": math.pi / 2, "frames": [FRAME]}).views[0].camera
    assert np.allclose(camera.fxfycxcy, [20, 20, 20, 15])
    assert np.allclose(camera.camera_to_world, OPENCV_FROM_OPENGL)


def test_a_frame_s_own_lens_comes_before_the_file_s(load):
    own = FRAME | {"file_path": "b.jpg", "fl_x": 70.0, "w": 40.0}
    first, second = load({**LENS, "frames": [FRAME, own]}).views
    assert (first.camera.fx, second.camera.fx, second.camera.width) == (50, 70, 40)


def test_frames_without_a_photo_keep_their_place_and_are_named(load):
    capture = load({**LENS, "frames": [FRAME | {"file_path": "gone"}, FRAME, FRAME | {"file_path": "b.jpg"}]})
    assert [view.name for view in capture.views] == ["gone", "a.png", "b.jpg"]
    assert [view.photo is None for view in capture.views] == [True, False, False]
    assert "gone" in capture.warnings[0]


@pytest.mark.parametrize("name", ["transforms.json", "opencv_cameras.json"])
def test_paths_written_on_windows_are_found(load, tmp_path, name):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "c.png").touch()
    frame = {"transforms.json": LENS | FRAME, "opencv_cameras.json": OPENCV_FRAME}[name]
    views = load({"frames": [frame | {"file_path": "images\\c.png"}, frame | {"file_path": "a.png"}]}, name).views
    assert [view.photo for view in views] == [tmp_path / "images" / "c.png", tmp_path / "a.png"]
    assert views[0].name == "c.png"


def scaled(scale):
    """A pose (4, 4) whose axes have this length, at (1, 2, 3)."""
    pose = np.diag([scale, scale, scale, 1.0])
    pose[:3, 3] = 1, 2, 3
    return pose


@pytest.mark.parametrize("scale", [0.01, 2.5])
def test_a_rotation_with_a_scale_is_the_same_camera_without(load, scale):
    camera = load({**LENS, "frames": [FRAME | {"transform_matrix": scaled(scale).tolist()}]}).views[0].camera
    assert np.allclose(camera.camera_to_world[:3, :3], OPENCV_FROM_OPENGL[:3, :3])
    assert np.allclose(camera.position, [1, 2, 3])
    frame = OPENCV_FRAME | {"w2c": np.linalg.inv(scaled(scale)).tolist()}
    camera = load([frame], "opencv_cameras.json").views[0].camera
    assert np.allclose(camera.camera_to_world, scaled(1))


@pytest.mark.parametrize("lengths", [(1, 1, 2), (-1, 1, 1)])
def test_a_rotation_that_is_stretched_or_mirrored_is_refused(load, lengths):
    with pytest.raises(CameraError, match="frame 0: .*singular, scaled or mirrored"):
        load({**LENS, "frames": [FRAME | {"transform_matrix": np.diag([*lengths, 1]).tolist()}]})


def test_frames_that_name_no_photo_are_cameras_to_look_through(load):
    unnamed = {key: value for key, value in OPENCV_FRAME.items() if key != "file_path"}
    for capture in (
        load({**LENS, "frames": [FRAME, {"transform_matrix": POSE}]}),
        load([OPENCV_FRAME, unnamed], "opencv_cameras.json"),
    ):
        assert [view.name for view in capture.views] == ["a.png", "frame 1"]
        assert capture.views[1].photo is None and capture.warnings == ()


def test_test_cameras_without_photos_are_as_large_as_the_photos_of_the_train_cameras(load, tmp_path):
    content = {"camera_angle_x": math.pi / 2, "frames": [FRAME | {"file_path": "./test/r_0"}]}
    (tmp_path / "transforms_test.json").write_text(json.dumps(content))
    load({"camera_angle_x": math.pi / 2, "frames": [FRAME]}, "transforms_train.json")
    train, test = load_capture(tmp_path, photo_size=lambda _: (40, 30)).views
    assert train.photo is not None and test.photo is None and test.name == "r_0"
    assert np.allclose(test.camera.fxfycxcy, [20, 20, 20, 15]) and test.camera.height == 30


def test_a_missing_photo_whose_size_nobody_knows_is_told(load):
    frames = [FRAME, FRAME | {"file_path": "b"}, FRAME | {"file_path": "gone"}]
    content = {"camera_angle_x": 1, "frames": frames}
    assert len(load(content).views) == 3  # both photos have one size
    with pytest.raises(CaptureError, match="frame 2: its photo is missing and its size is not given"):
        load(content, sizes={"b.jpg": (20, 15)})


def test_masks_are_found_and_missing_ones_are_named(load, tmp_path):
    (tmp_path / "m.png").touch()
    frames = [FRAME | {"mask_path": "m.png"}, FRAME | {"mask_path": "gone.png"}, FRAME]
    capture = load({**LENS, "frames": frames})
    assert [view.mask for view in capture.views] == [tmp_path / "m.png", None, None]
    assert capture.warnings == ("1 frames have no masks on disk and go without: gone.png.",)


@pytest.mark.parametrize("keys", [{"image_path": "a.png"}, {"file_path": "a.png"}])
def test_lvsms_own_words_are_known(load, keys):
    frame = {"w2c": POSE, "fxfycxcy": [50, 51, 20, 15], **keys}
    view = load({"scene_name": "toy", "frames": [frame]}, "toy.json").views[0]
    assert np.allclose(view.camera.fxfycxcy, [50, 51, 20, 15]) and (view.camera.width, view.camera.height) == (40, 30)
    with pytest.raises(CaptureError, match="toy.json, frame 0"):
        load({"frames": [frame | {"fxfycxcy": [50, 51, 20]}]}, "toy.json")


def test_fisheye_and_brown_lenses_keep_opencv_s_order(load):
    numbers = {"k1": 0.1, "k2": 0.2, "p1": 0.3, "p2": 0.4}
    brown = load({**LENS, **numbers, "camera_model": "OPENCV", "frames": [FRAME]}).views[0].distortion
    assert brown == Distortion("brown", (0.1, 0.2, 0.3, 0.4))
    fisheye = load({**LENS, "k1": 0.1, "k3": 0.3, "camera_model": "OPENCV_FISHEYE", "frames": [FRAME]})
    assert fisheye.views[0].distortion == Distortion("fisheye", (0.1, 0.0, 0.3, 0.0))


@pytest.mark.parametrize("wrap", [lambda frames: frames, lambda frames: {"frames": frames}])
def test_opencv_cameras_come_bare_or_in_frames(load, wrap):
    moved = np.eye(4)
    moved[2, 3] = 2
    view = load(wrap([OPENCV_FRAME | {"w2c": moved.tolist()}]), "opencv_cameras.json").views[0]
    assert np.allclose(view.camera.position, [0, 0, -2])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"transform_matrix": np.zeros((4, 4)).tolist()}, "singular"),
        ({"transform_matrix": [[math.nan] * 4] * 4}, "not finite"),
        ({"transform_matrix": "x"}, "value"),
        ({"transform_matrix": None}, "shape"),
        ({"fl_x": -3}, "fx"),
        ({"fl_x": None}, "fl_x"),
        ({"w": 10**400}, "value"),
        ({"w": "wide"}, "value"),
        ({"k4": 0.1}, "k4"),
        ({"camera_model": "EQUIRECTANGULAR"}, "EQUIRECTANGULAR"),
        ({"file_path": 3}, "no path"),
    ],
)
def test_a_bad_value_is_told_with_file_and_frame(load, change, words):
    with pytest.raises((CaptureError, CameraError), match=words) as caught:
        load({**LENS, "frames": [FRAME, FRAME | change]})
    assert "transforms.json" in str(caught.value)
    assert "frame 1" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", '{"frames": 3}', "{}", '{"frames": []}', "3"])
def test_a_file_that_is_no_capture_is_told_by_name(load, text):
    with pytest.raises(CaptureError, match="transforms.json"):
        load(text)


def test_a_zero_angle_of_view_is_an_error_of_its_frame(load):
    with pytest.raises((CaptureError, CameraError), match="frame 0"):
        load({"camera_angle_x": 0, "frames": [FRAME]})


def test_a_photo_s_name_longer_than_names_can_be_is_an_error_of_its_frame(load):
    with pytest.raises(CaptureError, match="frame 0"):
        load({**LENS, "frames": [FRAME | {"file_path": "x" * 5000}]})


JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(10**400), 10**400) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["w", "frames"]), inner, max_size=2),
    max_leaves=8,
)
KEYS = ["file_path", "transform_matrix", "w2c", "fl_x", "fx", "w", "h", "cx", "k1", "camera_angle_x", "camera_model"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=3), JUNK, st.booleans(), st.booleans())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_junk_of_any_kind_ends_in_a_typed_error_or_a_capture(load, junk, other, is_opencv, appends):
    frame = copy.deepcopy((OPENCV_FRAME if is_opencv else FRAME | LENS) | junk)
    name = "opencv_cameras.json" if is_opencv else "transforms.json"
    try:
        capture = load({"frames": [frame, other] if appends else [frame]}, name)
    except (CaptureError, CameraError) as error:
        assert name in str(error)
    else:
        assert capture.views


def test_a_written_capture_reads_back_the_same(tmp_path):
    (tmp_path / "a.png").touch()
    angle = 0.7
    pose = np.eye(4)
    pose[:3, :3] = [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    pose[:3, 3] = [1 / 3, -2e5 / 7, 1e-7]
    camera = Camera(pose, 123.456789012345, 120.1, 20.3, 14.9, 40, 30)
    lenses = [None, Distortion("brown", (0.1, 0.2, 0.3, 0.4, 0.5)), Distortion("fisheye", (0.1, 0.2, 0.3, 0.4))]
    views = tuple(View(camera, tmp_path / "a.png", "a.png", distortion=lens) for lens in lenses)
    write_transforms(Capture("test", views), tmp_path / "transforms.json")
    for read, lens in zip(load_capture(tmp_path).views, lenses, strict=True):
        assert np.abs(read.camera.camera_to_world - pose).max() < 1e-9
        assert np.array_equal(read.camera.fxfycxcy, camera.fxfycxcy)
        assert read.distortion == lens
        assert read.photo == tmp_path / "a.png"


def test_a_full_disk_is_told_and_leaves_the_old_capture_alone(tmp_path):
    view = View(Camera(np.eye(4), 50, 50, 20, 15, 40, 30), tmp_path / "a.png", "a.png")
    path = tmp_path / "transforms.json"
    write_transforms(Capture("x", (view,)), path)
    before = path.read_bytes()
    with (
        no_file_larger_than(1000),
        pytest.raises(OutputError, match=r"transforms\.json cannot be written \(File too large"),
    ):
        write_transforms(Capture("x", (view,) * 20), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["transforms.json"]


def test_a_truncated_colmap_model_is_told_by_its_folder(tmp_path):
    for name in ("cameras.bin", "images.bin", "points3D.bin"):
        (tmp_path / name).write_bytes(b"\x05\x00\x00")
    with pytest.raises(CaptureError, match=tmp_path.name):
        load_capture(tmp_path)


def test_a_folder_with_several_captures_says_which_was_read(load, tmp_path):
    load([OPENCV_FRAME], "opencv_cameras.json")
    load({**LENS, "frames": [FRAME]})
    (warning,) = load_capture(tmp_path).warnings
    assert warning.endswith("holds several captures: transforms.json was read, and not opencv_cameras.json.")
    assert load_capture(tmp_path / "opencv_cameras.json").warnings == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("notes.md", "holds no posed photos in a known format"),
        ("cameras.xml", "holds no posed photos in a known format"),
        ("other.json", "holds no posed photos in a known format"),
        ("cameras.sfm", "cameras.sfm, its tables: 'version' is missing"),
        ("cameras.bin", "is part of a COLMAP model that lacks its other files"),
        ("gone.json", "does not exist"),
    ],
)
def test_a_chosen_file_never_stands_for_another_capture_beside_it(load, tmp_path, name, words):
    load({**LENS, "frames": [FRAME]})
    if name != "gone.json":
        (tmp_path / name).write_text("{}")
    with pytest.raises(CaptureError, match=name) as caught:
        load_capture(tmp_path / name)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 5000, "\0"])
def test_a_path_that_cannot_be_is_told(tmp_path, name):
    with pytest.raises(CaptureError, match="does not exist"):
        load_capture(tmp_path / name)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "transforms.json")
    for path in (tmp_path, tmp_path / "transforms.json"):
        with pytest.raises(CaptureError, match="holds no posed photos"):
            load_capture(path)


def test_a_head_of_many_values_is_not_copied_into_each_frame(load):
    import tracemalloc

    content = LENS | {f"value {number}": 0 for number in range(10_000)} | {"frames": [FRAME] * 2000}
    tracemalloc.start()
    assert len(load(content).views) == 2000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_a_shrunk_photo_whose_full_size_nobody_tells_is_refused(load, tmp_path):
    (tmp_path / "images_4").mkdir()
    (tmp_path / "images_4" / "c.png").touch()
    with pytest.raises(CaptureError, match="frame 0: its photo is there only shrunk, in images_4"):
        load({"fl_x": 50, "frames": [FRAME | {"file_path": "images/c.png"}]})
