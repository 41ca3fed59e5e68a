"""Add Subject: the empty that appears, what goes by it, and what happens without it."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np
import stage
from mathutils import Vector

folder = Path(sys.argv[1])
input_views, target = stage.addon("scene.input_views"), stage.addon("scene.target")
RADIUS = 4.0


def build():
    """Photos in a ring around a place beside the origin, and the target among them."""
    scene = stage.build(folder, views=0)
    photo = stage.photo(folder / "photo.png", 90)
    for number in range(8):
        stand(stage.add_camera(f"View {number}", (0, 0, 0)), number * 45).data.lvsm.photo = photo
    stand(scene.camera, 20)
    bpy.context.view_layer.update()
    return scene


MIDDLE = Vector((1.0, -2.0, 0.5))


def stand(camera_object, degrees):
    angle = np.radians(degrees)
    away = Vector((RADIUS * np.cos(angle), RADIUS * np.sin(angle), 1))
    camera_object.location, camera_object.rotation_euler = MIDDLE + away, (-away).to_track_quat("-Z", "Y").to_euler()
    return camera_object


def named():
    return input_views.named_subject(bpy.context.scene, bpy.context.evaluated_depsgraph_get())


def asked(name):
    """The subject that the engine is told, as JSON."""
    with stage.fake_worker(record=folder / name):
        assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}
    return json.loads((folder / name).read_text())["subject"]


def test_it_stands_where_the_photos_look_and_is_selected():
    scene = build()
    assert bpy.ops.lvsm.add_subject() == {"FINISHED"}
    empty = bpy.data.objects["Subject"]
    assert scene.lvsm.subject == empty == bpy.context.view_layer.objects.active and empty.select_get()
    assert (empty.location - MIDDLE).length < 1e-3 and 0.1 * RADIUS < empty.scale[0] < RADIUS
    assert np.allclose(named().centre, MIDDLE, atol=1e-3) and abs(named().half_side - empty.scale[0]) < 1e-6


def test_moved_and_scaled_it_is_what_the_engine_is_told():
    build()
    assert named() is None and asked("without.jsonl") is None
    bpy.ops.lvsm.add_subject()
    empty = bpy.data.objects["Subject"]
    empty.location, empty.scale, empty.empty_display_size = (3, 0, 1), (0.5, 2, 1), 0.5
    bpy.context.view_layer.update()
    told = asked("with.jsonl")
    assert told["centre"] == [3.0, 0.0, 1.0] and abs(told["half_side"] - 1.0) < 1e-6


def test_the_trust_of_the_target_goes_by_it_and_pictures_are_out_of_date():
    scene = build()
    bpy.ops.lvsm.add_subject()
    bpy.context.view_layer.update()
    before = target.ingredients(scene)
    look = target.last_outlook.now(scene, bpy.context.evaluated_depsgraph_get(), before)
    scene.lvsm.subject.location = scene.camera.location.lerp(MIDDLE, 0.1)
    bpy.context.view_layer.update()
    after = target.ingredients(scene)
    assert after != before
    moved = target.last_outlook.now(scene, bpy.context.evaluated_depsgraph_get(), after)
    assert look.trust.level == "good" and moved.trust.level == "poor" and moved.angles != look.angles


def test_an_animated_one_is_where_it_is_at_the_frame():
    scene = build()
    bpy.ops.lvsm.add_subject()
    empty = scene.lvsm.subject
    for frame, x in ((1, 0.0), (11, 10.0)):
        empty.location.x = x
        empty.keyframe_insert("location", frame=frame)
    scene.frame_set(11)
    assert abs(named().centre[0] - 10) < 1e-4
    scene.frame_set(1)
    assert abs(named().centre[0]) < 1e-4


def test_one_that_left_the_scene_counts_no_more():
    scene = build()
    bpy.ops.lvsm.add_subject()
    scene.collection.objects.unlink(scene.lvsm.subject)
    bpy.context.view_layer.update()
    assert named() is None and scene.lvsm.subject is not None
    bpy.data.objects.remove(scene.lvsm.subject)
    assert named() is None


def test_one_without_size_is_named_and_the_next_attempt_works():
    scene = build()
    bpy.ops.lvsm.add_subject()
    scene.lvsm.subject.scale = (0, 0, 0)
    bpy.context.view_layer.update()
    assert "Subject: " in stage.refusal(bpy.ops.lvsm.synthesize_view)
    scene.lvsm.subject.scale = (1, 1, 1)
    bpy.context.view_layer.update()
    assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}


def test_without_photos_the_button_says_why_not():
    build()
    bpy.ops.lvsm.switch_photos(action="NONE")
    assert "Add a photo to at least one camera" in stage.refusal(bpy.ops.lvsm.add_subject)
