"""Suggest a Photo: the camera that appears, once, and why none does."""

import sys
from pathlib import Path

import bpy
import numpy as np
import stage
from mathutils import Vector

folder = Path(sys.argv[1])
target, photo_list = stage.addon("scene.target"), stage.addon("window.photo_list")


def build():
    """Photos in a ring around the origin, and the target high above them."""
    scene = stage.build(folder, views=0)
    photo = stage.photo(folder / "photo.png", 90)
    for number in range(8):
        angle = number * np.pi / 4
        stand(
            stage.add_camera(f"View {number}", (0, 0, 0)), 4 * np.cos(angle), 4 * np.sin(angle), 1
        ).data.lvsm.photo = photo
    stand(scene.camera, 1.6, 0, 3.7)
    bpy.context.view_layer.update()
    return scene


def stand(camera_object, *place):
    camera_object.location = place
    camera_object.rotation_euler = (-Vector(place)).to_track_quat("-Z", "Y").to_euler()
    return camera_object


def level():
    bpy.context.view_layer.update()
    return photo_list.outlook_of(bpy.context).trust.level


def suggestions():
    return sorted(item.name for item in bpy.context.scene.objects if item.name.startswith("Suggested Photo"))


def test_a_photo_from_the_suggested_camera_makes_the_target_trusted():
    scene = build()
    before = level()
    assert before != "good"
    assert bpy.ops.lvsm.suggest_photo() == {"FINISHED"}
    camera_object = bpy.data.objects["Suggested Photo"]
    assert bpy.context.view_layer.objects.active == camera_object and scene.camera.name == "Target"
    assert level() == before  # it has no photo yet
    camera_object.data.lvsm.photo = bpy.data.objects["View 0"].data.lvsm.photo
    assert level() == "good"


def test_the_next_suggestion_moves_the_camera_until_it_has_a_photo():
    scene = build()
    bpy.ops.lvsm.suggest_photo()
    before = bpy.data.objects["Suggested Photo"].location.copy()
    stand(scene.camera, -1.6, 0, 3.7)
    bpy.context.view_layer.update()
    bpy.ops.lvsm.suggest_photo()
    assert suggestions() == ["Suggested Photo"] and (bpy.data.objects["Suggested Photo"].location - before).length > 1
    bpy.data.objects["Suggested Photo"].data.lvsm.photo = bpy.data.objects["View 0"].data.lvsm.photo
    stand(scene.camera, 1.6, 0, -3.7)
    bpy.context.view_layer.update()
    bpy.ops.lvsm.suggest_photo()
    assert suggestions() == ["Suggested Photo", "Suggested Photo.001"]


def test_where_none_helps_none_appears():
    scene = build()
    stand(scene.camera, 4, 0.1, 1)
    bpy.context.view_layer.update()
    assert level() == "good" and bpy.ops.lvsm.suggest_photo() == {"CANCELLED"}
    scene.camera.rotation_euler.z += np.pi
    bpy.context.view_layer.update()
    assert level() == "poor" and bpy.ops.lvsm.suggest_photo() == {"CANCELLED"}
    assert suggestions() == []


def test_a_target_that_is_none_is_named():
    build().camera.data.type = "ORTHO"
    assert "Target is orthographic" in stage.refusal(bpy.ops.lvsm.suggest_photo)


def test_without_photos_the_button_says_why_not():
    build()
    bpy.ops.lvsm.switch_photos(action="NONE")
    assert "Add a photo to at least one camera" in stage.refusal(bpy.ops.lvsm.suggest_photo)
