"""Results as Blender images: exact, packed for good, beside photos and never in their place."""

import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import stage

folder = Path(tempfile.mkdtemp())
scene = stage.build(folder)
results = stage.addon("results")

pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
pixels[:4, :64] = np.arange(256, dtype=np.uint8).reshape(4, 64, 1)
image = results.keep_result("Target", results.encode_png(pixels))
assert image.name == "LVSM Target" and tuple(image.size) == (70, 50) and results.is_result(image)
assert np.array_equal(stage.image_bytes(image), pixels)
assert np.array_equal(results.quantized(pixels / np.float32(255)), pixels)

# A second result leaves the first alone.
again = results.keep_result("Target", results.encode_png(pixels[::-1]))
assert again.name == "LVSM Target.001" and np.array_equal(stage.image_bytes(image), pixels)

# A result shown behind a camera is an entry of its own, replaced by the next result; the photo's entry stays.
camera = bpy.data.objects["View 0"].data
photo_entry = camera.background_images.new()
photo_entry.image = camera.lvsm.photo
results.show_as_background(camera, image)
results.show_as_background(camera, again)
assert [entry.image for entry in camera.background_images] == [camera.lvsm.photo, again]
assert camera.show_background_images

# Saved, opened, packed twice by the user, saved and opened: the same pixels.
path = str(folder / "saved.blend")
for _ in range(2):
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    image = bpy.data.images["LVSM Target"]
    assert results.is_result(image) and np.array_equal(stage.image_bytes(image), pixels)
    if image.is_dirty or not image.packed_file:
        image.pack()

# An open Image Editor shows it; a pinned one is left alone.
area = bpy.context.window_manager.windows[0].screen.areas[0]
area.ui_type = "IMAGE_EDITOR"
area.spaces.active.use_image_pin = True
assert not results.show_in_image_editor(bpy.context, image)
area.spaces.active.use_image_pin = False
assert results.show_in_image_editor(bpy.context, image) and area.spaces.active.image == image
print("results: passed")
