"""Synthesize View and F12 in a window: steps that someone takes, and what goes wrong meanwhile."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import blf
import bpy
import numpy as np
import stage
import window_steps as ui

# Of the main thread's own work between two moments at which the window lives. It is 0.02; to decode a photo takes 0.3.
MAX_BUSY_SECONDS = 0.15

folder = Path(tempfile.mkdtemp())
synthesize, results, panel = (stage.addon(name) for name in ("rendering.synthesize", "scene.results", "window.panel"))
worker, last_outcome = stage.addon("engine.worker_owner").worker, stage.addon("last_outcome").last_outcome


def build():
    """A new scene in one window, with the render view opening nowhere unless asked for; in steps."""
    ui.close_other_windows()
    yield 0.5
    stage.build(folder)
    bpy.context.preferences.view.render_display_type = "NONE"
    yield from ui.view_is_drawn()
    push_undo("Built")


def push_undo(message):
    with ui.in_view():
        bpy.ops.ed.undo_push(message=message)


def undo():
    with ui.in_view():
        bpy.ops.ed.undo()


def press_button():
    with ui.in_view():
        assert bpy.ops.lvsm.synthesize_view("INVOKE_DEFAULT") == {"RUNNING_MODAL"}


def press_f12():
    bpy.context.scene.render.engine = "LVSM"
    with ui.in_view():
        bpy.ops.render.render("INVOKE_DEFAULT")


def idle():
    return synthesize.followed.job is None


def synthesized():
    """Press the button and see it through, in steps."""
    press_button()
    yield from ui.until(idle)


@contextlib.contextmanager
def held():
    """The engine answers no request within the block until the file that this gives exists: a new one each time."""
    go_on = Path(tempfile.mkdtemp(dir=folder)) / "go on"
    with stage.fake_worker(hold=go_on):
        yield go_on


def images():
    return {image.name for image in bpy.data.images if results.is_result(image)}


def test_the_button_returns_while_the_engine_works_and_there_is_one_at_a_time():
    yield from build()
    with held() as go_on:
        press_button()
        assert not idle() and not synthesize.followed.job.request.done
        assert not bpy.ops.lvsm.synthesize_view.poll()
        go_on.touch()
        yield from ui.until(idle)
    assert images() == {"LVSM Target"} and bpy.ops.lvsm.synthesize_view.poll()


def test_the_button_returns_though_the_engine_never_gets_ready():
    yield from build()
    with stage.fake_worker(fault="mute"):
        press_button()
        assert not idle() and worker.state == "starting"
        bpy.ops.lvsm.cancel()
        yield from ui.until(idle)


def test_a_result_opens_where_renders_do():
    yield from build()
    yield from ui.show_tab()
    bpy.context.preferences.view.render_display_type = "WINDOW"
    windows = bpy.context.window_manager.windows
    yield from synthesized()
    image = bpy.data.images["LVSM Target"]
    assert np.array_equal(stage.image_bytes(image), stage.fake_picture(bpy.context.scene.camera))
    yield from ui.until(lambda: len(windows) == 2 and windows[1].screen.areas[0].spaces.active.image == image)


def test_a_result_is_one_undo_step():
    yield from build()
    yield from synthesized()
    undo()
    assert images() == set() and "View 0" in bpy.data.objects
    assert not bpy.context.scene.camera.data.background_images
    yield 1
    with ui.in_view():
        bpy.ops.ed.redo()
    assert images() == {"LVSM Target"}


def test_sentences_are_wrapped_whatever_the_width():
    sentence = (
        "The engine's Python /home/ana/a/long/path/without/any/space/in/it/.venv/bin/python is missing: choose one."
    )
    scale = bpy.context.preferences.system.ui_scale
    for width in (130, 160, 250, 400, 2000):
        lines = panel.wrapped(sentence, width)
        assert "".join(lines).replace(" ", "") == sentence.replace(" ", "")
        assert 0 < max(blf.dimensions(panel.UI_FONT, line)[0] for line in lines) <= width - panel.MARGIN * scale
    assert panel.wrapped(sentence, 2000) == (sentence,)
    assert len(panel.wrapped(sentence, 10)) > 50, "it ends, however narrow"


def cancelled(cancel):
    """Cancel in one way while the engine works, which would go on for ever; in steps."""
    yield from build()
    with held():
        press_button()
        yield from ui.until(lambda: worker.state == "busy")
        cancel()
        yield from ui.until(idle)
        yield from ui.until(lambda: worker.state == "ready")
    assert images() == set() and last_outcome.error is None


def test_escape_cancels():
    yield from cancelled(lambda: ui.press("Escape"))


def test_the_button_beside_the_progress_cancels():
    yield from cancelled(lambda: bpy.ops.lvsm.cancel())


def test_an_undo_may_come_between():
    yield from build()
    bpy.context.scene.frame_end = 99
    push_undo("A change")
    with held() as go_on:
        press_button()
        yield 0.5
        undo()
        assert not idle()
        go_on.touch()
        yield from ui.until(idle)
    assert images() == {"LVSM Target"} and bpy.context.scene.frame_end != 99


def test_the_picture_of_a_camera_that_is_deleted_meanwhile_is_kept():
    yield from build()
    with held() as go_on:
        press_button()
        yield 0.5
        bpy.data.objects.remove(bpy.context.scene.camera)
        assert not idle()
        go_on.touch()
        yield from ui.until(idle)
    assert images() == {"LVSM Target"}


def test_loading_a_file_cancels():
    yield from build()
    with held():
        press_button()
        yield from ui.until(lambda: worker.state == "busy")
        yield from build()
        yield from ui.until(idle)
        assert images() == set()
        yield from ui.until(lambda: worker.state == "ready")


def test_an_engine_that_dies_is_said_so_and_the_next_attempt_works():
    yield from build()
    with stage.fake_worker(fault="die"):
        yield from synthesized()
        yield 1.5  # the panel draws it
        assert "ended with status 3" in str(last_outcome.error) and images() == set()
    yield from synthesized()
    assert last_outcome.error is None and images() == {"LVSM Target"}


def test_escape_ends_f12():
    yield from build()
    bpy.context.preferences.view.render_display_type = "WINDOW"
    with held():
        press_f12()
        yield from ui.until(lambda: worker.state == "busy")
        yield 1  # its window opens
        assert bpy.app.is_job_running("RENDER")
        ui.press("Escape")
        yield from ui.until(lambda: not bpy.app.is_job_running("RENDER"))
        assert last_outcome.error is None


def test_the_panel_hears_of_what_happens_without_blender():
    """After F12, and when an engine that waits dies: nobody presses anything."""
    yield from build()
    yield from ui.show_tab()
    with held() as go_on:
        press_f12()
        yield from ui.until(lambda: panel._seen and panel._seen[0] == "busy")
        go_on.touch()
        yield from ui.until(lambda: not bpy.app.is_job_running("RENDER"))
        yield from ui.until(lambda: panel._seen[0] == "ready")
        os.kill(worker.client().hello["process"], signal.SIGKILL)
        yield from ui.until(lambda: panel._seen[0] == "failed")


def test_f12_with_an_engine_that_fails_keeps_its_sentence():
    yield from build()
    bpy.context.preferences.view.render_display_type = "WINDOW"
    with stage.fake_worker(fault="fail"):
        press_f12()
        yield from ui.until(lambda: last_outcome.error is not None)
        yield 1.5  # the panel draws it
        assert "too little memory" in str(last_outcome.error)
        yield from ui.until(lambda: not bpy.app.is_job_running("RENDER"))


def large_photos():
    """Eight photos of 24 megapixels, never opened, whose cameras have no calibration; two of them are packed."""
    image = bpy.data.images.new("Large", 6000, 4000)
    image.generated_type = "COLOR_GRID"
    image.file_format = "JPEG"
    image.filepath_raw = str(folder / "large.jpg")
    image.save()
    bpy.data.images.remove(image)
    for number in range(8):
        path = str(shutil.copy(folder / "large.jpg", folder / f"large {number}.jpg"))
        camera_object = stage.add_camera(f"Large {number}", (number, -5, 1))
        camera_object.data.lvsm.photo = photo = bpy.data.images.load(path)
        if number < 2:
            photo.pack()
        assert not photo.has_data


def no_3d_views():
    """Give the window nothing that takes long to draw without a graphics card."""
    for area in ui.window().screen.areas:
        area.type = "TEXT_EDITOR"


@contextlib.contextmanager
def pulse():
    """Beats at which the window lives, while the block runs: how many seconds the main thread itself worked in between.

    In the thread's own time, whatever else the machine does; that it does not wait is for a held engine to show.
    """
    busy_seconds, last = [], time.thread_time()

    def beat():
        nonlocal last
        now = time.thread_time()
        busy_seconds.append(now - last)
        last = now
        return 0.005

    bpy.app.timers.register(beat, persistent=True)
    try:
        yield busy_seconds
    finally:
        bpy.app.timers.unregister(beat)


def test_the_window_lives_from_the_button_to_a_full_hd_picture_of_large_photos():
    yield from build()
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = 1920, 1080
    large_photos()
    yield 1
    with held() as go_on, pulse() as busy_seconds:
        press_button()
        no_3d_views()
        yield from ui.until(lambda: worker.state == "busy")
        beats = len(busy_seconds)
        yield from ui.until(lambda: len(busy_seconds) > beats + 50)
        assert not idle()
        go_on.touch()
        yield from ui.until(idle)
        print("most work between two beats, ms:", [round(1000 * seconds) for seconds in sorted(busy_seconds)[-3:]])
        assert max(busy_seconds) < MAX_BUSY_SECONDS
    assert not any(image.has_data for image in bpy.data.images if image.name.startswith("large")), "a photo was opened"
    assert images() == {"LVSM Target"}


def test_an_answer_without_a_picture_frees_the_button():
    """An engine that answers nonsense: the panel says so, and the next attempt works."""
    yield from build()
    with stage.fake_worker(fault="empty"):
        yield from synthesized()
        yield 1
        assert images() == set()
    yield from synthesized()
    assert images() == {"LVSM Target"}
