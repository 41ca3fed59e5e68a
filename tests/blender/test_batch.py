"""batch.py, as a farm calls it: files, report and exit status."""

import json

import numpy as np
import pytest
from PIL import Image

from lvsm_engine.worker.messages import camera_from_fields
from tests.shared_data import ROOT

from .fake_engine import fake_environment, in_programs
from .inside.fake_picture import picture

BATCH = ROOT / "blender_addon" / "batch.py"


def pixels(path):
    return np.asarray(Image.open(path))


def batch(blender, folder, *options, env, enabled=True, first="pass"):
    """Run batch.py on folder/scene.blend; enabled: with the installed extension, else with none. first: Python."""
    factory = [] if enabled else ["--factory-startup"]
    scripts = ["--python-expr", first, "--python", BATCH, "--", *options]
    return blender.attempt([*blender.command, *factory, "-b", folder / "scene.blend", *scripts], env)


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
    report = json.loads((folder / "report").read_text())
    assert [entry["file"] for entry in report["files"]] == [str(folder / "out" / name) for name in names]
    assert (report["model"], report["device"], report["error"]) == ("fake", "cpu", None)


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
def test_wrong_arguments_exit_with_2_and_help_with_0(blender, folder):
    for options in (
        ["--out"],
        ["--out", "x", "--size", "big"],
        ["--out", "x", "--frames", "9-1"],
        ["--out", "x", "--frames", "1-9x0"],
    ):
        assert batch(blender, folder, *options, env={}).returncode == 2
    done = batch(blender, folder, "--help", env={})
    assert done.returncode == 0 and "--report" in done.stdout and "Exit status" in done.stdout
