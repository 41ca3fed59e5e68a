"""cycles_mist.py FOLDER: writes depth and mist as Cycles makes them, a file for each falloff, and one without a world."""

import sys
from pathlib import Path

import bpy
import stage

folder = Path(sys.argv[1])
bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -6), rotation=(0.3, 0.5, 0))
bpy.ops.mesh.primitive_plane_add(size=1, location=(0.5, 0, -3))
scene, view_layer = bpy.context.scene, bpy.context.view_layer
scene.camera = stage.add_camera("Camera", (0, 0, 0))
scene.camera.rotation_euler = (0, 0, 0)
scene.camera.data.lens = 20
scene.world = bpy.data.worlds.new("World")
scene.world.mist_settings.start, scene.world.mist_settings.depth = 2, 6
scene.render.engine = "CYCLES"
scene.render.resolution_x, scene.render.resolution_y = stage.SIZE
scene.cycles.samples, scene.cycles.use_denoising = 1, False
scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BOX", 0.01  # at pixels' centres
view_layer.use_pass_mist = view_layer.use_pass_z = True
settings = scene.render.image_settings
if hasattr(settings, "media_type"):  # 5.0 on
    settings.media_type = "MULTI_LAYER_IMAGE"
settings.file_format, settings.color_depth = "OPEN_EXR_MULTILAYER", "32"
for falloff in ("QUADRATIC", "LINEAR", "INVERSE_QUADRATIC", "no world"):
    if falloff == "no world":
        scene.world = None
    else:
        scene.world.mist_settings.falloff = falloff
    scene.render.filepath = str(folder / f"{falloff}.exr")
    bpy.ops.render.render(write_still=True)
