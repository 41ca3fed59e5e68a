"""scene_file.py FOLDER [VIEWS] [TYPE]: writes FOLDER/scene.blend for command lines.

Its camera moves; its input views are tidied away, in a collection that the view layer excludes.
"""

import sys
from pathlib import Path

import bpy
import stage

folder = Path(sys.argv[1])
scene = stage.build(folder, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
scene.camera.data.type = sys.argv[3] if len(sys.argv) > 3 else "PERSP"
capture = bpy.data.collections.new("Capture")
scene.collection.children.link(capture)
for item in [item for item in scene.objects if item != scene.camera]:
    scene.collection.objects.unlink(item)
    capture.objects.link(item)
bpy.context.view_layer.layer_collection.children["Capture"].exclude = True
scene.camera.keyframe_insert("location", frame=1)
scene.camera.location.x += 2
scene.camera.keyframe_insert("location", frame=3)
scene.render.image_settings.file_format = "PNG"
bpy.ops.lvsm.use_exact_colors()
bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
