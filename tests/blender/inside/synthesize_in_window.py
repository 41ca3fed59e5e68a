"""Synthesize View and F12 in a window: steps that someone takes, and what goes wrong meanwhile."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import blf
import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import stage
import window_steps as ui

# A person would notice, and what blocks on purpose takes longer: a process that ends, a photo that is decoded.
LONGEST_PAUSE = 0.8  # seconds, where the machine does nothing else

folder = Path(tempfile.mkdtemp())
engine, synthesize, results = (stage.addon(name) for name in ("engine", "synthesize", "results"))


def idle():
    return synthesize.active is None


def start(seconds, fault=""):
    """Press the button, with an engine that takes so long."""
    engine.shutdown()
    os.environ["LVSM_FAKE_SECONDS"], os.environ["LVSM_FAKE_FAULT"] = str(seconds), fault
    with ui.in_view():
        began = time.perf_counter()
        assert bpy.ops.lvsm.synthesize_view("INVOKE_DEFAULT") == {"RUNNING_MODAL"}
        took = time.perf_counter() - began
    print(f"the button returned after {1000 * took:.1f} ms")
    assert took < LONGEST_PAUSE


def no_3d_views():
    """Give a window nothing that takes long to draw without a graphics card."""
    for area in ui.window().screen.areas:
        area.type = "TEXT_EDITOR"


def pauses_until(condition):
    """The pauses of the main thread until a condition holds, in seconds, the longest last; in steps."""
    gaps, last = [], time.perf_counter()

    def tick():
        nonlocal last
        gaps.append(time.perf_counter() - last)
        last += gaps[-1]
        return 0.005

    bpy.app.timers.register(tick)
    yield from ui.until(condition)
    bpy.app.timers.unregister(tick)
    return sorted(gaps)


def allowed_pause():
    """What an idle window on this machine, as busy as it is, makes of LONGEST_PAUSE, in seconds; in steps."""
    no_3d_views()
    yield 1
    end = time.perf_counter() + 1
    idle = yield from pauses_until(lambda: time.perf_counter() > end)
    print(f"longest pauses of an idle window, ms: {[round(1000 * gap) for gap in idle[-3:]]}")
    return LONGEST_PAUSE + 5 * idle[-1]


def built():
    """A new scene, with the render view opening nowhere unless asked for; in steps."""
    stage.build(folder)
    bpy.context.preferences.view.render_display_type = "NONE"
    yield 1  # a file that was just loaded has no regions yet
    push_undo("Built")


def push_undo(message):
    with ui.in_view():
        bpy.ops.ed.undo_push(message=message)


def images():
    return {image.name for image in bpy.data.images if results.is_result(image)}


def a_result_is_one_undo_step_and_opens_where_renders_do():
    yield from built()
    yield from ui.show_tab()
    bpy.context.preferences.view.render_display_type = "WINDOW"
    start(1)
    yield 0.5
    assert not bpy.ops.lvsm.synthesize_view.poll(), "one at a time"
    yield from ui.until(idle)
    yield 2
    image = bpy.data.images["LVSM Target"]
    assert np.array_equal(stage.image_bytes(image), stage.fake_picture(bpy.context.scene.camera))
    windows = bpy.context.window_manager.windows
    assert len(windows) == 2 and windows[1].screen.areas[0].spaces.active.image == image
    ui.close_other_windows()
    yield 1
    with ui.in_view():
        bpy.ops.ed.undo()
    assert images() == set() and "View 0" in bpy.data.objects
    assert not bpy.context.scene.camera.data.background_images
    yield 1
    with ui.in_view():
        bpy.ops.ed.redo()
    assert images() == {"LVSM Target"}


def sentences_are_wrapped_whatever_the_width():
    panel = stage.addon("panel")
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
    yield 0


def escape_and_the_button_cancel():
    for how in ("escape", "button"):
        yield from built()
        start(60)
        allowed = yield from allowed_pause()
        began = time.perf_counter()
        if how == "escape":
            ui.press("Escape")
        else:
            bpy.ops.lvsm.cancel()
        yield from ui.until(idle)
        took = time.perf_counter() - began
        print(f"cancelled by {how} after {took:.2f} s")
        assert took < allowed
        yield 0.5
        assert images() == set() and engine.failure is None and engine.state() == "ready"


def undo_deletion_and_loading_may_come_between():
    yield from built()
    bpy.context.scene.frame_end = 99
    push_undo("A change")
    start(3)
    yield 0.5
    with ui.in_view():
        bpy.ops.ed.undo()
    yield from ui.until(idle)
    assert images() == {"LVSM Target"} and bpy.context.scene.frame_end != 99
    start(2)
    yield 0.5
    bpy.data.objects.remove(bpy.context.scene.camera)
    yield from ui.until(idle)
    assert images() == {"LVSM Target", "LVSM Target.001"}, "the picture is kept without its camera"
    bpy.context.scene.camera = bpy.data.objects["View 0"]
    start(60)
    yield 0.5
    yield from built()
    yield 1
    assert idle() and images() == set() and engine.state() == "ready"


def an_engine_that_dies_is_said_so():
    yield from built()
    start(0.3, "die")
    yield from ui.until(idle)
    yield 1.5
    assert "ended with status 3" in str(engine.failure) and images() == set()
    start(0.1)
    yield from ui.until(idle)
    assert engine.failure is None and images() == {"LVSM Target"}


def f12_shows_progress_and_escape_ends_it():
    yield from built()
    scene = bpy.context.scene
    scene.render.engine = "LVSM"
    engine.shutdown()
    os.environ["LVSM_FAKE_SECONDS"] = "60"
    bpy.context.preferences.view.render_display_type = "WINDOW"
    with ui.in_view():
        bpy.ops.render.render("INVOKE_DEFAULT")
    yield from ui.until(lambda: engine.state() == "busy")
    allowed = yield from allowed_pause()
    assert bpy.app.is_job_running("RENDER")
    began = time.perf_counter()
    ui.press("Escape")
    yield from ui.until(lambda: not bpy.app.is_job_running("RENDER"))
    took = time.perf_counter() - began
    print(f"render cancelled after {took:.2f} s")
    assert took < allowed and engine.failure is None
    ui.close_other_windows()
    yield from built()
    bpy.context.scene.render.engine = "LVSM"
    engine.shutdown()
    os.environ["LVSM_FAKE_SECONDS"], os.environ["LVSM_FAKE_FAULT"] = "0.2", "fail"
    with ui.in_view():
        bpy.ops.render.render("INVOKE_DEFAULT")
    yield from ui.until(lambda: engine.failure is not None)
    yield 1.5
    ui.close_other_windows()
    yield 1


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


def the_window_lives_meanwhile():
    """The pauses of the main thread from the button to a full HD picture of large photos; drawing 3D views is left out."""
    yield from built()
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = 1920, 1080
    large_photos()
    yield 1
    start(6)
    allowed = yield from allowed_pause()
    assert not idle()
    gaps = yield from pauses_until(idle)
    print(f"longest pauses while synthesizing, ms: {[round(1000 * gap) for gap in gaps[-3:]]}")
    assert gaps[-1] < allowed
    assert not any(image.has_data for image in bpy.data.images if image.name.startswith("large")), "a photo was opened"
    assert images() == {"LVSM Target"}


def an_answer_without_a_picture_frees_the_button():
    """What no one foresaw: Blender prints the traceback, and the next attempt works."""
    yield from built()
    start(0.1, "empty")
    yield from ui.until(idle)
    yield 1
    assert images() == set()
    start(0.1)
    yield from ui.until(idle)
    assert images() == {"LVSM Target"}


def steps():
    for part in (
        a_result_is_one_undo_step_and_opens_where_renders_do,
        sentences_are_wrapped_whatever_the_width,
        escape_and_the_button_cancel,
        undo_deletion_and_loading_may_come_between,
        an_engine_that_dies_is_said_so,
        f12_shows_progress_and_escape_ends_it,
        the_window_lives_meanwhile,
        an_answer_without_a_picture_frees_the_button,
    ):
        print(part.__name__, flush=True)
        yield from part()
    engine.shutdown()
    print("window: passed", flush=True)


ui.run(steps())
