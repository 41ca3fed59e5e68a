"""The render engine: files equal to the engine's picture, whatever part of the frame is asked for; no file on failure."""

import json
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

sys.path.insert(0, str(Path(__file__).parent))
import stage

folder = Path(tempfile.mkdtemp())
scene = stage.build(folder)
render = scene.render
render.engine = "LVSM"
render.image_settings.file_format = "PNG"
render.image_settings.color_mode = "RGBA"
engine, render_engine = stage.addon("engine"), stage.addon("render_engine")


def rendered(name):
    """Render into a file; its path."""
    render.filepath = str(folder / name)
    bpy.ops.render.render(write_still=True)
    return Path(render.filepath)


# A new scene changes the colours, is told so, and is left alone until the button is used.
changes = render_engine.changes_to_colors(scene)
assert len(changes) == 2 and "AgX" in changes[0] and changes[1] == "Dither", changes
rendered("changed.png")
assert render_engine.changes_to_colors(scene) == changes
bpy.ops.lvsm.use_exact_colors()
assert render_engine.changes_to_colors(scene) == []

# Every byte value comes through.
target = stage.fake_picture(scene.camera)
assert len(np.unique(target)) == 256
assert np.array_equal(stage.file_bytes(rendered("frame.png")), target)

# So they do after another working space was chosen (5.0 on) and the button used again.
if hasattr(bpy.data, "colorspace"):
    bpy.ops.wm.set_working_color_space(working_space="ACEScg", convert_colors=False)
    assert render_engine.changes_to_colors(bpy.context.scene) == ["Working space ACEScg"]
    bpy.ops.lvsm.use_exact_colors()
    assert np.array_equal(stage.file_bytes(rendered("working space.png")), target)

# Any border, cropped or not, at sizes that percentages leave odd.
choose = random.Random(0)
for number in range(24):
    render.resolution_x, render.resolution_y = choose.randint(30, 200), choose.randint(30, 200)
    render.resolution_percentage = choose.choice((100, 77, 33))
    render.use_border, render.use_crop_to_border = True, number % 2 == 0
    left, bottom = (choose.choice((0, 0.1, choose.uniform(0, 0.4))) for _ in "xy")
    right, top = (choose.choice((1, 0.9, choose.uniform(0.6, 1))) for _ in "xy")
    render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = left, right, bottom, top
    target = stage.fake_picture(scene.camera)
    height, width, _ = target.shape
    x0, y0, x1, y1 = render_engine.frame_window(render, width, height)
    window = np.s_[height - y1 : height - y0, x0:x1]
    pixels = stage.file_bytes(rendered("border.png"))
    if render.use_crop_to_border:
        assert np.array_equal(pixels, target[window])
    else:
        assert np.array_equal(pixels[window], target[window])
        pixels[window] = 0
        assert not pixels.any(), "outside the border there is nothing"
render.use_border = False
render.resolution_x, render.resolution_y, render.resolution_percentage = *stage.SIZE, 100

# View layers: each has the picture.
scene.view_layers.new("Second")
assert np.array_equal(stage.file_bytes(rendered("layers.png")), stage.fake_picture(scene.camera))
scene.view_layers.remove(scene.view_layers["Second"])

# An animated camera is where it is at each frame.
scene.camera.keyframe_insert("location", frame=1)
scene.camera.location.x += 2
scene.camera.keyframe_insert("location", frame=3)
scene.frame_start, scene.frame_end = 1, 3
render.filepath = str(folder / "animation_####.png")
bpy.ops.render.render(animation=True)
frames = []
for frame in (1, 2, 3):
    scene.frame_set(frame)
    frames.append(stage.file_bytes(folder / f"animation_{frame:04}.png"))
    assert np.array_equal(frames[-1], stage.fake_picture(scene.camera))
assert not np.array_equal(frames[0], frames[1])
scene.camera.animation_data_clear()

