"""The list of photos: what the target would use, in which order, and how they are switched."""

import sys
import time
from pathlib import Path

import bpy
import numpy as np
import stage
from mathutils import Vector

folder = Path(sys.argv[1])
photo_list, input_views, target = (
    stage.addon(name) for name in ("window.photo_list", "scene.input_views", "scene.target")
)
camera_list = stage.addon("scene.camera_list").camera_list
last_outcome = stage.addon("last_outcome").last_outcome


def build(count=12):
    """Photos in a ring around the origin, every 30 degrees, and the target near that at 60 degrees."""
    scene = stage.build(folder, views=0)
    photo = stage.photo(folder / "photo.png", 90)
    for number in range(count):
        stand(stage.add_camera(f"View {number:02}", (0, 0, 0)), 360 / count * number).data.lvsm.photo = photo
    stand(scene.camera, 64)
    bpy.context.view_layer.update()
    return scene


def stand(camera_object, degrees):
    angle = np.radians(degrees)
    camera_object.location = place = Vector((4 * np.cos(angle), 4 * np.sin(angle), 1))
    camera_object.rotation_euler = (-place).to_track_quat("-Z", "Y").to_euler()
    return camera_object


def outlook():
    bpy.context.view_layer.update()
    return photo_list.outlook_of(bpy.context)


def listed(order):
    scene = bpy.context.scene
    found = sorted(zip(photo_list.ranks(scene, outlook(), order), [item.name for item in scene.objects], strict=True))
    return [name for _, name in found]


def used():
    return {item.name for item in bpy.context.scene.objects if input_views.is_input_view(item)}


def test_those_near_the_target_give_detail_and_some_all_around_feed_the_model():
    build()
    found = outlook()
    assert "View 02" in found.for_detail and "View 08" not in found.for_detail
    assert len(found.for_model) == 8 and found.used == found.for_model | found.for_detail
    assert found.angles["View 02"] < 6 and 100 < found.angles["View 08"] < 180


def test_without_detail_only_the_model_has_photos():
    build().lvsm.use_detail = False
    assert not outlook().for_detail and len(outlook().for_model) == 8


def test_a_published_model_is_fed_by_as_many_photos_as_it_was_trained_with():
    scene = build()
    scene.lvsm.model = "lact-objects-256"
    assert len(outlook().for_model) == 12
    scene.lvsm.model = "lvsm-decoder-only-256"
    assert outlook().for_model == {"View 02", "View 03"}  # the two nearest to the target
    scene.lvsm.max_model_views = 5
    assert len(outlook().for_model) == 5


def test_the_marks_follow_the_target():
    scene = build()
    before = outlook()
    stand(scene.camera, 244)
    after = outlook()
    assert "View 08" in after.for_detail and after.for_model == before.for_model


def test_the_list_is_sorted_by_name_angle_and_score():
    build()
    assert listed("NAME")[:2] == ["Target", "View 00"] and listed("NAME")[-1] == "View 11"
    assert listed("ANGLE")[:3] == ["View 02", "View 03", "View 01"] and listed("ANGLE")[-1] == "Target"
    for name, psnr in (("View 05", 12.0), ("View 01", 20.0)):
        checked = bpy.data.objects[name].data.lvsm.checked
        checked.psnr, checked.made_of = psnr, "a digest"
    assert listed("PSNR")[:2] == ["View 05", "View 01"]


def test_a_row_tells_angle_and_score():
    build()
    view = bpy.data.objects["View 02"]
    found = outlook()
    assert photo_list._facts(view, found) == "photo.png  4\N{DEGREE SIGN}"
    view.data.lvsm.checked.psnr, view.data.lvsm.checked.made_of = 23.44, "a digest"
    assert photo_list._facts(view, found).endswith("23.4 dB")
    assert photo_list._facts(bpy.context.scene.camera, found) == "No photo"


def test_photos_are_switched_all_at_once():
    build()
    kept = outlook().used
    assert bpy.ops.lvsm.switch_photos(action="USED") == {"FINISHED"} and used() == kept != set()
    bpy.ops.lvsm.switch_photos(action="INVERT")
    assert used() == {f"View {number:02}" for number in range(12)} - kept
    bpy.ops.lvsm.switch_photos(action="NONE")
    assert used() == set()
    assert bpy.ops.lvsm.switch_photos(action="USED") == {"CANCELLED"}
    bpy.ops.lvsm.switch_photos(action="ALL")
    assert len(used()) == 12


def test_without_a_target_nothing_is_marked():
    build()
    assert outlook().used
    bpy.context.scene.camera = None
    assert not outlook().used and not target.last_outlook.shown.used


def test_a_target_that_is_moved_before_200_photos_is_looked_at_within_a_moment():
    scene = build(200)
    outlook()
    milliseconds = []
    for degrees in range(10):
        stand(scene.camera, degrees)
        bpy.context.view_layer.update()
        began = time.thread_time()  # of this thread's own work, whatever else the machine does
        photo_list.outlook_of(bpy.context)
        photo_list.ranks(scene, target.last_outlook.shown, "ANGLE")
        milliseconds.append(1000 * (time.thread_time() - began))
    print(f"the first look at a moved target: {min(milliseconds):.1f} ms")
    began = time.thread_time()
    photo_list.outlook_of(bpy.context)
    print(f"a redraw: {1000 * (time.thread_time() - began):.2f} ms")
    assert min(milliseconds) < 30


def test_only_a_3d_view_looks_through_cameras():
    build()
    assert not bpy.ops.lvsm.look_through.poll()
