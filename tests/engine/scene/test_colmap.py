"""COLMAP models: what our reader makes of them is what pycolmap makes of them, and what scripts and disks did to them."""

import random
import re
import shutil
import struct
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lvsm_engine.errors import CameraError, CaptureError
from lvsm_engine.scene.camera import Distortion
from lvsm_engine.scene.captures import load_capture
from lvsm_engine.scene.captures.colmap_binary import read_model as read_binary
from lvsm_engine.scene.captures.colmap_model import CAMERA_MODELS, ColmapCamera, lens_of, poses_of
from lvsm_engine.scene.captures.colmap_text import read_model as read_text
from tests.shared_data import shared

CAMERA = "1 PINHOLE 40 30 50 50 20 15"
POSE = "1 0 0 0 0 0 2"
MODELS = ("miku_plush_colmap", "brighton_beach_colmap", "buddha_formats")


def write_model(folder, images, cameras=CAMERA, **others):
    """A text model with these images beside its photos a.png, b.jpg."""
    for name in ("a.png", "b.jpg"):
        (folder / name).touch()
    for name, text in {"cameras": cameras, "images": images, **others}.items():
        (folder / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def load(tmp_path):
    """Writes a text model and loads it."""

    def loaded(images, **others):
        write_model(tmp_path, images, **others)
        return load_capture(tmp_path, photo_size=lambda _: (40, 30))

    return loaded


def assert_equals_pycolmap(folder, model):
    """cameras, poses and points are those of pycolmap's reader."""
    import pycolmap

    twin = pycolmap.Reconstruction(str(folder))
    assert set(model.cameras) == set(twin.cameras)
    for number, camera in model.cameras.items():
        other = twin.cameras[number]
        assert (camera.model, camera.width, camera.height) == (other.model.name, other.width, other.height)
        assert np.array_equal(camera.parameters, other.params)
    poses = poses_of(model)
    assert set(poses) == {number for number, image in twin.images.items() if image.has_pose}
    for number, pose in poses.items():
        other = twin.images[number]
        assert (model.images[number].name, model.images[number].camera_id) == (other.name, other.camera_id)
        assert np.abs(pose[:3] - other.cam_from_world().matrix()).max() < 1e-7  # pycolmap keeps a quaternion's length
    points = np.array([point.xyz for point in twin.points3D.values()]).reshape(-1, 3)
    assert np.array_equal(np.sort(model.points, axis=0), np.sort(points, axis=0))


@pytest.mark.parametrize("folder", MODELS)
def test_real_models_are_read_as_pycolmap_reads_them(folder, tmp_path):
    import pycolmap

    twin = pycolmap.Reconstruction(str(shared("captures", folder, "sparse", "0")))
    twin.write_text(str(tmp_path))
    twin.write_binary(str(tmp_path))
    assert_equals_pycolmap(tmp_path, read_text(tmp_path))
    assert_equals_pycolmap(tmp_path, read_binary(tmp_path))


def test_a_rig_of_two_cameras_is_read_as_pycolmap_reads_it(tmp_path):
    import pycolmap

    folder = shared("field_cases", "05_colmap_rig_text_stale_poses", "input", "sparse", "0")
    assert_equals_pycolmap(folder, read_text(folder))
    pycolmap.Reconstruction(str(folder)).write_binary(str(tmp_path))
    assert_equals_pycolmap(tmp_path, read_binary(tmp_path))


def opencv_pixel(fxfycxcy, distortion, point):
    """The pixel of a point before the camera, by OpenCV's own projection."""
    import cv2

    fx, fy, cx, cy = fxfycxcy
    matrix, still = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), np.zeros(3)
    if distortion is not None and distortion.kind == "fisheye":
        coefficients = np.array(distortion.coefficients)
        return cv2.fisheye.projectPoints(point[None, None], still, still, matrix, coefficients)[0].ravel()
    coefficients = np.array(distortion.coefficients) if distortion is not None else np.zeros(4)
    return cv2.projectPoints(point[None], still, still, matrix, coefficients)[0].ravel()


