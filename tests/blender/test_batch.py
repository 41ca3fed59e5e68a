"""batch.py, as a farm calls it: files, report and exit status."""

import json

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from lvsm_engine.scene.srgb import to_linear
from lvsm_engine.worker.messages import camera_from_fields
from tests.shared_data import ROOT

from .fake_engine import fake_environment, in_programs
from .inside.fake_picture import passes_of, picture

BATCH = ROOT / "blender_addon" / "batch.py"


def pixels(path):
    return np.asarray(Image.open(path))


def texts_of(path):
    """What a PNG file tells beside its picture."""
    with Image.open(path) as image:
        return dict(image.text)


def batch(blender, folder, *options, env, enabled=True, first="pass"):
    """Run batch.py on folder/scene.blend; enabled: with the installed extension, else with none. first: Python."""
    factory = [] if enabled else ["--factory-startup"]
    scripts = ["--python-expr", first, "--python", BATCH, "--", *options]
    return blender.attempt([*blender.command, *factory, "-b", folder / "scene.blend", *scripts], env)


def command(blender, folder, *options, env):
    """The same by Blender's own command line, with the installed extension."""
    return blender.attempt([*blender.command, "-b", folder / "scene.blend", "--command", "lvsm", *options], env)


@pytest.fixture
def folder(blender, tmp_path):
    folder = tmp_path / "Jos\u00e9 \u0434 a b"
    folder.mkdir()
    blender.run("scene_file.py", folder)
    return folder


@in_programs
@pytest.mark.parametrize("enabled", [True, False])
def test_cameras_and_frames_become_whole_files_and_a_report(blender, folder, enabled):
    env = fake_environment(folder, record=folder / "record")
    options = ["--cameras", "Target,View 1", "--out", folder / "out", "--frames", "1-2", "--report", folder / "report"]
    done = batch(blender, folder, *options, env=env, enabled=enabled)
    assert done.returncode == 0, done.stdout
    names = ["Target_0001.png", "View 1_0001.png", "Target_0002.png", "View 1_0002.png"]
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted(names)
    requests = [json.loads(line) for line in (folder / "record").read_text().splitlines()]
    cameras = [camera_from_fields(fields) for request in requests for fields in request["cameras"]]
    for name, camera in zip(names, cameras, strict=True):
        assert np.array_equal(pixels(folder / "out" / name), picture(camera))
        assert texts_of(folder / "out" / name) == {
            "LVSM model": "fake",
            "LVSM model sha256": "cd" * 32,
            "LVSM licence": "CC0",
        }
    report = json.loads((folder / "report").read_text())
    assert [entry["file"] for entry in report["files"]] == [str(folder / "out" / name) for name in names]
    assert (report["model"], report["device"], report["error"]) == ("fake", "cpu", None)
    assert (report["model_sha256"], report["licence"]) == ("cd" * 32, "CC0")


@in_programs
def test_files_that_are_there_are_left_and_frames_are_lists_with_steps(blender, folder):
    env = fake_environment(folder, record=folder / "record")
    (folder / "out").mkdir()
    (folder / "out" / "Target_0003.png").write_bytes(b"there before")
    options = ["--out", folder / "out", "--frames", "9,1-5x2", "--skip-existing", "--report", folder / "report"]
    done = batch(blender, folder, *options, env=env)
    assert done.returncode == 0, done.stdout
    assert (folder / "out" / "Target_0003.png").read_bytes() == b"there before"
    frames = [entry["frame"] for entry in json.loads((folder / "report").read_text())["files"]]
    assert frames == [9, 1, 5] and len((folder / "record").read_text().splitlines()) == 3


@in_programs
def test_the_environment_names_the_model_and_the_command_goes_before_it(blender, folder):
    env = {**fake_environment(folder, record=folder / "record"), "LVSM_MODEL": "farm.safetensors"}
    for options in ([], ["--model", "default"]):
        assert batch(blender, folder, "--out", folder / "out", *options, env=env).returncode == 0
    models = [json.loads(line)["model"] for line in (folder / "record").read_text().splitlines()]
    assert models[0].endswith("farm.safetensors") and models[1] == "default"


@in_programs
def test_the_target_camera_and_a_size_of_choice_are_used(blender, folder):
    env = fake_environment(folder, record=folder / "record")
    done = batch(blender, folder, "--out", folder, "--size", "40x30", "--model", folder / "my.safetensors", env=env)
    assert done.returncode == 0, done.stdout
    assert pixels(folder / "Target.png").shape == (30, 40, 3)
    assert json.loads((folder / "record").read_text())["model"] == str(folder / "my.safetensors")


@in_programs
def test_the_default_model_can_be_asked_for_by_its_name(blender, folder):
    env = fake_environment(folder, record=folder / "record")
    done = batch(blender, folder, "--out", folder, "--model", "default", env=env)
    assert done.returncode == 0, done.stdout
    assert json.loads((folder / "record").read_text())["model"] == "default"


