"""What photogrammetry programs export: conventions of each, what is left out, and files that are none.

That all agree with one another on real cameras is tests/end_to_end/test_captures.py's.
"""

import json
import random
import re
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lvsm_engine.errors import CameraError, CaptureError
from lvsm_engine.scene.camera import OPENCV_FROM_OPENGL, Distortion
from lvsm_engine.scene.captures import load_capture

METASHAPE = """<?xml version="1.0" encoding="UTF-8"?>
<document version="2.0.0"><chunk label="Chunk 1">
<sensors>
<sensor id="0" label="wide" type="frame"><resolution width="40" height="30"/>
<calibration type="frame" class="initial"><f>9</f></calibration>
<calibration type="frame" class="adjusted"><resolution width="40" height="30"/><f>50</f><cx>1</cx><cy>-2</cy><b1>3</b1>
<k1>0.1</k1><k2>0.2</k2><k3>0.3</k3><p1>0.01</p1><p2>0.02</p2></calibration></sensor>
<sensor id="1" label="tele" type="fisheye"><resolution width="40" height="30"/>
<calibration type="fisheye" class="adjusted"><f>90</f><k1>0.1</k1><k4>0.4</k4></calibration></sensor>
</sensors>
<components><component id="0"><transform><rotation>0 -1 0 1 0 0 0 0 1</rotation><translation>5 0 0</translation>
<scale>2</scale></transform></component><component id="1"/></components>
<cameras>
<camera id="0" sensor_id="0" component_id="0" label="a"><transform>1 0 0 1 0 1 0 0 0 0 1 0 0 0 0 1</transform></camera>
<group label="g"><camera id="1" sensor_id="1" component_id="0" label="b.jpg">
<transform>1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1</transform></camera></group>
<camera id="2" sensor_id="0" component_id="0" label="off" enabled="false">
<transform>1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1</transform></camera>
<camera id="3" sensor_id="0" component_id="1" label="apart"><transform>1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1</transform></camera>
<camera id="4" sensor_id="0" label="lost"/>
</cameras></chunk></document>
"""
REALITYCAPTURE = """#cameras 2
#name,x,y,alt,yaw,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2
a.png,1,2,3,0,0,0,36,0.1,-0.1,0.1,0.2,0.3,0,0.01,0.02
"b.jpg",0,0,0,90,0,0,18,0,0,0,0,0,0,0,0
"""
MESHROOM = {
    "version": ["1", "2", "6"],
    "views": [
        {"viewId": "7", "poseId": "7", "intrinsicId": "1", "path": "D:/shoot/photos/a.png", "rigId": "4294967295"},
        {"viewId": "8", "poseId": "8", "intrinsicId": "1", "path": "D:/shoot/photos/b.jpg"},
    ],
    "intrinsics": [
        {
            "intrinsicId": "1",
            "width": "40",
            "height": "30",
            "sensorWidth": "36",
            "type": "pinhole",
            "distortionType": "brown",
            "focalLength": "45",
            "pixelRatio": "1.1",
            "principalPoint": ["1", "-2"],
            "distortionParams": ["0.1", "0.2", "0.3", "0.01", "0.02"],
        }
    ],
    "poses": [
        {
            "poseId": "7",
            "pose": {
                "transform": {"rotation": ["0", "0", "1", "1", "0", "0", "0", "1", "0"], "center": ["1", "2", "3"]}
            },
        }
    ],
    "structure": [{"landmarkId": "1", "X": ["1", "2", "3"]}],
}
OPENMVG = {
    "sfm_data_version": "0.3",
    "root_path": "C:\\work\\photos",
    "views": [
        {"key": number, "value": {"polymorphic_id": 1073741824, "ptr_wrapper": {"id": 1, "data": data}}}
        for number, data in enumerate(
            [
                {"local_path": "", "filename": "a.png", "id_view": 0, "id_intrinsic": 0, "id_pose": 0},
                {"local_path": "", "filename": "b.jpg", "id_view": 1, "id_intrinsic": 1, "id_pose": 9},
            ]
        )
    ],
    "intrinsics": [
        {
            "key": 0,
            "value": {
                "polymorphic_id": 2147483649,
                "polymorphic_name": "pinhole_brown_t2",
                "ptr_wrapper": {
                    "id": 1,
                    "data": {
                        "width": 40,
                        "height": 30,
                        "focal_length": 50.0,
                        "principal_point": [21.0, 13.0],
                        "disto_t2": [0.1, 0.2, 0.3, 0.01, 0.02],
                    },
                },
            },
        }
    ],
    "extrinsics": [{"key": 0, "value": {"rotation": [[0, 1, 0], [0, 0, 1], [1, 0, 0]], "center": [1, 2, 3]}}],
    "structure": [{"key": 0, "value": {"X": [1, 2, 3], "observations": []}}],
}
BUNDLER = """# Bundle file v0.3
3 1
50 0.1 0.2
1 0 0
0 1 0
0 0 1
-1 -2 -3
0 0 0
0 0 0
0 0 0
0 0 0
0 0 0
60 0 0
1 0 0
0 1 0
0 0 1
0 0 0
1 2 3
255 255 255
1 0 5 0.5 0.5
"""
FILES = {
    "cameras.xml": METASHAPE,
    "registration.csv": REALITYCAPTURE,
    "cameras.sfm": json.dumps(MESHROOM),
    "sfm_data.json": json.dumps(OPENMVG),
    "bundle.out": BUNDLER,
}
TURNED = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
BROWN = Distortion("brown", (0.1, 0.2, 0.01, 0.02, 0.3))


