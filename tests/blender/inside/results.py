"""Results as Blender images: exact, packed for good, beside photos and never in their place."""

import tempfile
from pathlib import Path

import bpy
import numpy as np
import stage

folder = Path(tempfile.mkdtemp())
results = stage.addon("scene.results")

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
PIXELS[:4, :64] = np.arange(256, dtype=np.uint8).reshape(4, 64, 1)


def build():
    """A new scene with one result in it."""
    stage.build(folder)
    return results.keep_result("Target", results.encode_png(PIXELS))


def test_a_result_has_the_pictures_bytes_and_its_cameras_name():
    image = build()
    assert image.name == "LVSM Target" and tuple(image.size) == (70, 50) and results.is_result(image)
    assert np.array_equal(stage.image_bytes(image), PIXELS)
    assert np.array_equal(results.quantized(PIXELS / np.float32(255)), PIXELS)


def test_a_second_result_takes_the_place_of_the_first_wherever_it_was():
    image = build()
    other = results.keep_result("Other", results.encode_png(PIXELS))
    camera = bpy.data.objects["View 0"].data
    results.show_as_background(camera, image)
    again = results.keep_result("Target", results.encode_png(PIXELS[::-1]))
    assert again.name == "LVSM Target" and np.array_equal(stage.image_bytes(again), PIXELS[::-1])
    assert camera.background_images[0].image == again and other.name == "LVSM Other"
    assert sum(map(results.is_result, bpy.data.images)) == 2


def test_a_result_that_is_kept_stays_beside_the_next():
    image = build()
    image[results.KEPT] = True
    again = results.keep_result("Target", results.encode_png(PIXELS[::-1]))
    assert again.name == "LVSM Target.001" and np.array_equal(stage.image_bytes(image), PIXELS)
    assert results.result_of("Target") == again


def test_behind_a_camera_it_is_an_entry_of_its_own_which_the_next_result_replaces():
    image = build()
    image[results.KEPT] = True
    camera = bpy.data.objects["View 0"].data
    camera.background_images.new().image = camera.lvsm.photo
    results.show_as_background(camera, image)
    again = results.keep_result("Target", results.encode_png(PIXELS[::-1]))
    results.show_as_background(camera, again)
    assert [entry.image for entry in camera.background_images] == [camera.lvsm.photo, again]
    assert camera.show_background_images


def test_saved_opened_and_packed_twice_by_the_user_it_keeps_its_pixels():
    build()
    path = str(folder / "saved.blend")
    for _ in range(2):
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        image = bpy.data.images["LVSM Target"]
        assert results.is_result(image) and np.array_equal(stage.image_bytes(image), PIXELS)
        if image.is_dirty or not image.packed_file:
            image.pack()


def test_an_open_image_editor_shows_it_and_a_pinned_one_is_left_alone():
    image = build()
    area = bpy.context.window_manager.windows[0].screen.areas[0]
    area.ui_type = "IMAGE_EDITOR"
    area.spaces.active.use_image_pin = True
    assert not results.show_in_image_editor(bpy.context, image)
    area.spaces.active.use_image_pin = False
    assert results.show_in_image_editor(bpy.context, image) and area.spaces.active.image == image
