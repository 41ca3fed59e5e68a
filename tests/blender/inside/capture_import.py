"""Import Capture: cameras where the file says, with photos, to the last digit; nothing is left of one that fails."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np
from bl_ext.user_default.lvsm import engine, input_views, results, scene_cameras

folder = Path(sys.argv[1])  # its name has a space and letters beyond ASCII
(folder / "photos").mkdir(parents=True)
FX, FY, CX, CY = 70.123456789012, 71.9, 31.25, 20.5


def pose(number):
    """Camera to world (4, 4), OpenGL axes: in a row, looking along -z."""
    matrix = np.eye(4)
    matrix[:3, 3] = number, 0.5, 4
    return matrix.tolist()


def write_photo(name):
    (folder / "photos" / name).write_bytes(results.encode_png(np.full((48, 64, 3), 99, np.uint8)))


frames = [{"file_path": f"photos/\u00e9 {number}.png", "transform_matrix": pose(number)} for number in range(12)]
for frame in frames:
    write_photo(Path(frame["file_path"]).name)
capture = {"fl_x": FX, "fl_y": FY, "cx": CX, "cy": CY, "w": 64, "h": 48, "k1": 0.01, "k2": 0.0, "p1": 0.0, "p2": 0.0}
file = folder / "transforms.json"
file.write_text(json.dumps(capture | {"frames": frames}), encoding="utf-8")

bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
scene = bpy.context.scene
bpy.ops.ed.undo_push(message="Before")
assert bpy.ops.lvsm.import_capture("EXEC_DEFAULT", True, filepath=str(file)) == {"FINISHED"}
collection = bpy.data.collections[folder.name]
cameras = list(collection.objects)
assert len(cameras) == 12 and scene.camera in cameras
assert sum(input_views.is_input_view(item) for item in cameras) == 8
assert all(item.data.lvsm.photo and item.data.show_background_images for item in cameras)
assert not any(item.data.lvsm.photo.has_data for item in cameras), "photos are opened before they are needed"

views = input_views.input_views(scene, bpy.context.evaluated_depsgraph_get())
assert len(views) == 8
for view in views:
    number = round(view.camera.position[0])
    assert view.photo == folder / "photos" / f"\u00e9 {number}.png", view.photo
    assert (view.camera.fx, view.camera.fy, view.camera.cx, view.camera.cy) == (FX, FY, CX, CY)
    assert (view.camera.width, view.camera.height) == (64, 48)
    assert view.distortion.kind == "brown" and view.distortion.coefficients[0] == 0.01
    assert np.allclose(view.camera.camera_to_world, np.array(pose(number)) @ np.diag([1, -1, -1, 1]), atol=1e-6)

# Blender's own lens is the photo's with square pixels.
shown = scene_cameras.engine_camera(cameras[0], bpy.context.evaluated_depsgraph_get(), (64, round(48 * FX / FY)))
assert abs(shown.fx - FX) < 1e-4 and abs(shown.fy - FX) < 1e-4 and abs(shown.cx - CX) < 1e-4
assert abs(shown.cy - CY * FX / FY) < 1e-4

# An edited photo keeps the lens of the one that it replaces; a picture of another shape has only Blender's.
for shape, is_kept in (((24, 32, 3), True), ((64, 48, 3), True), ((40, 40, 3), False)):
    edited = folder / f"edited {shape[1]} x {shape[0]}.png"
    edited.write_bytes(results.encode_png(np.zeros(shape, np.uint8)))
    cameras[0].data.lvsm.photo = bpy.data.images.load(str(edited))
    assert bool(cameras[0].data.lvsm.calibration) == is_kept, shape
cameras[0].data.lvsm.use_as_input = True
views = input_views.input_views(scene, bpy.context.evaluated_depsgraph_get())
(square,) = [view for view in views if view.photo == edited]
assert (square.camera.width, square.camera.height, square.distortion) == (40, 40, None)

bpy.ops.ed.undo()
assert not bpy.data.cameras and folder.name not in bpy.data.collections, "more than one undo step"

# What is wrong is said, and nothing is left.
broken = folder / "broken.json"
for text, words in (
    ("{", "broken.json"),
    (json.dumps({"frames": []}), "broken.json"),
    (json.dumps(capture | {"frames": [frames[0] | {"transform_matrix": [[0] * 4] * 4}]}), "broken.json"),
    (json.dumps(capture | {"frames": [frames[0], frames[1] | {"fl_y": 0.01}]}), "\u00e9 1.png, with square pixels"),
    (json.dumps(capture | {"frames": [{"file_path": "absent.png", "transform_matrix": pose(0)}]}), "broken.json"),
):
    broken.write_text(text)
    try:
        bpy.ops.lvsm.import_capture(filepath=str(broken))
    except RuntimeError as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"imported {text[:60]}")
    assert engine.failure is not None and words in str(engine.failure)
    assert not bpy.data.cameras and not bpy.data.collections and not bpy.data.objects
    assert not [image for image in bpy.data.images if image.source == "FILE"]
assert bpy.ops.lvsm.import_capture(filepath=str(file)) == {"FINISHED"}
assert engine.failure is None

# Photos that moved are found by name and, where names are alike, by their folders'; nothing is guessed.
bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
scene = bpy.context.scene
cameras = {}
for place in ("a", "b", "c"):
    (folder / "old" / place).mkdir(parents=True)
    path = folder / "old" / place / "0001.png"
    path.write_bytes(results.encode_png(np.full((48, 64, 3), ord(place), np.uint8)))
    cameras[place] = bpy.data.objects.new(place, bpy.data.cameras.new(place))
    scene.collection.objects.link(cameras[place])
    cameras[place].data.lvsm.photo = bpy.data.images.load(str(path))


def photo_paths():
    return {place: Path(item.data.lvsm.photo.filepath) for place, item in cameras.items()}


def locate(directory):
    return bpy.ops.lvsm.locate_photos(directory=str(directory))


assert locate(folder) == {"CANCELLED"}, "nothing is missing"
(folder / "old").rename(folder / "new")
engine.keep_failure(engine.LvsmError("missing"))
(folder / "empty").mkdir()
locate(folder / "empty")
assert str(engine.failure) == "missing" and photo_paths()["a"] == folder / "old" / "a" / "0001.png"
locate(folder / "new" / "a")
assert photo_paths() == {
    "a": folder / "new" / "a" / "0001.png",
    "b": folder / "old" / "b" / "0001.png",
    "c": folder / "old" / "c" / "0001.png",
}, photo_paths()
locate(folder / "new" / "a")  # that file has its camera
assert photo_paths()["b"] == folder / "old" / "b" / "0001.png"
locate(folder)
assert photo_paths() == {place: folder / "new" / place / "0001.png" for place in "abc"} and engine.failure is None
