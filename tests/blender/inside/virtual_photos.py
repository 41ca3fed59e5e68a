"""Virtual photos: cameras around objects, and renders of theirs as photos, with all settings as they were."""

import sys
from pathlib import Path

import bpy
import numpy as np
import stage

folder = Path(sys.argv[1])
virtual_photos = stage.addon("compositing.virtual_photos")
input_views, scene_cameras = stage.addon("scene.input_views"), stage.addon("scene.scene_cameras")


def build(count=5):
    """A new scene with a small red cube off the origin, under AgX, and cameras around it, selected."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
    scene.render.resolution_x, scene.render.resolution_y = 32, 24
    bpy.ops.mesh.primitive_cube_add(size=0.5, location=(3, 1, -2))
    cube = bpy.context.object
    material = bpy.data.materials.new("Red")
    material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    glow, surface = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    glow.inputs["Color"].default_value = 1, 0, 0, 1
    material.node_tree.links.new(glow.outputs[0], surface.inputs[0])
    cube.data.materials.append(material)
    assert bpy.ops.lvsm.add_cameras_around(count=count) == {"FINISHED"}
    cameras = list(bpy.data.collections["Cameras Around"].objects)
    bpy.ops.object.select_all(action="DESELECT")
    for camera_object in cameras:
        camera_object.select_set(True)
    bpy.context.view_layer.update()
    return cameras, cube


def test_cameras_look_at_the_selected_objects_and_see_all_of_them():
    cameras, cube = build(count=12)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    corners = np.array([cube.matrix_world @ vertex.co for vertex in cube.data.vertices])
    for camera_object in cameras:
        camera = scene_cameras.camera_from_blender(camera_object, depsgraph)
        seen = (corners - camera.position) @ camera.camera_to_world[:3, :3]
        pixels = seen[:, :2] / seen[:, 2:] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
        assert (pixels > 0).all() and (pixels < (32, 24)).all(), pixels
        assert camera.position[2] > -2 and camera.camera_to_world[2, 1] < 0  # above it, and upright


def test_cameras_are_spread_evenly():
    ways = virtual_photos.directions(40)
    assert np.allclose(np.linalg.norm(ways, axis=1), 1)
    nearest = np.sort(ways @ ways.T, axis=1)[:, -2]
    assert nearest.min() > 0.85 and np.abs(ways[:, :2].mean(axis=0)).max() < 0.05


def test_cameras_without_anything_selected_are_refused():
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    assert "Select the objects" in stage.refusal(bpy.ops.lvsm.add_cameras_around)


def test_photos_are_what_the_cameras_see_in_plain_colours_on_nothing():
    cameras, _ = build(count=2)
    assert bpy.ops.lvsm.take_photos() == {"FINISHED"}
    for camera_object in cameras:
        image = camera_object.data.lvsm.photo
        values = np.empty(32 * 24 * 4, np.float32)
        image.pixels.foreach_get(values)
        values = values.reshape(24, 32, 4)
        assert np.allclose(values[12, 16], [1, 0, 0, 1]), values[12, 16]  # AgX would have made it pale
        assert np.allclose(values[0, 0, 3], 0)
    views = input_views.input_views(bpy.context.scene, bpy.context.evaluated_depsgraph_get())
    assert [(view.name, view.camera.width, view.camera.height) for view in views] == [
        (camera_object.name, 32, 24) for camera_object in cameras
    ]


def test_the_scene_is_as_it_was():
    build(count=2)
    scene = bpy.context.scene
    scene.view_settings.exposure, scene.render.filepath, scene.render.use_border = 0.5, "//mine", True
    scene.render.image_settings.file_format = "JPEG"
    kept = [(scene, "camera"), (scene.render, "filepath"), (scene.render, "use_border")]
    kept += [(scene.render, name) for name in ("film_transparent", "use_compositing", "dither_intensity")]
    kept += [(scene.view_settings, name) for name in ("view_transform", "exposure", "gamma", "look")]
    kept += [(scene.render.image_settings, name) for name in ("file_format", "color_mode", "color_depth")]
    before = [getattr(owner, name) for owner, name in kept]
    assert bpy.ops.lvsm.take_photos() == {"FINISHED"}
    assert [getattr(owner, name) for owner, name in kept] == before


def test_new_photos_take_the_place_of_the_last_ones():
    cameras, cube = build(count=2)
    bpy.ops.lvsm.take_photos()
    cube.hide_render = True
    bpy.ops.lvsm.take_photos()
    assert sum("virtual" in image.name for image in bpy.data.images) == 2
    assert not np.any(cameras[0].data.lvsm.photo.pixels[:])
    assert cameras[0].data.lvsm.photo.name == f"{cameras[0].name} virtual"


def test_photos_are_in_the_file_that_is_saved():
    build(count=1)
    bpy.ops.lvsm.take_photos()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "saved.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(folder / "saved.blend"))
    (camera_object,) = bpy.data.collections["Cameras Around"].objects
    assert tuple(camera_object.data.lvsm.photo.size) == (32, 24)


def test_lvsm_itself_takes_no_photos():
    build(count=1)
    bpy.context.scene.render.engine = "LVSM"
    assert "Choose Cycles or EEVEE" in stage.refusal(bpy.ops.lvsm.take_photos)
