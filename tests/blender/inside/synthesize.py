"""Synthesize View as scripts call it: at once, exact, and with a sentence when it cannot be."""

import json
import os
import tempfile
import threading
from pathlib import Path

import bpy
import numpy as np
import stage

folder = Path(tempfile.mkdtemp())
results, synthesize, input_views, target = (
    stage.addon(name) for name in ("scene.results", "rendering.synthesize", "scene.input_views", "scene.target")
)
worker, last_outcome = stage.addon("engine.worker_owner").worker, stage.addon("last_outcome").last_outcome


def refusal():
    """What Blender says instead of synthesizing."""
    before = set(bpy.data.images)
    said = stage.refusal(bpy.ops.lvsm.synthesize_view)
    assert set(bpy.data.images) == before, "a failure leaves no image"
    return said


def works():
    """Whether the button gives the engine's picture."""
    known = set(bpy.data.images)
    assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}
    (image,) = set(bpy.data.images) - known
    return np.array_equal(stage.image_bytes(image), stage.fake_picture(target.target_camera(bpy.context.scene)))


def test_without_photos_the_button_says_what_to_do():
    stage.build(folder, views=0)
    assert "Add a photo to at least one camera" in refusal()


def test_without_a_camera_the_button_says_what_to_do():
    stage.build(folder).camera = None
    assert "Add a camera to the scene" in refusal()


def test_the_image_is_the_engines_picture_to_the_last_byte():
    scene = stage.build(folder)
    assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}
    image = bpy.data.images["LVSM Target"]
    assert results.is_result(image) and np.array_equal(stage.image_bytes(image), stage.fake_picture(scene.camera))
    assert worker.state == "ready" and worker.device_name == "Fake CPU" and last_outcome.error is None


def test_the_image_stands_behind_its_camera():
    scene = stage.build(folder)
    bpy.ops.lvsm.synthesize_view()
    images = [entry.image for entry in scene.camera.data.background_images]
    assert images == [bpy.data.images["LVSM Target"]]


def test_a_target_camera_of_its_own_goes_before_the_scenes():
    scene = stage.build(folder)
    scene.lvsm.target_camera = bpy.data.objects["View 1"]
    assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}
    image = bpy.data.images["LVSM View 1"]
    assert np.array_equal(stage.image_bytes(image), stage.fake_picture(bpy.data.objects["View 1"]))


def test_a_result_of_a_camera_with_a_photo_feeds_no_model():
    scene = stage.build(folder)
    scene.lvsm.target_camera = bpy.data.objects["View 1"]
    bpy.ops.lvsm.synthesize_view()
    assert bpy.data.objects["View 1"].data.lvsm.photo.name.startswith("photo 1.png")
    assert len(input_views.input_views(scene, bpy.context.evaluated_depsgraph_get())) == 3


def test_use_fewer_views_feeds_the_model_with_as_many_and_leaves_all_photos_for_detail():
    scene = stage.build(folder)
    bpy.ops.lvsm.use_fewer_views(count=2)
    record = folder / "fewer.jsonl"
    with stage.fake_worker(record=record):
        bpy.ops.lvsm.synthesize_view()
    asked = json.loads(record.read_text())
    assert asked["max_model_views"] == 2 and len(asked["views"]) == 3
    outlook = target.last_outlook.now(scene, bpy.context.evaluated_depsgraph_get(), target.ingredients(scene))
    assert len(outlook.for_model) == 2


def test_a_camera_that_no_model_can_have_is_named():
    scene = stage.build(folder)
    scene.lvsm.target_camera = bpy.data.objects["View 1"]
    scene.lvsm.target_camera.data.type = "ORTHO"
    said = refusal()
    assert "View 1" in said and str(last_outcome.error) in said


def test_a_warning_is_kept_with_the_picture_until_the_next():
    stage.build(folder)
    with stage.fake_worker(warning="LVSM renders 128x128 pixels."):
        assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}
        assert last_outcome.warnings == ("LVSM renders 128x128 pixels.",)
    assert works() and last_outcome.warnings == ()


def test_a_picture_is_out_of_date_when_the_camera_the_frame_or_the_photos_change():
    scene = stage.build(folder)
    assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}

    def is_old():
        bpy.context.view_layer.update()
        return bpy.data.images["LVSM Target"][results.MADE_OF] != target.ingredients(scene)

    view = bpy.data.objects["View 1"]
    assert not is_old()
    for holder, name, value in (
        (scene.camera, "location", (1, 2, 3)),
        (scene.camera.data, "lens", 30),
        (scene, "frame_current", 7),
        (view, "location", (0, 0, 9)),
        (view.data.lvsm, "use_as_input", False),
        (scene.render, "resolution_x", 99),
        (scene.lvsm, "use_detail", False),
    ):
        former = getattr(holder, name)
        former = tuple(former) if name == "location" else former
        setattr(holder, name, value)
        assert is_old(), name
        setattr(holder, name, former)
        assert not is_old(), name


def test_a_camera_that_no_photo_tells_of_is_told_before_anything_is_computed():
    scene = stage.build(folder)

    def now():
        outlook = target.last_outlook.now(scene, bpy.context.evaluated_depsgraph_get(), target.ingredients(scene))
        return outlook.trust

    assert now().level == "good"
    scene.camera.location = (0, -2000, 0)
    bpy.context.view_layer.update()
    far = now()
    assert far.level == "poor" and "times as far from the subject" in " ".join(far.reasons), far
    scene.camera.data.type = "ORTHO"  # the button tells why that is none
    assert now() is far
    scene.camera.location = (0, 0, 0)
    bpy.context.view_layer.update()
    assert now().level == "good"