@pytest.fixture
def load(tmp_path):
    """Writes a file beside two (empty) photos, which are 40x30, and loads it."""
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text("./a.png 0 512.3\nc.png\nb.jpg\n")

    def loaded(name, content):
        content = content if isinstance(content, str | bytes) else json.dumps(content)
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return load_capture(tmp_path / name, photo_size=lambda _: (40, 30))

    return loaded


@pytest.mark.parametrize("name", FILES)
def test_a_folder_with_the_file_is_its_capture(load, tmp_path, name):
    by_file = load(name, FILES[name])
    by_folder = load_capture(tmp_path, photo_size=lambda _: (40, 30))
    assert [view.name for view in by_folder.views] == [view.name for view in by_file.views]
    assert by_file.views[0].photo == tmp_path / "a.png"


def test_metashapes_cameras_come_with_their_sensors_into_the_components_world(load):
    capture = load("cameras.xml", METASHAPE)
    first, second = capture.views
    assert np.allclose(first.camera.fxfycxcy, [53, 50, 21, 13])
    assert np.allclose(first.camera.camera_to_world[:3], [[0, -1, 0, 5], [1, 0, 0, 2], [0, 0, 1, 0]])
    assert first.distortion == Distortion("brown", (0.1, 0.2, 0.02, 0.01, 0.3))  # OpenCV's p1 is Metashape's p2
    assert second.camera.fx == 90 and second.distortion == Distortion("fisheye", (0.1, 0, 0, 0.4))
    assert [re.search("out: (.*)[.]", warning)[1] for warning in capture.warnings] == ["lost", "off", "apart"]


def test_metashapes_chunk_stands_in_for_a_component(load):
    moved = "<transform><translation>0 0 7</translation></transform>"
    text = re.sub("<components>.*</components>", moved, METASHAPE, flags=re.DOTALL)
    assert np.allclose(load("cameras.xml", text).views[0].camera.position, [1, 0, 7])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<p1>0.01</p1>", "<k4>1</k4>", "camera a: its lens of the type frame with k4 is not supported"),
        ("<b1>3</b1>", "<b2>30</b2>", "camera a: its lens has a skew"),
        ('"frame" class="adjusted"', '"spherical" class="adjusted"', "camera a: its lens of the type spherical"),
        ("1 0 0 1 0 1", "1 0 0 1 0", "camera a: .*transform has 15 numbers where 16 are wanted"),
        ("1 0 0 1 0 1", "nan 0 0 1 0 1", "camera a: The camera's pose has numbers that are not finite"),
        ('sensor_id="0" component_id="0" label="a"', 'component_id="0" label="a"', "camera a: None is missing"),
        ("<scale>2</scale>", "<scale>x</scale>", "component 0: "),
        ("<scale>2</scale>", "<scale>1 2</scale>", "component 0: .*scale has 2 numbers where 1"),
        ("</document>", "", "its XML: it is damaged"),
    ],
)
def test_what_is_wrong_with_metashapes_cameras_is_told(load, old, new, words):
    with pytest.raises((CaptureError, CameraError), match="cameras.xml, " + words):
        load("cameras.xml", METASHAPE.replace(old, new, 1))


@pytest.mark.parametrize(("name", "old"), [("cameras.xml", "b.jpg"), ("registration.csv", '"b.jpg"')])
def test_two_cameras_of_one_name_are_told(load, name, old):
    new = "a" if name == "cameras.xml" else "a.png"
    with pytest.raises(CaptureError, match=f"{name} has two cameras called {new}: give"):
        load(name, FILES[name].replace(old, new))