@pytest.mark.parametrize("name", CAMERA_MODELS)
def test_each_camera_model_projects_as_in_colmap_or_is_refused_by_name(name):
    import pycolmap

    assert list(CAMERA_MODELS).index(name) == pycolmap.CameraModelId.__members__[name].value
    parameters = [60.0, 20, 15] if CAMERA_MODELS[name][0] == "f" else [60.0, 62, 20, 15]
    parameters += [0.02 * (-1) ** at / (at + 1) for at in range(len(CAMERA_MODELS[name]) - len(parameters))]
    camera = ColmapCamera(name, 40, 30, tuple(parameters[: len(CAMERA_MODELS[name])]))
    twin = pycolmap.Camera(model=name, width=40, height=30, params=camera.parameters)
    point = np.array([0.2, -0.15, 1.0])
    try:
        found = opencv_pixel(*lens_of(camera), point)
    except CaptureError as error:
        assert f"the camera model {name} is not supported" in str(error)
        assert not name.endswith(("PINHOLE", "RADIAL", "OPENCV")) and name not in ("OPENCV_FISHEYE", "FISHEYE")
    else:
        assert np.abs(found - np.ravel(twin.img_from_cam(point))).max() < 1e-6


def test_distortion_is_none_where_a_lens_has_none():
    assert lens_of(ColmapCamera("OPENCV", 4, 4, (4, 4, 2, 2, 0, 0, 0, 0)))[1] is None
    assert lens_of(ColmapCamera("SIMPLE_FISHEYE", 4, 4, (4, 2, 2)))[1] == Distortion("fisheye", (0, 0, 0, 0))


@pytest.mark.parametrize(
    "images",
    [
        f"1 {POSE} 1 a.png\n\n2 {POSE} 1 b.jpg\n\n",
        f"1 {POSE} 1 a.png\n2 {POSE} 1 b.jpg",
        f"1 {POSE} 1 a.png\n\n\n\n2 {POSE} 1 b.jpg\n",
        f"1 {POSE} 1 a.png\n5.5 6.5 -1 7 8 3\n2 {POSE} 1 b.jpg\n",
        f"1 {POSE} 1 a.png\r\n\r\n2 {POSE} 1 b.jpg\r\n\r\n",
        f"\ufeff1 {POSE} 1 a.png\n\n2 {POSE} 1 b.jpg\n\n",
        f"1 {POSE} 1 a.png\n\n2 {POSE} 1 b.jpg\n\n".encode("utf-16"),
        f"1\t{POSE}\t1\ta.png\r\r2 {POSE} 1 b.jpg",
        "1 0,5 0,0 0,0 0,0 0 0 2,0 1 a.png\n\n2.0 1 0 0 0 0 0 2 1.0 b.jpg\n\n",
        "1 -2.7e300 0 0 0 0 0 2 1 a.png\n\n2 1e-3 0 0 0 0 0 2 1 b.jpg\n\n",
    ],
    ids=["plain", "no_blanks", "blanks", "seen", "crlf", "bom", "utf_16", "tabs", "commas", "lengths"],
)
def test_text_that_scripts_touched_is_read_where_it_is_certain(load, images):
    capture = load(images)
    assert [view.name for view in capture.views] == ["a.png", "b.jpg"]
    assert all(np.allclose(view.camera.position, [0, 0, -2]) for view in capture.views)
    assert all(view.photo is not None for view in capture.views) and capture.warnings == ()


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (f"1 {POSE} 1 a.png\n\n2 {POSE} 1\n", "images.txt, line 3: 9 words where IMAGE_ID"),
        (f"1 {POSE} 1 a.png\n1.5 2.5\n", "images.txt, line 2: 2 words"),
        (f"1 {POSE} 1 a.png\n\n1 {POSE} 1 b.jpg\n", "images.txt, line 3: the number 1 comes twice"),
        ("1 x 0 0 0 0 0 2 1 a.png\n", "images.txt, line 1: 'x' is no number"),
        ("1.5 1 0 0 0 0 0 2 1 a.png\n", "images.txt, line 1: '1.5' is no whole number"),
        ("1 nan 0 0 0 0 0 2 1 a.png\n", "images.txt, line 1: a pose with numbers that are not finite"),
        ("1 0 0 0 0 0 0 2 1 a.png\n", "images.txt, line 1: a pose whose quaternion"),
        ("1 1,000 0 0 0 0 0 2,000 1 a.png\n", "images.txt, line 1: '1,000' is no number with a decimal point"),
        ("1 0,5 0.5 0 0 0 0 2 1 a.png\n", "images.txt, line 1: '0,5' is no number with a decimal point"),
        (f"1 {POSE} 7 a.png\n", "image a.png: its camera 7 is not among the cameras"),
    ],
)
def test_text_that_is_wrong_is_told_with_its_line(load, images, words):
    with pytest.raises(CaptureError, match=re.escape(words)):
        load(images)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("cameras", "1 FOV 40 30 50 50 20 15 0.1", "image a.png: the camera model FOV is not supported"),
        ("cameras", "1 PINHOLE 40 30 50 50 20", "cameras.txt, line 1: a camera PINHOLE with 3 parameters, where 4"),
        ("cameras", "1 PINHOLE 40 30 nan 50 20 15", "image a.png: The camera's fx is nan"),
        ("cameras", f"1 PINHOLE 1{'0' * 30} 30 50 50 20 15", "image a.png: The camera's width"),
        ("points3D", "1 0 0 nan 9 9 9 1", "points3D.txt, line 1: a point with numbers that are not finite"),
        ("points3D", "1 0 0", "points3D.txt, line 1: 3 words"),
        ("frames", f"1 1 {POSE} 99999999999999 CAMERA 1 1", "frames.txt, line 1: the line is cut short"),
        ("frames", f"1 1 {POSE} 1 CAMERA 1 2", "frames: none holds the image a.png"),
        ("frames", f"1 4 {POSE} 1 CAMERA 1 1", "frames: the rig 4 with the camera 1 is not among the rigs"),
    ],
)
def test_other_text_that_is_wrong_is_told(load, name, text, words):
    rigs = {"rigs": "1 1 CAMERA 1"} if name == "frames" else {}
    with pytest.raises((CaptureError, CameraError), match=re.escape(words)):
        load(f"1 {POSE} 1 a.png\n\n", **{name: text}, **rigs)