# Stereo: what lies in the plane of convergence is at the same pixel for both eyes, what lies behind is not.
record = folder / "record.json"
os.environ["LVSM_FAKE_RECORD"] = str(record)
engine.shutdown()
render.use_multiview = True
stereo = scene.camera.data.stereo
stereo.convergence_mode, stereo.convergence_distance, stereo.interocular_distance = "OFFAXIS", 4, 0.5
rendered("stereo.png")
assert {path.name for path in folder.glob("stereo*")} == {"stereo_L.png", "stereo_R.png"}
eyes = json.loads(record.read_text().splitlines()[-1])["cameras"]
points = np.array([scene.camera.matrix_world @ Vector(point) for point in ((0, 0, -4), (0.5, 0.3, -4), (0, 0, -40))])


def seen(eye):
    """(N, 2) pixels."""
    pose = np.array(eye["camera_to_world"])
    fx, fy, cx, cy = eye["fxfycxcy"]
    x, y, depth = ((points - pose[:3, 3]) @ pose[:3, :3]).T
    return np.stack([fx * x / depth + cx, fy * y / depth + cy], axis=-1)


left, right = map(seen, eyes)
assert np.abs(left[:2] - right[:2]).max() < 0.01 and abs(left[2, 0] - right[2, 0]) > 5
render.use_multiview = False
del os.environ["LVSM_FAKE_RECORD"]


# Blender is told of the progress; its break ends the wait at once, and the engine's work.
class Listener:
    """What a render needs of Blender's engine to follow a request."""

    def __init__(self, break_after=1e9):
        self.fractions, self.stats, self.ends = [], [], time.monotonic() + break_after

    def test_break(self):
        return time.monotonic() > self.ends

    def update_progress(self, fraction):
        self.fractions.append(fraction)

    def update_stats(self, left, right):
        self.stats.append(right)


def asked():
    depsgraph = bpy.context.evaluated_depsgraph_get()
    return engine.render(scene, depsgraph, [render_engine.scene_cameras.engine_camera(scene.camera, depsgraph)])


os.environ["LVSM_FAKE_SECONDS"] = "2"
engine.shutdown()
listener = Listener()
images = render_engine.follow(listener, asked())
assert images.shape == (1, *stage.SIZE[::-1], 3)
assert listener.fractions == sorted(listener.fractions) and listener.fractions[-1] > 0.7
assert listener.stats[0] == "Starting the engine" and "Rendering, 0:01 left" in listener.stats
os.environ["LVSM_FAKE_SECONDS"] = "60"
engine.shutdown()
listener = Listener(break_after=1)
try:
    render_engine.follow(listener, asked())
    raise AssertionError("the break was not heard")
except sys.modules[engine.LvsmError.__module__].Cancelled:
    assert time.monotonic() - listener.ends < 0.3
del os.environ["LVSM_FAKE_SECONDS"]

# An engine that is stopped under a render: no black file.
os.environ["LVSM_FAKE_SECONDS"] = "60"
engine.shutdown()
threading.Timer(1.5, engine.shutdown).start()
try:
    rendered("stopped.png")
    raise AssertionError("it was taken for a picture")
except RuntimeError as error:
    assert "The engine was stopped while it rendered: render again." in str(error), error
assert not (folder / "stopped.png").exists() and "was stopped" in str(engine.failure)
del os.environ["LVSM_FAKE_SECONDS"]

# Failures: a sentence, no file; then it works again.
for fault, words in (("fail", "too little memory"), ("die", "ended with status 3")):
    engine.shutdown()
    os.environ["LVSM_FAKE_FAULT"] = fault
    try:
        rendered(f"{fault}.png")
        raise AssertionError("it was not refused")
    except RuntimeError as error:
        assert words in str(error), error
    assert not (folder / f"{fault}.png").exists() and words in str(engine.failure)
    del os.environ["LVSM_FAKE_FAULT"]
    engine.shutdown()
    assert np.array_equal(stage.file_bytes(rendered("again.png")), stage.fake_picture(scene.camera))

# Blender's own panels for any engine are there for this one.
assert "LVSM" in bpy.types.RENDER_PT_output.COMPAT_ENGINES and "LVSM" in bpy.types.DATA_PT_lens.COMPAT_ENGINES
assert "LVSM" not in bpy.types.RENDER_PT_freestyle.COMPAT_ENGINES
engine.shutdown()
print("render engine: passed")
