"""Animations in a window: Blender's own render goes on beside it, and the scene is as it was whatever ends it."""

import sys
from pathlib import Path

import bpy
import stage
import window_steps as ui

folder = Path(sys.argv[1])
animation = stage.addon("compositing.animation")


def build(name):
    yield from ui.until(lambda: not bpy.app.is_job_running("RENDER"))
    scene = stage.build(folder)
    yield from ui.view_is_drawn()
    scene.render.engine = "CYCLES"
    scene.render.image_settings.file_format = "PNG"
    scene.frame_start, scene.frame_end = 1, 3
    scene.render.filepath = str(folder / f"{name}_####.png")
    scene.lvsm.target_camera = stage.add_camera("Chosen", (0, -6, 1))
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / f"{name}.blend"))
    bpy.context.preferences.view.render_display_type = "NONE"
    yield 0.5


def begin():
    with ui.in_view():
        assert bpy.ops.lvsm.render_animation("INVOKE_DEFAULT") == {"FINISHED"}
    assert bpy.context.scene.render.engine == "LVSM" and bpy.context.scene.camera.name == "Chosen"


def is_as_it_was():
    scene = bpy.context.scene
    return scene.render.engine == "CYCLES" and scene.camera.name == "Target" and scene.render.use_overwrite


def test_all_frames_are_written_and_then_the_scene_is_as_it_was():
    yield from build("all")
    begin()
    yield from ui.until(is_as_it_was)
    assert [(folder / f"all_{frame:04}.png").is_file() for frame in (1, 2, 3)] == [True] * 3
    assert not bpy.app.is_job_running("RENDER") and not bpy.app.timers.is_registered(animation.set_back_when_done)


def test_escape_ends_it_with_all_as_it_was():
    yield from build("escaped")
    with stage.fake_worker(hold=folder / "never"):
        begin()
        yield 1.5
        assert "A render is running" in animation.obstacle(bpy.context.scene)
        ui.press("Escape")
        yield from ui.until(is_as_it_was)
    assert not (folder / "escaped_0001.png").exists()


def test_a_failure_is_followed_by_all_as_it_was():
    yield from build("failed")
    with stage.fake_worker(fault="fail"):
        begin()
        yield from ui.until(is_as_it_was)
    assert "too little memory" in str(stage.addon("last_outcome").last_outcome.error)


def test_a_file_that_is_loaded_meanwhile_is_as_it_was_saved():
    yield from build("loaded")
    with stage.fake_worker(hold=folder / "never"):
        begin()
        yield 1
        bpy.ops.wm.open_mainfile(filepath=str(folder / "loaded.blend"))
        yield from ui.view_is_drawn()
        yield 1
    assert is_as_it_was() and not bpy.app.is_job_running("RENDER")
