"""The list of photos in a window: it is drawn, and the eye looks through a camera and back."""

import tempfile
from pathlib import Path

import bpy
import stage
import window_steps as ui

folder = Path(tempfile.mkdtemp())


def build():
    ui.close_other_windows()
    yield 0.5
    stage.build(folder)
    yield from ui.view_is_drawn()


def look_through(name):
    with ui.in_view():
        assert bpy.ops.lvsm.look_through(camera_name=name) == {"FINISHED"}


def seen():
    """What the view looks through, or None."""
    space = ui.view_area().spaces.active
    return space.camera.name if space.region_3d.view_perspective == "CAMERA" else None


def test_the_eye_selects_a_camera_looks_through_it_and_leaves_it_again():
    yield from build()
    scene = bpy.context.scene
    look_through("View 1")
    assert seen() == "View 1" and scene.camera.name == "Target"
    assert bpy.context.view_layer.objects.active.name == "View 1"
    look_through("View 2")
    assert seen() == "View 2"
    look_through("View 2")
    assert seen() is None
    look_through("Target")
    assert seen() == "Target" and not ui.view_area().spaces.active.use_local_camera


def test_the_list_is_drawn_in_every_order():
    yield from build()
    yield from ui.show_tab()
    for order in ("NAME", "ANGLE", "PSNR"):
        bpy.context.scene.lvsm.photo_order = order
        ui.view_area().tag_redraw()
        yield 1
