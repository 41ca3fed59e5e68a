"""The gallery: pictures of several cameras at once, what they were made of, and what becomes of them."""

import sys
from pathlib import Path

import bpy
import numpy as np
import stage

folder = Path(sys.argv[1])
results, gallery, target = (stage.addon(name) for name in ("scene.results", "window.gallery", "scene.target"))


def build(selected=("View 0", "View 2")):
    """A new scene, pictures of whose selected cameras were synthesized; these pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    scene = stage.build(folder)
    for name in selected:
        bpy.data.objects[name].select_set(True)
    with stage.fake_worker():
        assert bpy.ops.lvsm.synthesize_selected() == {"FINISHED"}
    return scene, [bpy.data.images[f"LVSM {name}"] for name in selected]


def select(image):
    bpy.context.scene.lvsm.active_result_index = bpy.data.images.find(image.name)


def test_each_selected_camera_gets_its_own_picture_behind_it():
    _, images = build()
    for image, name in zip(images, ("View 0", "View 2"), strict=True):
        camera_object = bpy.data.objects[name]
        assert np.array_equal(stage.image_bytes(image), stage.fake_picture(camera_object))
        assert image in [entry.image for entry in camera_object.data.background_images]
    assert not np.array_equal(*map(stage.image_bytes, images))


def test_without_a_selected_camera_it_is_refused():
    folder.mkdir(parents=True, exist_ok=True)
    stage.build(folder)
    assert "Select the cameras" in stage.refusal(bpy.ops.lvsm.synthesize_selected)


def test_a_picture_tells_what_it_was_made_of():
    scene, (image, _) = build()
    assert gallery.description(image).startswith("64 x 48 px, frame 1, fake, ")
    assert gallery.description(image).endswith("; sha256 cdcdcdcdcdcd, CC0")
    assert image[results.MADE_OF] == target.ingredients(scene, bpy.data.objects["View 0"])
    assert image[results.MADE_OF] != target.ingredients(scene, bpy.data.objects["View 2"])


def test_a_pinned_picture_stays_and_an_unpinned_one_goes():
    _, (first, _) = build()
    name = first.name
    assert bpy.ops.lvsm.pin_result(name=name) == {"FINISHED"}
    with stage.fake_worker():
        bpy.ops.lvsm.synthesize_selected()
    assert sum(map(results.is_result, bpy.data.images)) == 3 and name in bpy.data.images
    bpy.ops.lvsm.pin_result(name=name)
    assert bpy.ops.lvsm.purge_results() == {"FINISHED"}
    assert not any(map(results.is_result, bpy.data.images))


def test_purging_leaves_photos_and_what_is_pinned():
    _, (first, _) = build()
    bpy.ops.lvsm.pin_result(name=first.name)
    bpy.ops.lvsm.purge_results()
    left = [image.name for image in bpy.data.images]
    assert first.name in left and "LVSM View 2" not in left and "photo 0.png" in left
    bpy.ops.lvsm.purge_results(has_kept=True)
    assert not any(map(results.is_result, bpy.data.images))
    assert "There are no pictures" in stage.refusal(bpy.ops.lvsm.purge_results)


def test_a_saved_picture_has_the_pictures_bytes():
    _, (image, _) = build()
    select(image)
    path = folder / "saved.png"
    assert bpy.ops.lvsm.save_result(filepath=str(path)) == {"FINISHED"}
    assert np.array_equal(stage.file_bytes(path), stage.image_bytes(image))


def test_a_picture_that_cannot_be_saved_is_a_sentence():
    _, (image, _) = build()
    select(image)
    (folder / "taken.png").mkdir()
    saying = stage.refusal(lambda: bpy.ops.lvsm.save_result(filepath=str(folder / "taken.png")))
    assert "it is a folder" in saying


def test_the_selected_picture_is_removed_and_photos_cannot_be():
    _, (image, _) = build()
    select(image)
    assert bpy.ops.lvsm.remove_result() == {"FINISHED"}
    assert "LVSM View 0" not in bpy.data.images
    select(bpy.data.images["photo 0.png"])
    assert "Select a picture" in stage.refusal(bpy.ops.lvsm.remove_result)
