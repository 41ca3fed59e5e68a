"""The gallery in a window: a camera where the view looks from."""

import tempfile
from pathlib import Path

import bpy
import numpy as np
import stage
import window_steps as ui

folder = Path(tempfile.mkdtemp())
scene_cameras, viewport, synthesize = (
    stage.addon(name) for name in ("scene.scene_cameras", "rendering.viewport", "rendering.synthesize")
)


def build():
    ui.close_other_windows()
    yield 0.5
    stage.build(folder)
    yield from ui.view_is_drawn()
    view_3d = ui.view_area().spaces.active.region_3d
    view_3d.view_perspective = "PERSP"
    view_3d.view_distance += 1.5
    yield from ui.view_is_drawn()


def test_the_new_camera_sees_what_the_view_sees_from_the_same_place():
    yield from build()
    area = ui.view_area()
    seen = viewport.camera_of_view(ui.region_of(area, "WINDOW"), area.spaces.active.region_3d)
    with ui.in_view():
        assert bpy.ops.lvsm.camera_from_view() == {"FINISHED"}
    scene = bpy.context.scene
    made = scene.lvsm.target_camera
    assert made.name == "View"
    bpy.context.view_layer.update()
    camera = scene_cameras.camera_from_blender(made, bpy.context.evaluated_depsgraph_get())
    assert np.allclose(camera.camera_to_world, seen.camera_to_world, atol=1e-5)
    wanted = synthesize.framed(seen, *stage.SIZE)
    assert np.allclose(camera.fxfycxcy, wanted.fxfycxcy, rtol=1e-4, atol=1e-2)
    # As wide as the view or as high as it, and no more.
    ratios = camera.width / camera.fx * seen.fx / seen.width, camera.height / camera.fy * seen.fy / seen.height
    assert max(ratios) < 1.001 and abs(max(ratios) - 1) < 1e-3


def test_a_parallel_view_is_refused():
    yield from build()
    ui.view_area().spaces.active.region_3d.view_perspective = "ORTHO"
    yield from ui.view_is_drawn()
    with ui.in_view():
        assert "in perspective first" in stage.refusal(bpy.ops.lvsm.camera_from_view)
