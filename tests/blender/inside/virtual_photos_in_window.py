"""Virtual photos in a window: one render after the other, which goes on beside it and can be cancelled."""

import bpy
import stage
import window_steps as ui

stage.addon("compositing.virtual_photos")


def build(samples):
    yield from ui.until(lambda: not bpy.app.is_job_running("RENDER"))
    yield 0.5
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", samples
    scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = False, False
    scene.render.resolution_x, scene.render.resolution_y = 32, 24
    yield from ui.view_is_drawn()
    with ui.in_view():
        bpy.ops.mesh.primitive_cube_add(size=0.5)
        bpy.ops.lvsm.add_cameras_around(count=3)
        bpy.ops.object.select_all(action="DESELECT")
    for camera_object in cameras():
        camera_object.select_set(True)
    yield 0.5


def cameras():
    return bpy.data.collections["Cameras Around"].objects


def photos():
    return [item.data.lvsm.photo for item in cameras() if item.data.lvsm.photo]


def test_each_camera_gets_its_photo_beside_the_window():
    yield from build(samples=1)
    bpy.context.scene.render.filepath = "//mine"
    with ui.in_view():
        assert bpy.ops.lvsm.take_photos("INVOKE_DEFAULT") == {"RUNNING_MODAL"}
    yield from ui.until(lambda: len(photos()) == 3)
    yield from ui.until(lambda: bpy.context.scene.render.filepath == "//mine")
    assert len(bpy.context.window_manager.windows) == 1
    assert [tuple(photo.size) for photo in photos()] == [(32, 24)] * 3


def test_escape_ends_it_with_all_as_it_was():
    yield from build(samples=100_000)
    before, kind = bpy.context.scene.camera, bpy.context.preferences.view.render_display_type
    with ui.in_view():
        assert bpy.ops.lvsm.take_photos("INVOKE_DEFAULT") == {"RUNNING_MODAL"}
    yield from ui.until(lambda: bpy.app.is_job_running("RENDER"))
    for _ in range(stage.HANG_SECONDS):  # a busy machine may lose a key
        if bpy.context.preferences.view.render_display_type == kind:
            break
        ui.press("Escape")
        yield 1.0
    assert not photos() and bpy.context.scene.camera == before
