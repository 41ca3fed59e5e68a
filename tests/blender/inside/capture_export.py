"""Export Capture: what Blender has of a capture, written and read again, to the digits that it keeps."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np
import stage

folder = Path(sys.argv[1])  # its name has a space and letters beyond ASCII
(folder / "photos").mkdir(parents=True)
input_views, results, scene_cameras = (
    stage.addon(name) for name in ("scene.input_views", "scene.results", "scene.scene_cameras")
)
captures, errors = (stage.addon(f"bundled.lvsm_engine.{name}") for name in ("scene.captures", "errors"))
last_outcome = stage.addon("last_outcome").last_outcome

LENS = {"fl_x": 70.123456789012, "fl_y": 71.9, "cx": 31.25, "cy": 20.5, "w": 64, "h": 48, "k1": 0.01, "k2": 0.02}
FAR = np.array([447321.37, 5411876.25, 312.4])
PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 4), dtype=np.uint8)
MAP = folder / "map.json"


def frame(number, offset):
    matrix = np.eye(4)
    matrix[:3, 3] = np.array([number, 0.5, 4]) + offset
    return {"file_path": f"photos/\u00e9 {number}.png", "transform_matrix": matrix.tolist()}


def write_capture():
    (folder / "mask.png").write_bytes(results.encode_png(PIXELS[..., 0]))
    for number in range(3):
        (folder / f"photos/\u00e9 {number}.png").write_bytes(results.encode_png(PIXELS[..., :3]))
    frames = [frame(number, FAR) for number in range(3)]
    frames[1]["mask_path"] = "mask.png"
    MAP.write_text(json.dumps(LENS | {"frames": frames}))


def build(**options):
    """A new scene with a capture of three photos on a map's grid, one of them with a mask; another photo is painted."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    write_capture()
    assert bpy.ops.lvsm.import_capture(filepath=str(MAP), **options) == {"FINISHED"}
    painted = bpy.data.objects.new("Painted", bpy.data.cameras.new("Painted"))
    bpy.context.scene.collection.objects.link(painted)
    painted.data.lvsm.photo = bpy.data.images.new("Painted", 64, 48, alpha=True)
    painted.data.lvsm.photo.pixels.foreach_set((PIXELS[::-1] / np.float32(255)).ravel())


def export(name, writer):
    """Export into a new folder; the folder."""
    assert bpy.ops.lvsm.export_capture(directory=str(folder / name), writer=writer) == {"FINISHED"}
    return folder / name


def expect_the_same(place):
    before = {view.name: view for view in captures.load_capture(MAP).views}
    after = {view.photo.stem: view for view in captures.load_capture(place).views}
    assert sorted(after) == ["Painted", "\u00e9_0", "\u00e9_1", "\u00e9_2"]
    for name, view in before.items():
        other = after[Path(name).stem.replace(" ", "_")]
        assert np.abs(other.camera.camera_to_world - view.camera.camera_to_world).max() < 1e-5
        assert np.array_equal(other.camera.fxfycxcy, view.camera.fxfycxcy)
        assert other.distortion == view.distortion and other.photo.read_bytes() == view.photo.read_bytes()
    assert np.abs(after["Painted"].camera.position).max() < 1e-6  # of no capture: it stays where it is
    return after


def test_a_capture_comes_back_with_masks_and_from_the_origin_to_its_map():
    build()
    after = expect_the_same(export("nerfstudio", "transforms.json"))
    assert [after[f"\u00e9_{number}"].mask is not None for number in range(3)] == [False, True, False]


def test_a_capture_comes_back_from_a_colmap_model():
    build()
    expect_the_same(export("colmap", "COLMAP"))


def test_a_capture_that_was_turned_and_scaled_comes_back_as_its_file_had_it():
    build(up="Y", origin="SUBJECT", scale=0.25)
    expect_the_same(export("turned", "transforms.json"))


def test_painted_photos_are_written_with_their_alpha():
    build()
    image = bpy.data.images.load(str(export("painted", "COLMAP") / "images" / "Painted.png"))
    image.alpha_mode = "CHANNEL_PACKED"
    values = np.empty((48, 64, 4), np.float32)
    image.pixels.foreach_get(values.ravel())
    assert np.array_equal(np.rint(values[::-1] * 255).astype(np.uint8), PIXELS)


def test_the_offset_is_in_the_file_that_is_saved():
    build()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "saved.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(folder / "saved.blend"))
    expect_the_same(export("saved", "COLMAP"))


def test_what_is_wrong_is_said_and_nothing_is_left():
    build()
    taken = export("taken", "COLMAP")
    for act, words in (
        (lambda: bpy.ops.lvsm.export_capture(directory=str(taken), writer="COLMAP"), "images.txt is there already"),
        (lambda: bpy.ops.lvsm.export_capture(directory=str(MAP), writer="COLMAP"), "map.json"),
        (lambda: bpy.ops.lvsm.export_capture(), "No folder is chosen"),
    ):
        assert words in stage.refusal(act) and words in str(last_outcome.error)
    (folder / "photos" / "\u00e9 2.png").unlink()
    said = stage.refusal(lambda: bpy.ops.lvsm.export_capture(directory=str(folder / "lost")))
    assert "\u00e9 2.png" in said and not (folder / "lost").exists()


def test_without_photos_the_menu_says_why_not():
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    assert not bpy.ops.lvsm.export_capture.poll()