def test_a_file_that_is_shorter_than_its_head_says_is_told(load):
    capture = load(f"# Number of images: 3, mean observations per image: 2\n1 {POSE} 1 a.png\n\n")
    assert "says that it has 3 images, and has 1" in capture.warnings[0]


def test_names_have_spaces_and_folders(load, tmp_path):
    (tmp_path / "images" / "left eye").mkdir(parents=True)
    (tmp_path / "images" / "left eye" / "my  photo 1 2 3.png").touch()
    view = load(f"1 {POSE} 1 left eye/my  photo 1 2 3.png\n\n").views[0]
    assert view.photo == tmp_path / "images" / "left eye" / "my  photo 1 2 3.png"
    assert view.name == "left eye/my  photo 1 2 3.png"


def test_names_that_are_no_text_at_all_are_shown_and_their_photos_found(load, tmp_path):
    import os

    raw = b"K\xfcche.png"
    (tmp_path / os.fsdecode(raw)).touch()
    view = load(b"1 1 0 0 0 0 0 2 1 " + raw + b"\n\n").views[0]
    assert view.name == "Küche.png" and view.photo is not None and os.fsencode(view.photo.name) == raw


# Binary files that lie: what to make of a good model's files.


@pytest.fixture(scope="module")
def binary_files():
    folder = shared("captures", "buddha_formats", "sparse", "0")
    return {file.name: file.read_bytes() for file in folder.glob("*.bin")}


@pytest.fixture
def load_binary(tmp_path, binary_files):
    """Writes the good model's files, with some changed, and loads them."""
    (tmp_path / "images").symlink_to(shared("captures", "buddha_formats", "images"))

    def loaded(**changed):
        for name, data in {**binary_files, **{f"{stem}.bin": data for stem, data in changed.items()}}.items():
            (tmp_path / name).write_bytes(data)
        return load_capture(tmp_path)

    return loaded


def is_soon_and_small(act, file_bytes):
    """What act() returns or raises, within seconds of this processor and a small multiple of the files' size."""
    tracemalloc.start()
    began = time.process_time()
    try:
        return act()
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert time.process_time() - began < 2
        assert peak < 20 * file_bytes + 3e6


