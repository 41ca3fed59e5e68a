"""Check Capture as scripts call it: what is asked of the engine, what stays on the cameras, and pictures to compare."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np
import stage

folder = Path(sys.argv[1])
record = folder / "requests.jsonl"
capture_check, results, input_views = (
    stage.addon(name) for name in ("captures.capture_check", "scene.results", "scene.input_views")
)
camera_list, places = stage.addon("scene.camera_list").camera_list, stage.addon("scene.camera_list").places
last_outcome = stage.addon("last_outcome").last_outcome


def check(views=5, psnrs=None, **settings):
    """A new scene that was checked: the scene, and what was asked of the engine."""
    scene = stage.build(folder, views)
    for name, value in settings.items():
        setattr(scene.lvsm.check, name, value)
    record.unlink(missing_ok=True)
    with stage.fake_worker(record=record, psnrs=json.dumps(psnrs or {})):
        assert bpy.ops.lvsm.check_capture() == {"FINISHED"}
    return scene, [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]


def checked_names(scene):
    return {item.name for item in camera_list.of(scene).objects if item.data.lvsm.checked.made_of}


def select(scene, name):
    scene.lvsm.active_object_index = scene.objects.find(name)


def test_each_photo_is_left_out_once_at_the_size_that_is_wanted():
    scene, asked = check(side=128)
    names = [request["views"][request["left_out"]]["name"] for request in asked]
    assert sorted(names) == [f"View {number}" for number in range(5)]
    assert all(len(request["views"]) == 5 and request["side"] == 128 and request["detail"] for request in asked)
    assert checked_names(scene) == set(names)


def test_of_many_photos_some_are_checked():
    scene, asked = check(count=2)
    assert len(asked) == 2 and len(checked_names(scene)) == 2


def test_the_scores_are_on_the_cameras_and_the_worst_comes_first():
    scene, _ = check(psnrs={"View 3": 11.5, "View 1": 23.0})
    checked = bpy.data.objects["View 3"].data.lvsm.checked
    assert (checked.psnr, checked.ssim) == (11.5, 0.5)
    findings = capture_check.last_findings.of(scene)
    assert findings.suspects == {"View 3"}
    assert findings.sentences[0].startswith("5 photos checked: median 24.0 dB")
    assert findings.sentences[1].startswith("View 3 (11.5 dB) may have a bad pose")
    order = sorted(zip(places(findings.ranks), [item.name for item in scene.objects], strict=True))
    assert [name for _, name in order][:2] == ["View 3", "View 1"]
    shown = [item.name for item, rank in zip(scene.objects, findings.ranks, strict=True) if rank < 1e9]
    assert "Target" not in shown and len(shown) == 5


def test_scores_are_in_the_file_that_is_saved_and_pictures_are_not():
    check()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "checked.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(folder / "checked.blend"))
    scene = bpy.context.scene
    assert len(checked_names(scene)) == 5
    select(scene, "View 2")
    assert not bpy.ops.lvsm.compare.poll()
    assert "check the capture again" in stage.refusal(bpy.ops.lvsm.compare)


def test_scores_are_out_of_date_when_a_photo_or_its_camera_changes():
    scene, _ = check()

    def is_old():
        bpy.context.view_layer.update()
        return capture_check.last_findings.of(scene).made_of != capture_check.ingredients(scene)

    view = bpy.data.objects["View 1"]
    assert not is_old()
    for holder, name, value in (
        (view, "location", (0, 0, 9)),
        (view.data.lvsm, "use_as_input", False),
        (scene.lvsm, "use_detail", False),
        (scene.lvsm, "model", "another"),
        (scene.lvsm.check, "side", 300),
    ):
        former = getattr(holder, name)
        former = tuple(former) if name == "location" else former
        setattr(holder, name, value)
        assert is_old(), name
        setattr(holder, name, former)
        assert not is_old(), name
    scene.camera.location = (9, 9, 9)  # the target is none of them
    assert not is_old()


def test_a_new_check_takes_the_place_of_the_former():
    scene, _ = check()
    scene.lvsm.check.count = 1
    with stage.fake_worker():
        bpy.ops.lvsm.check_capture()
    assert len(checked_names(scene)) == 1 == len(capture_check.kept_pictures)


def test_a_comparison_shows_the_photo_beside_the_picture_and_wiped():
    scene, _ = check(side=64)
    select(scene, "View 2")
    assert bpy.ops.lvsm.compare() == {"FINISHED"}
    image = bpy.data.images[capture_check.COMPARISON]
    assert results.is_result(image), "it is never an input"
    picture = stage.fake_picture(bpy.data.objects["View 2"])
    shown = stage.image_bytes(image)
    assert shown.shape == (48, 64 * 2 + capture_check.GAP, 3)
    assert np.array_equal(shown[:, :64], picture[::-1]) and np.array_equal(shown[:, -64:], picture)
    scene.lvsm.check.comparison = "WIPE"
    scene.lvsm.check.wipe = 0.25
    shown = stage.image_bytes(image)
    assert shown.shape == (48, 64, 3)
    assert np.array_equal(shown[:, :16], picture[::-1, :16]) and np.array_equal(shown[:, 17:], picture[:, 17:])
    select(scene, "View 4")
    bpy.ops.lvsm.compare()
    assert [each.name for each in bpy.data.images if each.name.startswith(capture_check.COMPARISON)] == [image.name]
    assert np.array_equal(stage.image_bytes(image)[:, 17:], stage.fake_picture(bpy.data.objects["View 4"])[:, 17:])


def test_one_photo_cannot_be_checked_and_the_button_says_why():
    stage.build(folder, views=1)
    assert "Add a photo to at least two cameras" in stage.refusal(bpy.ops.lvsm.check_capture)


def test_a_failure_is_said_with_its_way_out_and_former_scores_stay():
    scene, _ = check()
    with stage.fake_worker(fault="fail"):
        assert "too little memory" in stage.refusal(bpy.ops.lvsm.check_capture)
    assert last_outcome.error.remedy == "open_log" and len(checked_names(scene)) == 5


def test_what_was_found_before_a_cancel_stays():
    scene = stage.build(folder, 5)
    go_on = folder / "go on"
    with stage.fake_worker(hold=go_on):
        job = capture_check.start(bpy.context)
        go_on.touch()
        stage.wait_until(lambda: job.poll() or job.done == 2)
        go_on.unlink()
        assert job.progress.fraction == 2 / 5 and job.progress.stage == "Photo 3 of 5"
        assert job.progress.seconds_left is not None
        job.cancel()
        assert job.poll()
    assert len(checked_names(scene)) >= 2


def test_a_camera_that_is_deleted_meanwhile_is_left_alone():
    scene = stage.build(folder, 3)
    with stage.fake_worker():
        job = capture_check.start(bpy.context)
        bpy.data.objects.remove(bpy.data.objects["View 1"])
        stage.wait_until(job.poll)
    assert checked_names(scene) == {"View 0", "View 2"}


def test_what_is_selected_in_the_list_is_selected_in_the_view():
    scene = stage.build(folder)
    bpy.context.view_layer.update()
    select(scene, "View 2")
    assert bpy.context.view_layer.objects.active.name == "View 2"
    assert [item.name for item in bpy.context.view_layer.objects.selected] == ["View 2"]
