"""real_engine.py FOLDER CAPTURE: the real engine and the default model, from a capture to button and file."""

import sys
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import stage

folder, capture = Path(sys.argv[1]), sys.argv[2]
results = stage.addon("results")
scene = bpy.context.scene
bpy.ops.lvsm.import_capture(filepath=capture)
scene.render.resolution_x = scene.render.resolution_y = 64
held_out = [item for item in scene.objects if item.type == "CAMERA" and not item.data.lvsm.use_as_input]


def distance(images):
    return ((images - truth) ** 2).mean()


# The geometry is right: nearer to photos that were held out than white is, or the picture turned around.
pictures, photos = [], []
for scene.camera in held_out[:4]:
    bpy.ops.lvsm.synthesize_view()
    pictures.append(stage.image_bytes(bpy.data.images[f"LVSM {scene.camera.name}"]))
    photo = scene.camera.data.lvsm.photo.copy()
    photo.scale(64, 64)
    photos.append(stage.image_bytes(photo))
picture, truth = np.array(pictures, float), np.array(photos, float)
others = {"mirrored": picture[:, :, ::-1], "upside down": picture[:, ::-1], "white": np.full_like(picture, 255)}
distances = {name: round(distance(images)) for name, images in others.items()}
print("mean square distances:", round(distance(picture)), distances)
assert distance(picture) < min(distances.values())

scene.render.engine = "LVSM"
scene.render.image_settings.file_format = "PNG"
bpy.ops.lvsm.use_exact_colors()
scene.render.filepath = str(folder / "frame.png")
bpy.ops.render.render(write_still=True)
difference = np.abs(stage.file_bytes(scene.render.filepath).astype(int) - picture[-1]).max()
print("largest difference of button and file, in 1/255:", difference)
assert difference <= 1

# A packed photo is as good as its file; one whose file another picture has replaced is named.
scene.render.engine = "BLENDER_WORKBENCH"
photo = next(filter(stage.addon("input_views").is_input_view, scene.objects)).data.lvsm.photo
photo.pack()
bpy.ops.lvsm.synthesize_view()
packed = stage.image_bytes(bpy.data.images[f"LVSM {scene.camera.name}.001"])
print("largest difference with a packed photo, in 1/255:", np.abs(packed - picture[-1]).max())
assert np.abs(packed - picture[-1]).max() <= 1
photo.unpack(method="REMOVE")
photo.filepath = str(folder / "replaced.png")
(folder / "replaced.png").write_bytes(results.encode_png(np.zeros((30, 70, 3), np.uint8)))
try:
    bpy.ops.lvsm.synthesize_view()
    raise AssertionError("the photo was taken for another")
except RuntimeError as error:
    assert "the photo has 70x30 pixels and its camera" in str(error), error
print("real engine: passed")