def test_where_only_another_scene_has_photos_the_button_says_so():
    stage.build(folder)
    other = bpy.data.scenes.new("Other")
    other.collection.objects.link(bpy.data.objects.new("Alone", bpy.data.cameras.new("Alone")))
    other.camera = other.collection.objects[0]
    assert synthesize.obstacle(other) == "Only another scene has cameras with photos"
    assert synthesize.obstacle(bpy.context.scene) == ""
    bpy.data.scenes.remove(other)


def test_missing_photos_are_counted_and_one_is_named():
    scene = stage.build(folder)
    for number in range(2):
        bpy.data.objects[f"View {number}"].data.lvsm.photo.filepath = str(folder / f"lost {number}.png")
    said = refusal()
    assert "2 photos are missing." in said and "lost 0.png, the photo of View 0, does not exist: locate it." in said, (
        said
    )
    assert last_outcome.error.remedy == "locate_photos" and scene


def test_a_picture_that_is_kept_stays():
    scene = stage.build(folder)
    assert not bpy.ops.lvsm.keep_result.poll()
    bpy.ops.lvsm.synthesize_view()
    assert bpy.ops.lvsm.keep_result() == {"FINISHED"} and not bpy.ops.lvsm.keep_result.poll()
    bpy.ops.lvsm.synthesize_view()
    bpy.ops.lvsm.synthesize_view()
    assert sorted(image.name for image in bpy.data.images if results.is_result(image)) == [
        "LVSM Target",
        "LVSM Target.001",
    ]
    assert scene.camera.data.background_images[0].image.name == "LVSM Target.001"


def test_the_render_size_becomes_the_photos_when_asked():
    scene = stage.build(folder)
    assert not bpy.ops.lvsm.use_photo_size.poll()  # the target has none
    scene.lvsm.target_camera = bpy.data.objects["View 1"]
    scene.render.resolution_x, scene.render.resolution_percentage, scene.render.pixel_aspect_x = 7, 50, 2
    assert bpy.ops.lvsm.use_photo_size() == {"FINISHED"}
    render = scene.render
    assert (render.resolution_x, render.resolution_y, render.resolution_percentage) == (*stage.SIZE, 100)
    assert render.pixel_aspect_x == render.pixel_aspect_y == 1
    assert target.what_comes_next(scene) == f"View 1, {stage.SIZE[0]} x {stage.SIZE[1]} px, frame 1"


def fails_with(words, fault):
    """Whether a worker with a fault makes the button say so, and the next worker serves again."""
    stage.build(folder)
    with stage.fake_worker(fault=fault):
        said = refusal()
        assert words in said, said
        remedy = last_outcome.error.remedy
    assert worker.state == "stopped" and works() and last_outcome.error is None
    return remedy


def test_an_engine_that_fails_is_said_so_and_the_next_attempt_works():
    assert fails_with("too little memory", "fail") == "open_log"


def test_an_engine_that_dies_twice_is_said_so_and_the_next_attempt_works():
    assert fails_with("ended with status 3", "die") == "open_log"


def test_an_engine_that_talks_nonsense_is_said_so_and_the_next_attempt_works():
    fails_with("do not understand each other", "nonsense")


def test_an_engine_that_ends_before_its_hello_is_said_so_and_the_next_attempt_works():
    fails_with("no room for torch", "stillborn")


def can_be_left(state, fault):
    """Whether a job of a worker that gets no further than a state ends when cancelled; Restart Engine is the way on."""
    stage.build(folder)
    with stage.fake_worker(fault=fault):
        job = synthesize.start(bpy.context, [bpy.context.scene.camera])
        stage.wait_until(lambda: worker.state == state)
        assert not job.poll()
        job.cancel()
        is_left = job.poll()  # without a word from the worker, which has none
        os.environ["LVSM_FAKE_FAULT"] = ""
        assert bpy.ops.lvsm.restart_engine() == {"FINISHED"} and works()
    return is_left


def test_an_engine_that_never_answers_can_be_left_and_restarted():
    assert can_be_left("busy", "silent")


def test_an_engine_that_never_gets_ready_can_be_left_and_restarted():
    assert can_be_left("starting", "mute")


def test_a_job_does_not_wait_for_its_picture_to_be_encoded():
    """A picture takes a while, and a window asks ten times a second."""
    stage.build(folder)
    is_free = threading.Event()
    synthesize.encoder.submit(is_free.wait, stage.HANG_SECONDS)
    try:
        job = synthesize.start(bpy.context, [bpy.context.scene.camera])
        stage.wait_until(lambda: job.poll() or job.request.done)
        assert not job.poll()
    finally:
        is_free.set()
    stage.wait_until(job.poll)
    (image,) = synthesize.finish(job)
    assert np.array_equal(stage.image_bytes(image), stage.fake_picture(bpy.context.scene.camera))


def test_a_python_that_is_not_there_is_named():
    stage.build(folder)
    worker.shutdown()
    python, os.environ["LVSM_PYTHON"] = os.environ["LVSM_PYTHON"], str(folder / "no python")
    try:
        assert "no python" in refusal() and last_outcome.error.remedy == "choose_python"
    finally:
        os.environ["LVSM_PYTHON"] = python
        worker.shutdown()