BOMB = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
@pytest.mark.parametrize("entities", [f'<!ENTITY e0 "ha">{BOMB}', '<!ENTITY e9 SYSTEM "file:///etc/hostname">'])
def test_xml_with_a_document_type_is_refused_before_it_grows(load, encoding, entities):
    text = METASHAPE.replace("?>\n", f"?>\n<!DOCTYPE document [{entities}]>\n", 1).replace('label="a"', 'label="&e9;"')
    with pytest.raises(CaptureError, match="cameras.xml, its XML: .*it has a document type"):
        load("cameras.xml", text.replace("UTF-8", encoding).encode(encoding))


def test_xml_of_any_depth_ends(load):
    with pytest.raises(CaptureError, match="no aligned camera"):
        load("cameras.xml", f"<document><chunk>{'<a>' * 100_000}{'</a>' * 100_000}</chunk></document>")


def test_realitycaptures_angles_and_film_become_cameras(load):
    first, second = load("registration.csv", REALITYCAPTURE).views
    assert np.allclose(first.camera.fxfycxcy, [40, 40, 24, 11])
    assert np.allclose(first.camera.camera_to_world[:3, :3], OPENCV_FROM_OPENGL[:3, :3])  # looks down, north is up
    assert np.allclose(first.camera.position, [1, 2, 3])
    assert first.distortion == BROWN and second.distortion is None
    assert np.allclose(-second.camera.camera_to_world[:3, 1], [1, 0, 0])  # heading 90 degrees: east is up


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("1,2,3,0", "1,x,3,0", "line 3: .*could not convert"),
        ("1,2,3,0", "1,,3,0", "line 3: .*could not convert"),
        ("1,2,3,0", "1,nan,3,0", "line 3: The camera's pose has numbers that are not finite"),
        ("0.3,0,0.01", "0.3,1,0.01", "line 3: its k4 is not supported"),
        ("a.png,1,2,3,0,0,0,36", "a.png", "line 3: .*9 cells where 16 are wanted"),
        (",36,", ",0,", "line 3: The camera's fx is 0"),
    ],
)
def test_what_is_wrong_with_realitycaptures_lines_is_told(load, old, new, words):
    with pytest.raises((CaptureError, CameraError), match="registration.csv, " + words):
        load("registration.csv", REALITYCAPTURE.replace(old, new, 1))


def test_meshrooms_numbers_become_cameras(load):
    capture = load("cameras.sfm", MESHROOM)
    (view,) = capture.views
    assert np.allclose(view.camera.fxfycxcy, [50, 55, 21, 13])
    assert np.allclose(view.camera.camera_to_world[:3, :3], TURNED) and np.allclose(view.camera.position, [1, 2, 3])
    assert view.distortion == BROWN
    assert np.array_equal(capture.points, [[1, 2, 3]])
    assert "1 views of" in capture.warnings[0] and "a.png is" in capture.warnings[1]


@pytest.mark.parametrize(
    ("version", "values", "lens"),
    [
        ("1.0.0", {"pxFocalLength": "50"}, [50, 50, 1, 2]),
        ("1.2.0", {"pxFocalLength": ["50", "55"]}, [50, 55, 1, 2]),
        ("1.2.1", {"pxFocalLength": ["50", "55"]}, [50, 55, 21, 17]),
        ("1.2.4", {"pixelRatio": "1.25"}, [50, 40, 21, 17]),
        ("1.2.5", {"pixelRatio": "1.25"}, [50, 62.5, 21, 17]),
    ],
)
def test_meshrooms_versions_differ_in_the_lens(load, version, values, lens):
    intrinsic = MESHROOM["intrinsics"][0] | {"principalPoint": ["1", "2"]} | values
    content = MESHROOM | {"version": version.split("."), "intrinsics": [intrinsic]}
    assert np.allclose(load("cameras.sfm", content).views[0].camera.fxfycxcy, lens)


@pytest.mark.parametrize(
    ("kind", "numbers", "distortion"),
    [
        ("radial1", "0.1", Distortion("brown", (0.1, 0, 0, 0, 0))),
        ("radial3", "0.1 0.2 0.3", Distortion("brown", (0.1, 0.2, 0, 0, 0.3))),
        ("fisheye4", "0.1 0.2 0.3 0.4", Distortion("fisheye", (0.1, 0.2, 0.3, 0.4))),
        ("pinhole", "", None),
        ("fisheye1", "0.1", "its lens of the type fisheye1 with 1 numbers is not supported"),
        ("radial3", "0.1", "its lens of the type radial3 with 1 numbers is not supported"),
    ],
)
def test_meshrooms_lenses_are_known_or_refused_by_name(load, kind, numbers, distortion):
    intrinsic = {key: value for key, value in MESHROOM["intrinsics"][0].items() if key != "distortionType"}
    type_ = kind if distortion is None or isinstance(distortion, Distortion) else "pinhole"
    intrinsic |= {"type": type_, "distortionType": kind, "distortionParams": numbers.split() or ""}
    content = MESHROOM | {"intrinsics": [intrinsic]}
    if isinstance(distortion, str):
        with pytest.raises(CaptureError, match=f"cameras.sfm, view 7: {distortion}"):
            load("cameras.sfm", content)
    else:
        assert load("cameras.sfm", content).views[0].distortion == distortion


