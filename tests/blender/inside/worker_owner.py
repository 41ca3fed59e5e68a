"""The engine's process: one a Blender, on demand, another when the Python changes, none after the add-on."""

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

import addon_utils
import bpy
import stage

TRIES = 10

folder = Path(sys.argv[1])
scene = stage.build(folder)


def owner():
    """As the add-on has it now: it comes and goes."""
    return stage.addon("engine.worker_owner")


def synthesize():
    """Use the worker; the number of its process."""
    bpy.ops.lvsm.synthesize_view()
    return owner().worker.client().hello["process"]


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def waits_for_its_end(process):
    stage.wait_until(lambda: not is_alive(process))


@contextlib.contextmanager
def another_python():
    """A copy of the Python that is set, set in its place."""
    before = os.environ["LVSM_PYTHON"]
    copy = shutil.copy(before, folder / f"python {len(list(folder.iterdir()))}")
    os.environ["LVSM_PYTHON"] = str(copy)
    yield
    os.environ["LVSM_PYTHON"] = before


def comes_before_the_end_of_a_hung_process(call):
    """Whether a call returns while the process that it replaces, which is hung, has yet to be killed."""
    process = synthesize()
    os.kill(process, signal.SIGSTOP)
    call()
    came_before = is_alive(process)
    waits_for_its_end(process)
    return came_before


def does_not_wait_for_a_hung_process(call):
    """The process is killed after some seconds, in which a busy machine may stand still: a call that waits never comes
    before, one that does not wait comes before nearly always."""
    return any(comes_before_the_end_of_a_hung_process(call) for _ in range(TRIES))


def test_it_starts_with_the_first_request_and_serves_the_next():
    worker = owner().worker
    assert worker.state == "stopped" and worker.device_name == ""
    first = synthesize()
    assert worker.state == "ready" and worker.device_name == "Fake CPU"
    assert synthesize() == first


def test_another_python_is_another_process_and_the_old_one_ends():
    first = synthesize()
    with another_python():
        assert synthesize() != first
        waits_for_its_end(first)


def test_another_python_does_not_wait_for_the_old_process():
    def change_python():
        with another_python():
            owner().worker.client()

    assert does_not_wait_for_a_hung_process(change_python)


def test_restart_engine_does_not_wait_for_the_old_process():
    def restart():
        assert bpy.ops.lvsm.restart_engine() == {"FINISHED"}

    assert does_not_wait_for_a_hung_process(restart)
    assert synthesize()


def test_a_shut_down_process_has_ended_and_the_next_request_starts_another():
    first = synthesize()
    owner().worker.shutdown()
    assert owner().worker.state == "stopped" and not is_alive(first)
    assert synthesize() != first


def test_a_model_of_ones_own_is_asked_for_by_its_absolute_path():
    assert owner().model_file(scene) == "default"
    bpy.ops.lvsm.choose_model(filepath=str(folder / "my model.safetensors"))
    assert owner().model_file(scene) == str(folder / "my model.safetensors")
    scene.lvsm.model = ""


def test_progress_is_told_in_minutes_and_seconds_where_they_are_known():
    progress = type("Progress", (), {"stage": "Rendering", "seconds_left": 75.4})
    assert owner().progress_text(progress) == "Rendering, 1:15 left"
    progress.seconds_left = None
    assert owner().progress_text(progress) == "Rendering"


def test_without_the_add_on_there_is_no_process():
    process, module = synthesize(), stage.addon("preferences").ADDON
    addon_utils.disable(module, default_set=False)
    waits_for_its_end(process)
    addon_utils.enable(module, default_set=False)
    assert synthesize() != process


def test_a_process_is_left_to_the_end_of_blender():
    """test_worker_owner.py looks whether it outlives Blender."""
    print(f"left process {synthesize()}")
