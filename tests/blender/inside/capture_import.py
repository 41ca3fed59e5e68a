"""Import Capture: cameras where the file says, with photos, to the last digit; nothing is left of one that fails."""

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
last_outcome, errors = stage.addon("last_outcome").last_outcome, stage.addon("bundled.lvsm_engine.errors")

FX, FY, CX, CY = 70.123456789012, 71.9, 31.25, 20.5
LENS = {"fl_x": FX, "fl_y": FY, "cx": CX, "cy": CY, "w": 64, "h": 48, "k1": 0.01, "k2": 0.0, "p1": 0.0, "p2": 0.0}
PHOTO_COUNT = 12


def pose(number):
    """Camera to world (4, 4), OpenGL axes: in a row, looking along -z."""
    matrix = np.eye(4)
    matrix[:3, 3] = number, 0.5, 4
    return matrix.tolist()


def photo_path(number):
    return folder / "photos" / f"\u00e9 {number}.png"


def write_capture(name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


FRAMES = [
    {"file_path": f"photos/{photo_path(number).name}", "transform_matrix": pose(number)}
    for number in range(PHOTO_COUNT)
]
for number in range(PHOTO_COUNT):
    photo_path(number).write_bytes(results.encode_png(np.full((48, 64, 3), 99, np.uint8)))
CAPTURE = write_capture("transforms.json", json.dumps(LENS | {"frames": FRAMES}))


def empty_scene():
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    bpy.ops.ed.undo_push(message="Before")
    return bpy.context.scene


def build():
    """A new scene with the capture; its cameras."""
    empty_scene()
    assert bpy.ops.lvsm.import_capture("EXEC_DEFAULT", True, filepath=CAPTURE) == {"FINISHED"}
    return list(bpy.data.collections[folder.name].objects)


def views():
    return input_views.input_views(bpy.context.scene, bpy.context.evaluated_depsgraph_get())


def test_a_capture_becomes_a_collection_of_cameras_with_photos_that_show():
    cameras = build()
    assert len(cameras) == PHOTO_COUNT and bpy.context.scene.camera in cameras
    assert all(item.data.lvsm.photo and item.data.show_background_images for item in cameras)


def test_the_camera_of_a_new_file_gives_way_unless_someone_has_moved_it():
    for is_moved in (False, True):
        bpy.ops.wm.read_homefile(use_factory_startup=True)
        first = bpy.context.scene.camera
        first.location.x += is_moved
        assert bpy.ops.lvsm.import_capture(filepath=CAPTURE) == {"FINISHED"}
        assert (bpy.context.scene.camera == first) == is_moved
    assert bpy.data.collections[folder.name].objects[0] != first


def test_a_second_import_brings_the_cameras_up_to_date_or_makes_a_copy():
    cameras = build()
    moved, renamed = cameras[3], cameras[4]
    was = tuple(moved.location)
    moved.location.x += 5
    renamed.name, renamed.data.lvsm.use_as_input = "Mine", False
    assert bpy.ops.lvsm.import_capture(filepath=CAPTURE) == {"FINISHED"}
    assert len(bpy.data.cameras) == PHOTO_COUNT and tuple(moved.location) == was
    assert renamed.name == "Mine" and not renamed.data.lvsm.use_as_input
    assert all(len(item.data.background_images) == 1 for item in cameras)
    assert bpy.ops.lvsm.import_capture(filepath=CAPTURE, makes_copy=True) == {"FINISHED"}
    assert len(bpy.data.cameras) == 2 * PHOTO_COUNT and len(bpy.context.scene.collection.children) == 2


def test_photos_of_one_name_are_told_apart_when_they_are_imported_again():
    (folder / "other").mkdir()
    (folder / "other" / photo_path(0).name).write_bytes(photo_path(0).read_bytes())
    other = {"file_path": f"other/{photo_path(0).name}", "transform_matrix": pose(7)}
    capture = write_capture("alike.json", json.dumps(LENS | {"frames": [FRAMES[0], other]}))
    empty_scene()
    for _ in range(2):
        assert bpy.ops.lvsm.import_capture(filepath=capture) == {"FINISHED"}
        assert sorted(view.camera.position[0] for view in views()) == [0, 7]


def test_the_size_of_a_photo_is_that_of_its_square_pixels():
    build()
    bpy.context.scene.render.resolution_x = 7
    assert bpy.ops.lvsm.use_photo_size() == {"FINISHED"}
    assert (bpy.context.scene.render.resolution_x, bpy.context.scene.render.resolution_y) == (64, round(48 * FX / FY))


def test_photos_are_not_opened_before_they_are_needed():
    assert not any(item.data.lvsm.photo.has_data for item in build())


def test_all_photos_are_used():
    assert sum(input_views.is_input_view(item) for item in build()) == len(build())
    assert len(views()) == len(build())


def test_the_views_are_the_captures_to_the_last_digit():
    build()
    for view in views():
        number = round(view.camera.position[0])
        assert view.photo == photo_path(number), view.photo
        assert (view.camera.fx, view.camera.fy, view.camera.cx, view.camera.cy) == (FX, FY, CX, CY)
        assert (view.camera.width, view.camera.height) == (64, 48)
        assert view.distortion.kind == "brown" and view.distortion.coefficients[0] == 0.01
        assert np.allclose(view.camera.camera_to_world, np.array(pose(number)) @ np.diag([1, -1, -1, 1]), atol=1e-6)


def test_blenders_own_lens_is_the_photos_with_square_pixels():
    cameras = build()
    size = (64, round(48 * FX / FY))
    shown = scene_cameras.camera_from_blender(cameras[0], bpy.context.evaluated_depsgraph_get(), size)
    assert abs(shown.fx - FX) < 1e-4 and abs(shown.fy - FX) < 1e-4 and abs(shown.cx - CX) < 1e-4
    assert abs(shown.cy - CY * FX / FY) < 1e-4


def edit_photo(camera_object, width, height):
    """Put another picture of this size in the place of a camera's photo; its path."""
    edited = folder / f"edited {width} x {height}.png"
    edited.write_bytes(results.encode_png(np.zeros((height, width, 3), np.uint8)))
    camera_object.data.lvsm.photo = bpy.data.images.load(str(edited))
    return edited


def test_an_edited_photo_keeps_the_lens_of_the_one_that_it_replaces():
    camera_object = build()[0]
    for width, height in ((32, 24), (48, 64), (65, 48)):  # smaller; upright, as EXIF says; rounded otherwise
        edit_photo(camera_object, width, height)
        assert camera_object.data.lvsm.calibration, (width, height)


def test_a_picture_of_another_shape_has_only_blenders_lens():
    camera_object = build()[0]
    edited = edit_photo(camera_object, 40, 40)
    assert not camera_object.data.lvsm.calibration
    camera_object.data.lvsm.use_as_input = True
    (square,) = [view for view in views() if view.photo == edited]
    assert (square.camera.width, square.camera.height, square.distortion) == (40, 40, None)


def test_an_import_is_one_undo_step():
    build()
    bpy.ops.ed.undo()
    assert not bpy.data.cameras and folder.name not in bpy.data.collections


def test_what_is_wrong_is_said_and_nothing_is_left():
    empty_scene()
    first, second = FRAMES[:2]
    for capture, words in (
        ("{", "broken.json"),
        (json.dumps({"frames": []}), "broken.json"),
        (json.dumps(LENS | {"frames": [first | {"transform_matrix": [[0] * 4] * 4}]}), "broken.json"),
        (json.dumps(LENS | {"frames": [first, second | {"fl_y": 0.01}]}), "\u00e9 1.png, with square pixels"),
        (json.dumps(LENS | {"frames": [first | {"file_path": "absent.png"}]}), "broken.json"),
    ):
        broken = write_capture("broken.json", capture)
        said = stage.refusal(lambda broken=broken: bpy.ops.lvsm.import_capture(filepath=broken))
        assert words in said and words in str(last_outcome.error), said
        assert not bpy.data.cameras and not bpy.data.collections and not bpy.data.objects
        assert not [image for image in bpy.data.images if image.source == "FILE"]


def test_the_next_import_forgets_the_failure_of_the_last():
    empty_scene()
    last_outcome.keep(errors.CaptureError("broken"))
    assert bpy.ops.lvsm.import_capture(filepath=CAPTURE) == {"FINISHED"}
    assert last_outcome.error is None


def write_colmap_model(place):
    """A COLMAP model of the first two photos in a folder; the folder."""
    place.mkdir(parents=True)
    (place / "cameras.txt").write_text(f"1 OPENCV 64 48 {FX} {FY} {CX} {CY} 0.01 0 0 0\n")
    lines = [f"{number + 1} 1 0 0 0 {-number} 0 0 1 {photo_path(number).name}\n\n" for number in range(2)]
    (place / "images.txt").write_text("".join(lines), encoding="utf-8")
    return place


def test_a_colmap_model_is_imported_by_its_folder_or_any_of_its_files():
    model = write_colmap_model(folder / "sparse" / "0")
    for chosen in (model, model / "images.txt", f"{model}/"):
        empty_scene()
        assert bpy.ops.lvsm.import_capture(filepath=str(chosen)) == {"FINISHED"}
        first, second = views()
        assert [view.photo for view in (first, second)] == [photo_path(0), photo_path(1)]
        assert (first.camera.fx, first.distortion.coefficients[0]) == (FX, 0.01)
        assert np.allclose(second.camera.position, [1, 0, 0])


def test_the_dialog_shows_the_files_of_every_format():
    shown = bpy.ops.lvsm.import_capture.get_rna_type().properties["filter_glob"].default.split(";")
    assert {"*.json", "*.txt", "*.bin", "*.xml", "*.csv", "*.sfm", "*.out"} == set(shown)


def test_masks_come_with_their_photos():
    (folder / "masks").mkdir()
    mask = folder / "masks" / "0.png"
    mask.write_bytes(results.encode_png(np.full((48, 64, 3), 255, np.uint8)))
    capture = write_capture(
        "masked.json", json.dumps(LENS | {"frames": [FRAMES[0] | {"mask_path": "masks/0.png"}, FRAMES[1]]})
    )
    empty_scene()
    assert bpy.ops.lvsm.import_capture(filepath=capture) == {"FINISHED"}
    assert [view.mask for view in views()] == [mask, None]


def test_cameras_on_a_maps_grid_are_moved_to_the_origin():
    far = np.array([447321.37, 5411876.25, 312.4])
    frames = []
    for number, frame in enumerate(FRAMES[:3]):
        matrix = np.array(pose(number))
        matrix[:3, 3] += far
        frames.append(frame | {"transform_matrix": matrix.tolist()})
    empty_scene()
    assert bpy.ops.lvsm.import_capture(filepath=write_capture("far.json", json.dumps(LENS | {"frames": frames}))) == {
        "FINISHED"
    }
    positions = np.array([view.camera.position for view in views()])
    expected = np.array([pose(number) for number in range(3)])[:, :3, 3] + far
    offsets = expected - positions
    assert np.abs(offsets - np.round(offsets[0])).max() < 1e-5, offsets
    assert np.abs(positions).max() < 10


def test_a_capture_can_stand_upright_around_its_subject_at_another_scale():
    empty_scene()
    assert bpy.ops.lvsm.import_capture(filepath=CAPTURE, up="Y", origin="SUBJECT", scale=2.0) == {"FINISHED"}
    cameras = bpy.data.collections[folder.name].objects
    assert np.allclose([item.matrix_world.col[1][:3] for item in cameras], [0, 0, 1], atol=1e-6)
    steps = np.diff(sorted(item.location.x for item in cameras))
    assert np.allclose(steps, 2, atol=1e-5), steps


def test_every_second_photo_can_be_left_out():
    empty_scene()
    assert bpy.ops.lvsm.import_capture(filepath=CAPTURE, step=2) == {"FINISHED"}
    assert len(bpy.data.collections[folder.name].objects) == PHOTO_COUNT / 2


def test_sparse_points_come_as_an_object_that_no_render_shows():
    model = write_colmap_model(folder / "with_points" / "sparse" / "0")
    (model / "points3D.txt").write_text("1 0.5 1.5 2.5 9 9 9 0.1 1 0\n2 -1 0 3 9 9 9 0.1 1 0\n")
    empty_scene()
    for _ in range(2):  # the second time in place of the first
        assert bpy.ops.lvsm.import_capture(filepath=str(model), has_points=True) == {"FINISHED"}
        (points,) = (item for item in bpy.data.objects if item.type == "MESH")
        assert points.hide_render and len(bpy.data.meshes) == 1
        assert np.allclose([vertex.co[:] for vertex in points.data.vertices], [[0.5, 1.5, 2.5], [-1, 0, 3]])


def test_files_of_posed_photos_may_be_dropped_into_a_3d_view():
    handler = bpy.types.FileHandler.bl_rna_get_subclass_py("LVSM_FH_capture")
    assert handler.bl_import_operator == "lvsm.import_capture"
    assert {".json", ".xml", ".bin"} <= set(handler.bl_file_extensions.split(";"))


def locate(directory):
    return bpy.ops.lvsm.locate_photos(directory=str(directory))


class Lost:
    """A new scene with cameras "a", "b", "c", whose photos, all called 0001.png, were moved from `old` to `new`."""

    def __init__(self, name):
        empty_scene()
        self.folder, self.old, self.new = folder / name, folder / name / "old", folder / name / "new"
        for place in "abc":
            path = self.old / place / "0001.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(results.encode_png(np.full((48, 64, 3), ord(place), np.uint8)))
            camera_object = stage.add_camera(place, (0, 0, 0))
            camera_object.data.lvsm.photo = bpy.data.images.load(str(path))
        self.old.rename(self.new)
        last_outcome.keep(errors.CaptureError("missing"))

    def photos(self):
        """Where the photos of the three are thought to be."""
        cameras = (bpy.data.objects[place].data for place in "abc")
        return [Path(camera.lvsm.photo.filepath) for camera in cameras]


def test_where_no_photo_is_missing_there_is_nothing_to_locate():
    build()
    assert locate(folder) == {"CANCELLED"}


def test_a_folder_without_the_photos_changes_nothing():
    lost = Lost("nothing found")
    (lost.folder / "empty").mkdir()
    locate(lost.folder / "empty")
    assert str(last_outcome.error) == "missing" and lost.photos() == [lost.old / place / "0001.png" for place in "abc"]


def test_photos_of_one_name_are_located_by_their_folders_and_nothing_is_guessed():
    lost = Lost("one found")
    only_a = [lost.new / "a" / "0001.png", lost.old / "b" / "0001.png", lost.old / "c" / "0001.png"]
    locate(lost.new / "a")
    assert lost.photos() == only_a
    locate(lost.new / "a")  # that file has its camera
    assert lost.photos() == only_a


def test_all_that_moved_is_located_at_once():
    lost = Lost("all found")
    locate(lost.folder)
    assert lost.photos() == [lost.new / place / "0001.png" for place in "abc"] and last_outcome.error is None
