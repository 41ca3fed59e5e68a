"""Objects in the photo in a window: its renders go on beside it, and what is added meanwhile is followed."""

import sys
from pathlib import Path

import bpy
import numpy as np
import stage
import window_steps as ui

folder = Path(sys.argv[1])
stage.addon("compositing.cg_in_photo")


def build():
    yield from ui.until(lambda: not bpy.app.is_job_running("RENDER"))
    scene = stage.build(folder)
    yield from ui.view_is_drawn()
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
    scene.render.image_settings.file_format = "PNG"
    bpy.context.preferences.view.render_display_type = "NONE"
    bpy.ops.lvsm.use_exact_colors()
    bpy.ops.ed.undo_push(message="before")
    yield 0.5
    with ui.in_view():
        assert bpy.ops.lvsm.set_up_cg("INVOKE_DEFAULT", True) == {"FINISHED"}
    yield 0.5


def rendered(name):
    """Render in steps, as F12 does; then the file is there."""
    bpy.context.scene.render.filepath = str(folder / f"{name}.png")
    with ui.in_view():
        bpy.ops.render.render("INVOKE_DEFAULT", write_still=True)
    yield from ui.until(lambda: not bpy.app.is_job_running("RENDER"))


def test_a_render_is_the_synthesized_picture_and_what_stands_before_it():
    yield from build()
    yield from rendered("empty")
    picture = stage.fake_picture(bpy.context.scene.camera)
    assert np.abs(stage.file_bytes(folder / "empty.png").astype(int) - picture).max() <= 1
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0.5, 0, 2))
    yield from rendered("cube")
    assert not np.array_equal(stage.file_bytes(folder / "cube.png"), stage.file_bytes(folder / "empty.png"))


def test_a_camera_that_is_added_and_chosen_is_followed():
    yield from build()
    bpy.context.scene.camera = stage.add_camera("Other", (1, -5, 1))
    yield from ui.until(lambda: "Other" in bpy.context.scene.lvsm_cg.photo_scene.objects)
    yield from rendered("other")
    picture = stage.fake_picture(bpy.context.scene.camera)
    assert np.abs(stage.file_bytes(folder / "other.png").astype(int) - picture).max() <= 1


def test_one_undo_takes_it_all_away():
    yield from build()
    assert len(bpy.data.scenes) == 2
    with ui.in_view():
        bpy.ops.ed.undo()
    yield 0.5
    assert len(bpy.data.scenes) == 1 and not bpy.context.scene.render.film_transparent
    with ui.in_view():
        bpy.ops.ed.redo()
    yield 0.5
    yield from rendered("redone")
    assert len(bpy.data.scenes) == 2
