"""preferences.py FOLDER PYTHON: the Python that runs the engine, chosen by hand or by the environment."""

import contextlib
import os
import sys
import tempfile
import threading
from pathlib import Path

import bpy
import stage

folder = Path(sys.argv[1])
(folder / "bin").mkdir(parents=True)
python = folder / "bin" / "python"
python.symlink_to(Path(sys.argv[2]))

preferences, errors = stage.addon("preferences"), stage.addon("bundled.lvsm_engine.errors")
last_outcome = stage.addon("last_outcome").last_outcome
settings = bpy.context.preferences.addons[preferences.ADDON].preferences


def build(environment=None):
    """No Python chosen by hand, and none or this one by the environment."""
    settings.python, settings.device = "", "auto"
    os.environ.pop("LVSM_PYTHON", None)
    if environment is not None:
        os.environ["LVSM_PYTHON"] = environment


@contextlib.contextmanager
def console():
    """What is written to stderr within the block, by Blender itself too: a list that gets it at the block's end."""
    said, kept = [], os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            said.append(file.read().decode(errors="replace"))


def refusal():
    try:
        preferences.python_path()
    except errors.WorkerError as error:
        return error
    raise AssertionError("there is no Python to run the engine")


def test_without_a_python_the_way_out_is_to_choose_one():
    build()
    assert refusal().remedy == errors.CHOOSE_PYTHON


def test_the_environment_goes_before_what_was_chosen():
    build("from the environment")
    assert preferences.python_path() == "from the environment"
    settings.python = str(folder / "chosen")
    assert preferences.python_path() == "from the environment"
    os.environ.pop("LVSM_PYTHON")
    assert preferences.python_path() == str(folder / "chosen")


def test_the_environment_names_the_device_and_the_model():
    build()
    settings.device = "cuda"
    os.environ["LVSM_DEVICE"], os.environ["LVSM_MODEL"] = "cpu", "default"
    try:
        assert (
            preferences.device() == "cpu"
            and stage.addon("engine.worker_owner").model_file(bpy.context.scene) == "default"
        )
        os.environ["LVSM_DEVICE"] = "toaster"
        try:
            preferences.device()
            raise AssertionError("nothing was refused")
        except errors.WorkerError as error:
            assert str(error) == "LVSM_DEVICE is toaster: set it to auto, cuda or cpu."
    finally:
        del os.environ["LVSM_DEVICE"], os.environ["LVSM_MODEL"]
    assert preferences.device() == "cuda"


def test_a_virtual_environments_folder_stands_for_its_python_which_stays_a_link():
    for chosen in (folder, python):
        build()
        assert bpy.ops.lvsm.choose_python(filepath=str(chosen)) == {"FINISHED"}
        assert preferences.python_path() == str(python)


def test_choosing_a_python_does_what_the_panel_asked_for():
    build()
    last_outcome.keep(refusal())
    bpy.ops.lvsm.choose_python(filepath=str(python))
    assert last_outcome.error is None


def test_a_file_that_does_not_exist_is_not_chosen():
    build()
    bpy.ops.lvsm.choose_python(filepath=str(python))
    said = stage.refusal(lambda: bpy.ops.lvsm.choose_python(filepath=str(folder / "absent")))
    assert "absent is no program" in said
    assert preferences.python_path() == str(python)


def test_the_device_is_automatic_until_one_is_chosen():
    build()
    assert preferences.device() == "auto"
    settings.device = "cpu"
    assert preferences.device() == "cpu"


def test_another_thread_knows_what_was_set():
    """A render's must not read Blender's data."""
    build()
    settings.python, settings.device = str(python), "cpu"
    known = []
    thread = threading.Thread(target=lambda: known.extend((preferences.python_path(), preferences.device())))
    thread.start()
    thread.join()
    assert known == [str(python), "cpu"]


def test_setting_them_writes_nothing_to_the_console():
    build()
    with console() as said:
        settings.python, settings.device = str(python), "cpu"
    assert said == [""]