@in_programs
def test_detail_from_the_photos_is_asked_for_unless_it_is_switched_off(blender, folder):
    env = fake_environment(folder, record=folder / "record")
    for options in ([], ["--no-detail"]):
        assert batch(blender, folder, "--out", folder, *options, env=env).returncode == 0
    asked = [json.loads(line)["detail"] for line in (folder / "record").read_text().splitlines()]
    assert asked == [True, False]


@in_programs
@pytest.mark.parametrize(
    ("options", "settings", "words"),
    [
        (["--cameras", "Target,Nobody"], {}, "no camera named Nobody: choose from Target, View 0"),
        (["--cameras", "Target,Target"], {}, "would write the same file"),
        (["--cameras", "View 0,VIEW 0"], {}, "would write the same file"),  # in Windows and macOS
        ([], {"fault": "die"}, "ended with status 3"),
    ],
)
def test_a_failure_exits_with_1_and_a_sentence_and_leaves_no_picture(blender, folder, options, settings, words):
    env = fake_environment(folder, **settings)
    done = batch(blender, folder, *options, "--out", folder / "out", "--report", folder / "report", env=env)
    assert done.returncode == 1 and words in done.stdout and "Traceback" not in done.stdout, done.stdout
    assert words in json.loads((folder / "report").read_text())["error"]
    assert not (folder / "out").exists()


@in_programs
def test_a_bug_exits_with_1_and_is_reported_too(blender, folder):
    """Another add-on that breaks numpy stands for it: nothing foresees that."""
    options = ["--out", folder / "out", "--report", folder / "report"]
    done = batch(blender, folder, *options, env=fake_environment(folder), first="import numpy; numpy.rint = None")
    assert done.returncode == 1 and "TypeError: 'NoneType' object is not callable" in done.stdout, done.stdout
    assert "LVSM has a bug (TypeError" in json.loads((folder / "report").read_text())["error"]
    assert not (folder / "out").exists()


@in_programs
def test_a_full_disk_is_said_and_leaves_no_half_file(blender, folder):
    """A file size limit stands for the full disk: the picture does not fit."""
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))"
    )
    options = ["--out", folder / "out", "--report", folder / "report", "--size", "320x240"]
    done = batch(blender, folder, *options, env=fake_environment(folder), first=limit)
    assert done.returncode == 1 and "Target.png cannot be written (File too large)" in done.stdout, done.stdout
    assert "Traceback" not in done.stdout
    assert "cannot be written" in json.loads((folder / "report").read_text())["error"]
    assert list((folder / "out").iterdir()) == []


@in_programs
def test_photos_cameras_and_pythons_that_are_not_there_are_named(blender, folder):
    env = fake_environment(folder)
    (folder / "photo 1.png").unlink()
    done = batch(blender, folder, "--out", folder / "out", env=env)
    assert done.returncode == 1 and "photo 1.png" in done.stdout and "View 1" in done.stdout, done.stdout
    done = batch(blender, folder, "--out", folder / "out", env={"LVSM_PYTHON": str(folder / "no python")})
    assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
    assert not (folder / "out").exists()


@in_programs
def test_what_cannot_be_written_is_said_and_nothing_is_left(blender, folder):
    (folder / "file").write_text("in the way")
    done = batch(blender, folder, "--out", folder / "file", env=fake_environment(folder))
    assert done.returncode == 1 and "cannot be written" in done.stdout and "Traceback" not in done.stdout, done.stdout
    assert not list(folder.rglob("*.part"))


@in_programs
def test_wrong_arguments_exit_with_2_and_help_with_0_in_either_way(blender, folder):
    for way in (batch, command):
        done = way(blender, folder, "--out", "x", "--size", "big", env={})
        assert done.returncode == 2 and "'big' is no size" in done.stdout, done.stdout
        done = way(blender, folder, "--help", env={})
        assert done.returncode == 0 and "--report" in done.stdout and "Exit status" in done.stdout, done.stdout


@in_programs
def test_blenders_own_command_does_the_same_as_the_script(blender, folder):
    env = fake_environment(folder)
    options = ["--cameras", "View 1", "--out", folder / "out", "--frames", "2", "--report", folder / "report"]
    done = command(blender, folder, *options, env=env)
    assert done.returncode == 0, done.stdout
    assert [path.name for path in (folder / "out").iterdir()] == ["View 1_0002.png"]
    assert json.loads((folder / "report").read_text())["scene"] == str(folder / "scene.blend")
    done = command(blender, folder, "--cameras", "Nobody", "--out", folder / "out", env=env)
    assert done.returncode == 1 and "no camera named Nobody" in done.stdout, done.stdout


