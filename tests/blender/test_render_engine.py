"""The render engine "LVSM": files, and what a farm sees of it."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from blender_addon.rendering.mist import MistSettings, mist_of
from lvsm_engine.scene.srgb import to_linear
from lvsm_engine.worker.messages import camera_from_fields

from .fake_engine import fake_environment, in_programs
from .inside.fake_picture import passes_of, picture
from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    return blender.report("render_engine.py", env=fake_environment(tmp_path_factory.mktemp("render_engine")))


@each_test_in("render_engine.py")
def test_inside(report, name):
    report.expect(name)


@in_programs
def test_f_and_a_write_the_engines_pictures_and_exit_with_0(blender, tmp_path):
    blender.run("scene_file.py", tmp_path)
    env = fake_environment(tmp_path, record=tmp_path / "record")
    output = tmp_path / "frame_####"
    for frames in (("-f", "1"), ("-s", "2", "-e", "3", "-a"), ("-f", "4..5,6")):
        blender.execute([*blender.command, "-b", tmp_path / "scene.blend", "-o", output, "-E", "LVSM", *frames], env)
    requests = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    assert len(requests) == 6
    for number, request in enumerate(requests, 1):
        views = [camera_from_fields(view["camera"]) for view in request["views"]]
        assert np.allclose([view.position for view in views], [(-1, -4, 1), (0, -4, 1), (1, -4, 1)], atol=1e-6)
        expected = picture(camera_from_fields(request["cameras"][0]))
        pixels = np.asarray(Image.open(tmp_path / f"frame_{number:04}.png"))[..., :3]
        assert np.array_equal(pixels, expected)


ALL_PASSES = """
import bpy
scene, layer = bpy.context.scene, bpy.context.view_layer
scene.render.film_transparent = layer.use_pass_z = layer.use_pass_mist = True
layer.lvsm.use_pass_confidence = layer.lvsm.use_pass_nearest_photo = True
scene.world = bpy.data.worlds.new("World")
scene.world.mist_settings.start, scene.world.mist_settings.depth, scene.world.mist_settings.falloff = 10, 50, "LINEAR"
settings = scene.render.image_settings
if hasattr(settings, "media_type"):  # 5.0 on
    settings.media_type = "MULTI_LAYER_IMAGE"