def test_meshrooms_rigs_are_refused(load):
    view = MESHROOM["views"][0] | {"rigId": "5", "isPoseIndependant": "false"}
    with pytest.raises(CaptureError, match="view 7: it belongs to a rig"):
        load("cameras.sfm", MESHROOM | {"views": [view]})


def test_openmvgs_numbers_become_cameras(load):
    capture = load("sfm_data.json", OPENMVG)
    (view,) = capture.views
    assert np.allclose(view.camera.fxfycxcy, [50, 50, 21, 13])
    assert np.allclose(view.camera.camera_to_world[:3, :3], TURNED) and np.allclose(view.camera.position, [1, 2, 3])
    assert view.distortion == BROWN
    assert np.array_equal(capture.points, [[1, 2, 3]])
    assert "1 views of" in capture.warnings[0]


def test_openmvgs_models_are_told_once_for_all_intrinsics(load):
    content = json.loads(json.dumps(OPENMVG))
    content["views"][0]["value"]["ptr_wrapper"]["data"]["id_intrinsic"] = 1
    second = json.loads(json.dumps(content["intrinsics"][0]))
    second["key"], second["value"]["polymorphic_id"] = 1, 1
    del second["value"]["polymorphic_name"]
    content["intrinsics"].append(second)
    assert load("sfm_data.json", content).views[0].distortion == BROWN
    second["value"]["polymorphic_id"] = 2
    with pytest.raises(CaptureError, match="view 0: its lens of the type [?] is not supported"):
        load("sfm_data.json", content)


def test_openmvg_before_it_is_solved_is_told(load):
    with pytest.raises(CaptureError, match="sfm_data.json has no view with a pose"):
        load("sfm_data.json", OPENMVG | {"extrinsics": []})


def test_bundlers_numbers_become_cameras(load):
    capture = load("bundle.out", BUNDLER)
    first, second = capture.views
    assert np.allclose(first.camera.fxfycxcy, [50, 50, 20, 15])
    assert np.allclose(first.camera.camera_to_world[:3, :3], OPENCV_FROM_OPENGL[:3, :3])
    assert np.allclose(first.camera.position, [1, 2, 3])
    assert first.distortion == Distortion("brown", (0.1, 0.2, 0, 0)) and second.distortion is None
    assert [view.photo.name for view in capture.views] == ["a.png", "b.jpg"]
    assert np.array_equal(capture.points, [[1, 2, 3]])
    assert "1 photos of" in capture.warnings[0]


def test_bundler_without_names_is_told(load, tmp_path):
    (tmp_path / "list.txt").unlink()
    with pytest.raises(CaptureError, match="bundle.out has no list.txt"):
        load("bundle.out", BUNDLER)
    (tmp_path / "list.txt").write_text("a.png\n")
    with pytest.raises(CaptureError, match="bundle.out, its text: it has 3 cameras, and .*list.txt only 1 names"):
        load("bundle.out", BUNDLER)


@pytest.mark.parametrize("size", [30, 60, 120])
def test_bundler_that_is_cut_short_is_told(load, size):
    with pytest.raises(CaptureError, match="bundle.out( is cut short|, line)"):
        load("bundle.out", BUNDLER[:size])
    with pytest.raises(CaptureError, match="bundle.out, .*names|is cut short"):
        load("bundle.out", BUNDLER.replace("3 1\n", "3 999999999999\n", 1))


JUNK = [
    "",
    "-1",
    "nan",
    "1e999",
    "x",
    "0",
    "[",
    "{}",
    "null",
    "<a>",
    "</a>",
    "\n",
    ",",
    '"',
    "\0",
    "9" * 400,
    "\ud7ff",
    "1e300",
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from(sorted(FILES)))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_files_of_any_kind_end_in_a_typed_error_or_a_capture(load, seed, name):
    chance = random.Random(seed)
    words = re.split(r"([\s,:<>\"]+)", FILES[name])
    for _ in range(chance.randint(1, 4)):
        words[chance.randrange(len(words))] = chance.choice(JUNK)
    data = bytearray("".join(words).encode())
    if chance.random() < 0.3:
        data[chance.randrange(len(data))] = chance.randrange(256)
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)) :]
    began = time.process_time()
    try:
        load(name, bytes(data))
    except (CaptureError, CameraError) as error:
        assert "\n" not in str(error) and name in str(error)
    assert time.process_time() - began < 1
