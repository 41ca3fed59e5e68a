"""real_engine.py FOLDER CAPTURE: the real engine and the default model, from a capture to button and file."""

import functools
import sys
from pathlib import Path

import bpy
import numpy as np
import stage

folder, capture = Path(sys.argv[1]), sys.argv[2]
results, input_views = stage.addon("scene.results"), stage.addon("scene.input_views")


@functools.cache
def build():
    """The capture, four of whose held-out cameras were synthesized: their pictures and photos (4, 64, 64, 3) float.

    The scene's camera is the last of the four.
    """
    scene = bpy.context.scene
    bpy.ops.lvsm.import_capture(filepath=capture)
    scene.render.resolution_x = scene.render.resolution_y = 64
    cameras = [item for item in scene.objects if item.type == "CAMERA"]
    held_out = cameras[1::3]
    for camera in held_out:
        camera.data.lvsm.use_as_input = False
    pictures, photos = [], []
    for scene.camera in held_out[:4]:
        bpy.ops.lvsm.synthesize_view()
        pictures.append(stage.image_bytes(bpy.data.images[f"LVSM {scene.camera.name}"]))
        photo = scene.camera.data.lvsm.photo.copy()
        photo.scale(64, 64)
        photos.append(stage.image_bytes(photo))
    return np.array(pictures, float), np.array(photos, float)


def input_photo():
    return next(filter(input_views.is_input_view, bpy.context.scene.objects)).data.lvsm.photo


def test_the_geometry_is_right():
    """Nearer to photos that were held out than white is, or the picture turned around."""
    picture, truth = build()
    others = {"mirrored": picture[:, :, ::-1], "upside down": picture[:, ::-1], "white": np.full_like(picture, 255)}

    def distance(images):
        return ((images - truth) ** 2).mean()

    distances = {name: round(distance(images)) for name, images in others.items()}
    print("mean square distances:", round(distance(picture)), distances)
    assert distance(picture) < min(distances.values())


def test_a_rendered_file_equals_what_the_button_gave():
    picture, _ = build()
    scene = bpy.context.scene
    scene.render.engine = "LVSM"
    scene.render.image_settings.file_format = "PNG"
    bpy.ops.lvsm.use_exact_colors()
    scene.render.filepath = str(folder / "frame.png")
    bpy.ops.render.render(write_still=True)
    scene.render.engine = "BLENDER_WORKBENCH"
    difference = np.abs(stage.file_bytes(scene.render.filepath).astype(int) - picture[-1]).max()
    print("largest difference of button and file, in 1/255:", difference)
    assert difference <= 1


def test_a_packed_photo_is_as_good_as_its_file():
    picture, _ = build()
    photo = input_photo()
    photo.pack()
    bpy.ops.lvsm.synthesize_view()
    packed = stage.image_bytes(bpy.data.images[f"LVSM {bpy.context.scene.camera.name}"])
    photo.unpack(method="USE_ORIGINAL")
    print("largest difference with a packed photo, in 1/255:", np.abs(packed - picture[-1]).max())
    assert np.abs(packed - picture[-1]).max() <= 1


def test_a_photo_whose_file_another_picture_has_replaced_is_named():
    build()
    input_photo().filepath = str(folder / "replaced.png")
    (folder / "replaced.png").write_bytes(results.encode_png(np.zeros((30, 70, 3), np.uint8)))
    assert "the photo has 70x30 pixels and its camera" in stage.refusal(bpy.ops.lvsm.synthesize_view)