settings.file_format, settings.color_depth = "OPEN_EXR_MULTILAYER", "32"
"""


@in_programs
def test_depth_mist_confidence_nearest_photo_and_alpha_are_passes(blender, tmp_path):
    blender.run("scene_file.py", tmp_path)
    env = fake_environment(tmp_path, record=tmp_path / "record")
    command = [*blender.command, "-b", tmp_path / "scene.blend", "--python-expr", ALL_PASSES]
    blender.execute([*command, "-o", tmp_path / "frame_####", "-E", "LVSM", "-f", "1"], env)
    camera = camera_from_fields(json.loads((tmp_path / "record").read_text())["cameras"][0])
    depths, confidences, alphas, main_photos = passes_of(camera)
    parts = OpenEXR.File(str(tmp_path / "frame_0001.exr"), separate_channels=True).parts
    channels = {name: channel.pixels for part in parts for name, channel in part.channels.items()}
    np.testing.assert_array_equal(channels["ViewLayer.Combined.A"], alphas)
    np.testing.assert_array_equal(channels["ViewLayer.Depth.Z"], np.where(alphas > 0, depths, np.float32(1e10)))
    np.testing.assert_array_equal(channels["ViewLayer.Confidence.X"], confidences)
    np.testing.assert_array_equal(channels["ViewLayer.Nearest Photo.X"], main_photos)
    mist = mist_of(depths, alphas, camera, MistSettings(10, 50))
    np.testing.assert_allclose(channels["ViewLayer.Mist.Z"], mist, atol=1e-5)
    assert mist.min() == 0 and mist[:, camera.width // 2 :].max() > 0.5
    red = to_linear(picture(camera)[..., 0].astype(np.float32) / 255) * alphas  # nothing is left of the background
    np.testing.assert_allclose(channels["ViewLayer.Combined.R"], red, atol=1e-6)


@in_programs
def test_where_the_extension_is_missing_a_farm_that_names_the_engine_is_stopped(blender, tmp_path):
    """Without -E LVSM, Blender renders such a file by EEVEE and exits with 0: docs/farm.md."""
    blender.run("scene_file.py", tmp_path)
    for line in (["-b", tmp_path / "scene.blend", "-E", "LVSM"], ["-E", "LVSM", "-b", tmp_path / "scene.blend"]):
        done = blender.attempt([*blender.command, "--factory-startup", *line, "-o", tmp_path / "frame_####", "-f", "1"])
        assert done.returncode == 1 and "engine not found 'LVSM'" in done.stdout, done.stdout
    done = blender.attempt(
        [*blender.command, "--factory-startup", "-b", tmp_path / "scene.blend", "--command", "lvsm", "--out", tmp_path]
    )
    assert done.returncode == 1 and 'Unrecognized command: "lvsm"' in done.stdout, done.stdout
    assert not list(tmp_path.glob("frame_*"))


@in_programs
def test_the_engine_is_not_asked_for_passes_that_nobody_wants(blender, tmp_path):
    blender.run("scene_file.py", tmp_path)
    env = fake_environment(tmp_path, record=tmp_path / "record")
    command = [*blender.command, "-b", tmp_path / "scene.blend", "-o", tmp_path / "frame_####", "-E", "LVSM", "-f", "1"]
    blender.execute(command, env)
    assert json.loads((tmp_path / "record").read_text())["main_photos"] is False


@in_programs
def test_two_machines_with_placeholders_share_the_frames_of_a_folder(blender, tmp_path):
    """As a farm starts them: chunks with a step, and twice the same frames at once; what is there is left alone."""
    blender.run("scene_file.py", tmp_path)
    env = fake_environment(tmp_path, record=tmp_path / "record")
    placeholders = "import bpy; r = bpy.context.scene.render; r.use_placeholder, r.use_overwrite = True, False"
    command = [*blender.command, "-b", tmp_path / "scene.blend", "--python-expr", placeholders]
    command += ["-o", tmp_path / "frame_####", "-E", "LVSM"]
    (tmp_path / "frame_0005.png").write_bytes(b"there before")
    blender.execute([*command, "-s", "1", "-e", "9", "-j", "2", "-a"], env)
    assert [frame for frame in range(1, 10) if (tmp_path / f"frame_{frame:04}.png").exists()] == [1, 3, 5, 7, 9]
    assert len((tmp_path / "record").read_text().splitlines()) == 4
    with ThreadPoolExecutor() as machines:
        both = [machines.submit(blender.attempt, [*command, "-s", "1", "-e", "9", "-a"], env) for _ in "AB"]
    for done in both:
        assert done.result().returncode == 0, done.result().stdout
    assert (tmp_path / "frame_0005.png").read_bytes() == b"there before"
    requests = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    cameras = [camera_from_fields(request["cameras"][0]) for request in requests]
    seen_from = {round(float(camera.position[0]), 3): picture(camera) for camera in cameras}
    assert len(requests) >= 8  # of machines that look at the same moment, both may make a frame
    for number in (1, 2, 3, 4, 6, 7, 8, 9):
        pixels = np.asarray(Image.open(tmp_path / f"frame_{number:04}.png"))[..., :3]
        assert np.array_equal(pixels, seen_from[{1: 0.5, 2: 1.5}.get(number, 2.5)]), number
    assert sorted(path.name for path in tmp_path.glob("frame_*")) == [f"frame_{n:04}.png" for n in range(1, 10)]


@in_programs
@pytest.mark.parametrize(
    ("settings", "scene", "words"),
    [
        ({"fault": "fail"}, ["3"], "too little memory"),
        ({"fault": "die"}, ["3"], "ended with status 3"),
        ({}, ["0"], "No camera has a photo"),
        ({}, ["3", "ORTHO"], "Target is orthographic: make it a perspective camera"),
        ({}, ["3", "PANO"], "Target is panoramic: make it a perspective camera"),
    ],
)
def test_a_failure_exits_with_1_says_a_sentence_and_writes_no_file(blender, tmp_path, settings, scene, words):
    blender.run("scene_file.py", tmp_path, *scene)
    command = [*blender.command, "-b", tmp_path / "scene.blend", "-o", tmp_path / "frame_####", "-E", "LVSM", "-f", "1"]
    done = blender.attempt(command, fake_environment(tmp_path, **settings))
    assert done.returncode == 1 and words in done.stdout, done.stdout
    assert "Traceback" not in done.stdout
    assert not list(tmp_path.glob("frame_*"))
