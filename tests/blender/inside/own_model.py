"""own_model.py CAPTURE MODEL...: models that someone trained, each chosen for the scene and seen through by one camera."""

import sys

import bpy
import stage

capture, *models = sys.argv[1:]
stage.addon("scene.results")
scene = bpy.context.scene
bpy.ops.lvsm.import_capture(filepath=capture)
scene.render.resolution_x = scene.render.resolution_y = 32
cameras = (item for item in scene.objects if item.type == "CAMERA")
for scene.camera, scene.lvsm.model in zip(cameras, models, strict=False):
    assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}
    picture = stage.image_bytes(bpy.data.images[f"LVSM {scene.camera.name}"])
    assert picture.shape == (32, 32, 3)
    assert picture.std() > 1, "a picture of one colour"
print("own model: passed")
