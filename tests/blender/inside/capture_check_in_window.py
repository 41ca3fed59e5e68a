"""Check Capture in a window: it goes on beside it, one job at a time, and Esc keeps what was found."""

import contextlib
import tempfile
from pathlib import Path

import bpy
import stage
import window_steps as ui

folder = Path(tempfile.mkdtemp())
capture_check, results = stage.addon("captures.capture_check"), stage.addon("scene.results")
followed = stage.addon("engine.followed_job").followed
worker, last_outcome = stage.addon("engine.worker_owner").worker, stage.addon("last_outcome").last_outcome


def build():
    ui.close_other_windows()
    yield 0.5
    stage.build(folder, views=4)
    bpy.context.preferences.view.render_display_type = "NONE"
    yield from ui.view_is_drawn()
    with ui.in_view():
        bpy.ops.ed.undo_push(message="Built")


def press_button():
    with ui.in_view():
        assert bpy.ops.lvsm.check_capture("INVOKE_DEFAULT") == {"RUNNING_MODAL"}


@contextlib.contextmanager
def held():
    go_on = Path(tempfile.mkdtemp(dir=folder)) / "go on"
    with stage.fake_worker(hold=go_on, psnrs='{"View 2": 9.5}'):
        yield go_on


def idle():
    return followed.job is None


def checked():
    return [item.name for item in bpy.data.objects if item.type == "CAMERA" and item.data.lvsm.checked.made_of]


def test_a_check_goes_on_beside_the_window_and_selects_the_worst():
    yield from build()
    yield from ui.show_tab()
    with held() as go_on:
        press_button()
        assert not idle()
        for operator in (bpy.ops.lvsm.check_capture, bpy.ops.lvsm.synthesize_view, bpy.ops.lvsm.export_capture):
            assert not operator.poll()
        yield 1  # the panel draws it
        go_on.touch()
        yield from ui.until(idle)
    assert len(checked()) == 4 and bpy.context.view_layer.objects.active.name == "View 2"
    yield 1
    with ui.in_view():
        bpy.ops.ed.undo()
    assert checked() == [], "it is one undo step"


def test_escape_keeps_what_was_found():
    yield from build()
    with held() as go_on:
        press_button()
        job = followed.job
        go_on.touch()
        yield from ui.until(lambda: job.done > 0)
        go_on.unlink()
        ui.press("Escape")
        yield from ui.until(idle)
        assert len(checked()) == job.done > 0 and last_outcome.error is None


def test_escape_before_the_first_leaves_all_as_it_was():
    yield from build()
    with held():
        press_button()
        yield from ui.until(lambda: worker.state == "busy")
        ui.press("Escape")
        yield from ui.until(idle)
    assert checked() == [] and last_outcome.error is None


def test_loading_a_file_cancels():
    yield from build()
    with held():
        press_button()
        yield from ui.until(lambda: worker.state == "busy")
        yield from build()
        yield from ui.until(idle)


def test_a_comparison_opens_in_an_image_editor():
    yield from build()
    with held() as go_on:
        go_on.touch()
        press_button()
        yield from ui.until(idle)
    bpy.context.preferences.view.render_display_type = "WINDOW"
    with ui.in_view():
        assert bpy.ops.lvsm.compare("INVOKE_DEFAULT") == {"FINISHED"}
    image, windows = bpy.data.images[capture_check.COMPARISON], bpy.context.window_manager.windows
    yield from ui.until(lambda: len(windows) == 2 and windows[1].screen.areas[0].spaces.active.image == image)