@pytest.mark.parametrize("name", ["cameras", "images", "points3D", "rigs", "frames"])
@pytest.mark.parametrize("change", ["empty", "cut", "cut_by_one", "count_2e60", "count_2e40", "longer"])
def test_a_damaged_file_is_refused_by_name_at_once(load_binary, binary_files, name, change):
    data = binary_files[f"{name}.bin"]
    damaged = {
        "empty": b"",
        "cut": data[: len(data) // 2],
        "cut_by_one": data[:-1],
        "count_2e60": struct.pack("<Q", 2**60) + data[8:],
        "count_2e40": struct.pack("<Q", 2**40) + data[8:],
        "longer": data + b"\0",
    }[change]

    def refused():
        with pytest.raises(CaptureError, match=rf"{name}\.bin, byte \d+: it (is cut short|goes on)") as caught:
            load_binary(**{name: damaged})
        assert "\n" not in str(caught.value)

    is_soon_and_small(refused, sum(map(len, binary_files.values())))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from(["cameras", "images", "points3D", "rigs", "frames"]), st.booleans())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bytes_of_any_kind_end_in_a_typed_error_or_a_capture(load_binary, binary_files, seed, name, splices):
    chance = random.Random(seed)
    data = bytearray(binary_files[f"{name}.bin"])
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data))
        if splices:
            data[at : at + chance.randint(0, 16)] = chance.randbytes(chance.randint(0, 16))
        else:
            data[at] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))

    def ends():
        try:
            return load_binary(**{name: bytes(data)})
        except (CaptureError, CameraError) as error:
            assert "\n" not in str(error)

    is_soon_and_small(ends, sum(map(len, binary_files.values())))


TEXT_JUNK = [
    "",
    "-",
    "nan",
    "1e999",
    "9" * 5000,
    "0,5",
    "#",
    "\n",
    "\r",
    "\0",
    "\ufeff",
    "CAMERA",
    "a.png",
    "\udcff",
    "-1",
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from(["cameras", "images", "points3D", "rigs", "frames"]))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_text_of_any_kind_ends_in_a_typed_error_or_a_capture(load, seed, name):
    chance = random.Random(seed)
    files = {
        "cameras": CAMERA,
        "images": f"1 {POSE} 1 a.png\n1.5 2.5 1\n2 {POSE} 1 b.jpg\n\n",
        "points3D": "1 0 0 1 9 9 9 0.5 1 0\n",
        "rigs": "1 1 CAMERA 1\n",
        "frames": f"1 1 {POSE} 1 CAMERA 1 1\n2 1 {POSE} 1 CAMERA 1 2\n",
    }
    words = re.split(r"(\s)", files[name])
    for _ in range(chance.randint(1, 4)):
        words[chance.randrange(len(words))] = chance.choice(TEXT_JUNK)
    files[name] = "".join(words).encode("utf-8", "surrogateescape")

    def ends():
        try:
            return load(**files)
        except (CaptureError, CameraError) as error:
            assert "\n" not in str(error)

    is_soon_and_small(ends, 1000)


# Folders and files.


def test_a_file_is_read_in_its_own_form(tmp_path):
    source = shared("captures", "buddha_formats", "sparse", "0")
    shutil.copytree(source, tmp_path / "model")
    (tmp_path / "images").symlink_to(shared("captures", "buddha_formats", "images"))
    (tmp_path / "model" / "cameras.bin").write_bytes(b"")
    for name in ("cameras.txt", "images.txt", "points3D.txt"):
        assert len(load_capture(tmp_path / "model" / name).views) == 13
    with pytest.raises(CaptureError, match="cameras.bin, byte 0: it is cut short"):
        load_capture(tmp_path / "model" / "images.bin")


def test_a_part_of_a_model_asks_for_the_others(tmp_path):
    (tmp_path / "images.bin").touch()
    for path in (tmp_path, tmp_path / "images.bin"):
        with pytest.raises(CaptureError, match="images.bin is part of a COLMAP model that lacks its other files"):
            load_capture(path)


def test_another_file_beside_a_model_is_not_the_model(tmp_path):
    write_model(tmp_path, f"1 {POSE} 1 a.png\n\n")
    for name in ("notes.txt", "project.ini", "cameras.sfm"):
        (tmp_path / name).touch()
        with pytest.raises(CaptureError, match=name):
            load_capture(tmp_path / name)


def test_photos_that_are_not_there_are_told(tmp_path):
    write_model(tmp_path, f"1 {POSE} 1 z.png\n\n")
    with pytest.raises(CaptureError, match=r"photos of this COLMAP model \(z.png, ...\) were not found"):
        load_capture(tmp_path)
