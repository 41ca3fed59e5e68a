"""Input views: which cameras feed the model, and with which pixels."""

import sys
from pathlib import Path

import bpy
import numpy as np
from bl_ext.user_default.lvsm import engine, input_views, results
from bl_ext.user_default.lvsm.bundled.lvsm_engine.errors import ADD_PHOTOS, LOCATE_PHOTOS, CaptureError

folder = Path(sys.argv[1])
folder.mkdir(parents=True)
bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
scene = bpy.context.scene
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 4), dtype=np.uint8)


def add_camera(name):
    camera_object = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    scene.collection.objects.link(camera_object)
    return camera_object


def views():
    return input_views.input_views(scene, bpy.context.evaluated_depsgraph_get())


def refusal():
    try:
        views()
    except CaptureError as error:
        return error
    raise AssertionError("nothing was refused")


def generated(name, pixels, is_float=False):
    """An image with pixels (H, W, 4) uint8, or float."""
    image = bpy.data.images.new(name, pixels.shape[1], pixels.shape[0], alpha=True, float_buffer=is_float)
    values = pixels if is_float else pixels.astype(np.float32) / 255
    image.pixels.foreach_set(np.ascontiguousarray(values[::-1], dtype=np.float32).ravel())
    return image


camera_object = add_camera("Camera A")
settings = camera_object.data.lvsm
error = refusal()
assert error.remedy == ADD_PHOTOS and not input_views.has_photos()

# A file goes by its path, in photo pixels of its own.
path = folder / "photo \u0434.png"
path.write_bytes(results.encode_png(PIXELS[..., :3]))
settings.photo = bpy.data.images.load(str(path))
(view,) = views()
assert view.photo == path and view.name == "Camera A"
assert (view.camera.width, view.camera.height) == (8, 6)
assert view.camera.fx == view.camera.fy
assert not settings.photo.has_data, "the photo was opened for its size"

# Switched off, it feeds nothing; a background image alone neither.
settings.use_as_input = False
assert not input_views.has_photos()
settings.use_as_input = True
other = add_camera("Camera B")
other.data.background_images.new().image = settings.photo
assert [view.name for view in views()] == ["Camera A"]

# A result is no input, even where it was put as a photo.
other.data.lvsm.photo = results.keep_result("Camera B", results.encode_png(PIXELS[..., :3]))
assert [view.name for view in views()] == ["Camera A"]

# A file that is gone: the camera, the file, the way out, and the way out works.
(folder / "moved").mkdir()
path.rename(folder / "moved" / path.name)
error = refusal()
assert str(path) in str(error) and "Camera A" in str(error) and error.remedy == LOCATE_PHOTOS
engine.keep_failure(error)
bpy.ops.lvsm.locate_photos(directory=str(folder))
assert engine.failure is None
assert views()[0].photo == folder / "moved" / path.name

# A packed photo goes as its file's bytes, unopened, whatever the file is called now.
encoded = results.encode_png(PIXELS[..., :3])
settings.photo.pack()
(view,) = views()
assert view.photo.tobytes() == encoded and (view.camera.width, view.camera.height) == (8, 6)

# Painted over, and generated photos go as pixels, from the top.
painted = np.random.default_rng(1).integers(0, 256, (6, 8, 4), dtype=np.uint8)
painted[..., 3] = 255
settings.photo.pixels.foreach_set((painted[::-1].astype(np.float32) / 255).ravel())
assert settings.photo.is_dirty and (views()[0].photo == painted[..., :3]).all()
settings.photo = generated("Painted", PIXELS)
assert (views()[0].photo == PIXELS).all(), "alpha that matters is kept"
opaque = PIXELS.copy()
opaque[..., 3] = 255
settings.photo = generated("Opaque", opaque)
assert (views()[0].photo == opaque[..., :3]).all()

# Float pixels are scene-linear: they become the sRGB bytes that they would be shown as.
linear = np.where(opaque <= 0.04045 * 255, opaque / 255 / 12.92, ((opaque / 255 + 0.055) / 1.055) ** 2.4)
settings.photo = generated("Linear", linear, is_float=True)
assert (views()[0].photo == opaque[..., :3]).all()

# A packed file that only Blender decodes goes as pixels.
settings.photo = bpy.data.images.new("Deep", 8, 6, float_buffer=True)
settings.photo.pixels.foreach_set(np.ascontiguousarray(linear[::-1], dtype=np.float32).ravel())
settings.photo.pack()
assert settings.photo.packed_file.data[:4] == b"v/1\x01" and (views()[0].photo == opaque[..., :3]).all()

# A lens that cannot be read, by name; choosing the photo again mends it.
settings.photo = bpy.data.images.load(str(folder / "moved" / path.name))
for damaged in (
    "{",
    "[]",
    "{}",
    '{"fxfycxcy": [1, 1, 0], "size": [8, 6]}',
    '{"fxfycxcy": [-1, 1, 0, 0], "size": [8, 6]}',
):
    settings.calibration = damaged
    assert "Camera A: what the scene keeps of the photo's lens cannot be read" in str(refusal()), damaged
settings.photo = settings.photo
assert len(views()) == 1

# What cannot be read, by name.
nonsense = folder / "nonsense.png"
nonsense.write_bytes(b"no picture")
settings.photo = bpy.data.images.load(str(nonsense))
assert "nonsense.png" in str(refusal()) and "Camera A" in str(refusal())
settings.photo.source = "SEQUENCE"
assert "not a single image" in str(refusal())

# A photo of a linked file, whose relative path starts from that file.
library = folder / "library"
(library / "photos").mkdir(parents=True)
(library / "photos" / "linked.png").write_bytes(results.encode_png(PIXELS[..., :3]))
linked = bpy.data.images.load(str(library / "photos" / "linked.png"))
linked.filepath_raw = "//photos/linked.png"
bpy.data.libraries.write(str(library / "asset.blend"), {linked}, path_remap="NONE")
bpy.data.images.remove(linked)
with bpy.data.libraries.load(str(library / "asset.blend"), link=True) as (_, wanted):
    wanted.images = ["linked.png"]
settings.photo = wanted.images[0]
assert settings.photo in bpy.data.libraries["asset.blend"].users_id and settings.photo.filepath == "//photos/linked.png"
assert views()[0].photo == library / "photos" / "linked.png"
