"""Synthesize View as scripts call it: at once, exact, and with a sentence when it cannot be."""

import os
import sys
import tempfile
import time
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import stage

folder = Path(tempfile.mkdtemp())


def refusal():
    """What bpy.ops says instead of synthesizing."""
    before = set(bpy.data.images)
    try:
        bpy.ops.lvsm.synthesize_view()
    except RuntimeError as error:
        assert set(bpy.data.images) == before, "a failure leaves no image"
        return str(error)
    raise AssertionError("it was not refused")


# Without photos, and without a camera, the button says what to do.
scene = stage.build(folder, views=0)
engine, results, synthesize = stage.addon("engine"), stage.addon("results"), stage.addon("synthesize")
assert "Add a photo to at least one camera" in refusal()
scene.camera = None
assert "Add a camera to the scene" in refusal()

# The image is the engine's picture to the last byte, and stands behind its camera.
scene = stage.build(folder)
assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}
image = bpy.data.images["LVSM Target"]
assert results.is_result(image) and np.array_equal(stage.image_bytes(image), stage.fake_picture(scene.camera))
assert [entry.image for entry in scene.camera.data.background_images] == [image]
assert engine.state() == "ready" and engine.device_name() == "Fake CPU" and engine.failure is None

# A target camera of its own goes before the scene's; a result feeds no model.
scene.lvsm.target_camera = bpy.data.objects["View 1"]
assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}
image = bpy.data.images["LVSM View 1"]
assert np.array_equal(stage.image_bytes(image), stage.fake_picture(bpy.data.objects["View 1"]))
assert bpy.data.objects["View 1"].data.lvsm.photo.name == "photo 1.png"
assert len(stage.addon("input_views").input_views(scene, bpy.context.evaluated_depsgraph_get())) == 3

# Fewer views: those that are left are switched on, the others off.
bpy.ops.lvsm.use_fewer_views(count=2)
assert [item.data.lvsm.use_as_input for item in scene.objects if item.name.startswith("View")].count(True) == 2
for item in scene.objects:
    item.data.lvsm.use_as_input = True

# A camera that no model can have.
scene.lvsm.target_camera.data.type = "ORTHO"
said = refusal()
assert "View 1" in said and str(engine.failure) in said
scene.lvsm.target_camera.data.type = "PERSP"
scene.lvsm.target_camera = None

# An engine that fails, one that dies twice: a sentence each; the next attempt works.
for fault, words in (("fail", "too little memory"), ("die", "ended with status 3")):
    engine.shutdown()
    os.environ["LVSM_FAKE_FAULT"] = fault
    said = refusal()
    assert words in said and engine.failure.remedy == "open_log", said
    del os.environ["LVSM_FAKE_FAULT"]
    engine.shutdown()
    assert engine.state() == "stopped"
    assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}
    assert engine.failure is None

# One that never answers, or never gets ready: it can be left at once, and Restart Engine is the way on.
for fault, state in (("silent", "busy"), ("mute", "starting")):
    engine.shutdown()
    os.environ["LVSM_FAKE_FAULT"] = fault
    job = synthesize.start(bpy.context)
    began = time.monotonic()
    while time.monotonic() < began + 0.5 or engine.state() != state:
        assert not job.poll() and time.monotonic() < began + 20, (fault, engine.state())
        time.sleep(0.02)
    began = time.monotonic()
    job.cancel()
    assert job.poll() and time.monotonic() - began < 0.3
    del os.environ["LVSM_FAKE_FAULT"]
    assert bpy.ops.lvsm.restart_engine() == {"FINISHED"}
    assert time.monotonic() - began < 0.6, "the restart waited for the old process"
    assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}

# One that talks nonsense, or ends before it says hello.
for fault, words in (("nonsense", "do not understand each other"), ("stillborn", "no room for torch")):
    engine.shutdown()
    os.environ["LVSM_FAKE_FAULT"] = fault
    said = refusal()
    assert words in said, said
    del os.environ["LVSM_FAKE_FAULT"]
    engine.shutdown()
    assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}

# A Python that is not there.
os.environ["LVSM_PYTHON"] = str(folder / "no python")
said = refusal()
assert "no python" in said and engine.failure.remedy == "choose_python", said
engine.shutdown()
print("synthesize: passed")
