"""The target's frame in a 3D view: its colour is there while it is wanted, and follows the camera."""

import subprocess
import tempfile
from pathlib import Path

import bpy
import numpy as np
import stage
import window_steps as ui

folder = Path(tempfile.mkdtemp())
trust_overlay = stage.addon("window.trust_overlay")
GREEN, AMBER, RED = trust_overlay.COLORS.values()


def build():
    """A target that sees what three photos show, seen from behind."""
    ui.close_other_windows()
    yield 0.5
    scene = stage.build(folder)
    scene.camera.data.display_size = 1.0
    scene.camera.rotation_euler = (1.3, 0, 0)
    yield from ui.view_is_drawn()
    view = ui.view_area().spaces.active
    view.region_3d.view_perspective = "PERSP"
    view.region_3d.view_location, view.region_3d.view_distance = (0.5, -3, 1), 12


def pixels_of(color):
    """How many pixels of the screen have a colour, about."""
    path = folder / "screen.png"
    subprocess.run(["scrot", "-o", path], check=True)
    image = bpy.data.images.load(str(path), check_existing=False)
    values = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    area = ui.view_area()
    shown = values.reshape(ui.window().height, -1, 4)[area.y : area.y + area.height, area.x : area.x + area.width, :3]
    return int((np.abs(shown - np.array(color[:3])).max(axis=-1) < 0.04).sum())


def redrawn():
    ui.view_area().tag_redraw()
    yield 2


def test_the_frame_is_green_where_photos_tell_and_red_where_none_does():
    yield from build()
    yield from redrawn()
    assert pixels_of(GREEN) > 100 and pixels_of(RED) < 20
    bpy.context.scene.camera.rotation_euler = (1.3, 0, 3.1)
    yield from redrawn()
    assert pixels_of(RED) > 100 and pixels_of(GREEN) < 20


def test_the_frame_is_not_drawn_where_nobody_wants_it():
    yield from build()
    scene, overlay = bpy.context.scene, ui.view_area().spaces.active.overlay
    scene.lvsm.show_trust = False
    yield from redrawn()
    assert pixels_of(GREEN) < 20
    scene.lvsm.show_trust, overlay.show_overlays = True, False
    yield from redrawn()
    assert pixels_of(GREEN) < 20
    overlay.show_overlays = True


def test_without_photos_nothing_is_told():
    yield from build()
    for camera in bpy.data.cameras:
        camera.lvsm.photo = None
    yield from redrawn()
    assert pixels_of(GREEN) + pixels_of(RED) + pixels_of(AMBER) < 60
