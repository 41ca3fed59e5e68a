"""scene_file.py FOLDER [VIEWS]: writes FOLDER/scene.blend, whose camera moves, for command lines."""

import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
import stage

folder = Path(sys.argv[1])
scene = stage.build(folder, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
scene.camera.keyframe_insert("location", frame=1)
scene.camera.location.x += 2
scene.camera.keyframe_insert("location", frame=3)
scene.render.image_settings.file_format = "PNG"
bpy.ops.lvsm.use_exact_colors()
bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