@in_programs
def test_photos_device_and_names_are_of_choice(blender, folder):
    env = {**fake_environment(folder, record=folder / "record"), "LVSM_DEVICE": "cuda"}
    options = ["--photos", "View 2,View 0", "--device", "cpu", "--pattern", "{scene}/{camera}/{frame}"]
    first = "import bpy; bpy.data.cameras['View 2'].lvsm.use_as_input = False"  # who is named is used all the same
    done = batch(blender, folder, *options, "--out", folder / "out", env=env, first=first)
    assert done.returncode == 0, done.stdout
    assert (folder / "out" / "Scene" / "Target" / "0001.png").is_file()
    request = json.loads((folder / "record").read_text())
    assert [view["name"] for view in request["views"]] == ["View 0", "View 2"] and request["device"] == "cpu"
    done = batch(blender, folder, "--photos", "View 0,Target,Nobody", "--out", folder / "out", env=env)
    words = "no camera with a photo named Target, Nobody: choose from View 0, View 1, View 2."
    assert done.returncode == 1 and words in done.stdout, done.stdout


@in_programs
def test_a_placeholder_is_no_file_that_is_there(blender, folder):
    (folder / "out").mkdir()
    (folder / "out" / "Target.png").touch()
    options = ["--out", folder / "out", "--skip-existing", "--report", folder / "report"]
    for written, skipped in ((1, 0), (0, 1)):
        assert batch(blender, folder, *options, env=fake_environment(folder)).returncode == 0
        report = json.loads((folder / "report").read_text())
        assert (len(report["files"]), len(report["skipped"])) == (written, skipped)


@in_programs
def test_exr_files_hold_light_depth_and_confidence(blender, folder):
    """As the render engine writes them: the left half of the fake's pictures shows nothing."""
    env = fake_environment(folder, record=folder / "record")
    first = "import bpy; bpy.context.scene.render.film_transparent = True"
    done = batch(blender, folder, "--out", folder / "out", "--format", "exr", env=env, first=first)
    assert done.returncode == 0, done.stdout
    camera = camera_from_fields(json.loads((folder / "record").read_text())["cameras"][0])
    depths, confidences, alphas = passes_of(camera)[:3]
    with OpenEXR.File(str(folder / "out" / "Target.exr"), separate_channels=True) as file:
        channels = {name: channel.pixels.copy() for name, channel in file.channels().items()}
    assert set(channels) == {*"RGBA", "Depth.Z", "Confidence.X"}
    np.testing.assert_array_equal(channels["A"], alphas)
    np.testing.assert_array_equal(channels["Depth.Z"], np.where(alphas > 0, depths, np.float32(1e10)))
    np.testing.assert_array_equal(channels["Confidence.X"], confidences)
    light = to_linear(picture(camera).astype(np.float32) / 255) * alphas[..., None]
    np.testing.assert_allclose(np.dstack([channels[name] for name in "RGB"]), light, rtol=1e-3, atol=1e-6)
    assert read_by_blender(blender, folder / "out" / "Target.exr") == {"Combined", "Alpha", "Depth", "Confidence"}


PASSES_IN = """
import bpy, sys
tree = bpy.data.node_groups.new("tree", "CompositorNodeTree")
node = tree.nodes.new("CompositorNodeImage")
node.image = bpy.data.images.load(sys.argv[-1])
print("PASSES", ",".join(output.name for output in node.outputs if output.enabled))
"""


def read_by_blender(blender, path):
    """The names of the passes that Blender finds in a file of layers."""
    output = blender.execute([*blender.command, "-b", "--factory-startup", "--python-expr", PASSES_IN, "--", path])
    return set(output.partition("PASSES ")[2].splitlines()[0].split(","))


@in_programs
def test_jobs_share_one_engine_and_a_failing_one_does_not_stop_the_others(blender, folder):
    jobs = [
        {"cameras": ["View 1"], "frames": "2", "model": "default", "no-detail": True},
        {"cameras": ["Nobody"]},
        {"cameras": ["VIEW 1", "View 1"], "frames": "2"},
        {"pattern": "still"},
    ]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    env = fake_environment(folder, record=folder / "record")
    options = ["--jobs", folder / "jobs.json", "--out", folder / "out", "--report", folder / "report"]
    done = command(blender, folder, *options, env=env)
    assert done.returncode == 1 and "2 of 4 jobs failed: 2, 3." in done.stdout, done.stdout
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["View 1_0002.png", "still.png"]
    requests = [json.loads(line) for line in (folder / "record").read_text().splitlines()]
    assert len({request["process"] for request in requests}) == 1
    assert [request["detail"] for request in requests] == [False, True]  # what a job says is its own
    report = json.loads((folder / "report").read_text())
    assert report["error"] == "2 of 4 jobs failed: 2, 3."
    assert [len(job["files"]) for job in report["jobs"]] == [1, 0, 0, 1]
    assert "no camera named Nobody" in report["jobs"][1]["error"]
    assert "would write the same file" in report["jobs"][2]["error"]  # as a job before it
    assert report["jobs"][3]["files"][0]["frame"] == 1  # the scene's own, whatever was rendered before
