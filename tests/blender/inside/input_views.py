"""Input views: which cameras feed the model, and with which pixels."""

import sys
from pathlib import Path

import bpy
import numpy as np
import stage

folder = Path(sys.argv[1])  # its name has a space and letters beyond ASCII
folder.mkdir(parents=True)
input_views, results, errors = (
    stage.addon(name) for name in ("scene.input_views", "scene.results", "bundled.lvsm_engine.errors")
)
last_outcome = stage.addon("last_outcome").last_outcome

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 4), dtype=np.uint8)
OPAQUE = PIXELS.copy()
OPAQUE[..., 3] = 255
LINEAR = np.where(OPAQUE <= 0.04045 * 255, OPAQUE / 255 / 12.92, ((OPAQUE / 255 + 0.055) / 1.055) ** 2.4)


def build(path=None):
    """A new scene with "Camera A", whose photo is a file with PIXELS, by default "photo", or another; its settings."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    settings = add_camera("Camera A").data.lvsm
    settings.photo = bpy.data.images.load(str(path or photo_file("photo \u0434.png")))
    return settings


def photo_file(name):
    path = folder / name
    path.write_bytes(results.encode_png(PIXELS[..., :3]))
    return path


def add_camera(name):
    camera_object = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    bpy.context.scene.collection.objects.link(camera_object)
    return camera_object


def views():
    return input_views.input_views(bpy.context.scene, bpy.context.evaluated_depsgraph_get())


def view_names():
    return [view.name for view in views()]


def refusal():
    try:
        views()
    except errors.CaptureError as error:
        return error
    raise AssertionError("nothing was refused")


def set_pixels(image, pixels):
    """Give an image pixels (H, W, 4) uint8, or float."""
    values = pixels.astype(np.float32) / 255 if pixels.dtype == np.uint8 else pixels
    image.pixels.foreach_set(np.ascontiguousarray(values[::-1], dtype=np.float32).ravel())


def generated(name, pixels, is_float=False):
    """An image with pixels (H, W, 4) uint8, or float."""
    image = bpy.data.images.new(name, pixels.shape[1], pixels.shape[0], alpha=True, float_buffer=is_float)
    set_pixels(image, pixels)
    return image


def test_a_scene_without_photos_says_to_add_some():
    build().photo = None
    assert refusal().remedy == errors.ADD_PHOTOS and not input_views.has_photos()


def test_a_file_goes_by_its_path_in_pixels_of_its_own_unopened():
    path = photo_file("by its path \u0434.png")
    settings = build(path)
    (view,) = views()
    assert view.photo == path and view.name == "Camera A"
    assert (view.camera.width, view.camera.height) == (8, 6)
    assert view.camera.fx == view.camera.fy
    assert not settings.photo.has_data, "the photo was opened for its size"


def test_a_camera_that_is_switched_off_feeds_nothing():
    settings = build()
    assert input_views.has_photos()
    settings.use_as_input = False
    assert not input_views.has_photos() and refusal().remedy == errors.ADD_PHOTOS


def test_a_background_image_alone_feeds_nothing():
    settings = build()
    add_camera("Camera B").data.background_images.new().image = settings.photo
    assert view_names() == ["Camera A"]


def test_a_result_feeds_nothing_even_where_it_was_put_as_a_photo():
    build()
    add_camera("Camera B").data.lvsm.photo = results.keep_result("Camera B", results.encode_png(PIXELS[..., :3]))
    assert view_names() == ["Camera A"]


def test_a_file_that_is_gone_is_named_with_its_camera_and_located():
    path = photo_file("lost.png")
    build(path)
    moved = folder / "moved" / path.name
    moved.parent.mkdir()
    path.rename(moved)
    error = refusal()
    assert str(path) in str(error) and "Camera A" in str(error) and error.remedy == errors.LOCATE_PHOTOS
    last_outcome.keep(error)
    bpy.ops.lvsm.locate_photos(directory=str(folder))
    assert last_outcome.error is None
    assert views()[0].photo == moved


def test_a_packed_photo_goes_as_its_files_bytes_whatever_the_file_is_called_now():
    path = photo_file("packed.png")
    settings = build(path)
    settings.photo.pack()
    path.rename(folder / "called otherwise.png")
    (view,) = views()
    assert view.photo.tobytes() == results.encode_png(PIXELS[..., :3])
    assert (view.camera.width, view.camera.height) == (8, 6)


def test_a_photo_that_was_painted_over_goes_as_pixels_packed_or_not():
    for is_packed in (False, True):
        settings = build()
        if is_packed:
            settings.photo.pack()
        painted = np.random.default_rng(1).integers(0, 256, (6, 8, 4), dtype=np.uint8)
        painted[..., 3] = 255
        set_pixels(settings.photo, painted)
        assert settings.photo.is_dirty and (views()[0].photo == painted[..., :3]).all()


def test_a_generated_photo_goes_as_pixels_with_its_alpha_where_it_matters():
    settings = build()
    settings.photo = generated("Painted", PIXELS)
    assert (views()[0].photo == PIXELS).all()
    settings.photo = generated("Opaque", OPAQUE)
    assert (views()[0].photo == OPAQUE[..., :3]).all()


def test_float_pixels_become_the_bytes_that_they_would_be_shown_as():
    settings = build()
    settings.photo = generated("Linear", LINEAR, is_float=True)
    assert (views()[0].photo == OPAQUE[..., :3]).all()


def test_float_files_of_any_colour_space_are_what_blender_shows():
    settings, seen = build(), set()
    scene, path = bpy.context.scene, folder / "shown.png"
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    written = bpy.data.images.new("Written", 8, 6, float_buffer=True)
    set_pixels(written, LINEAR)
    written.filepath_raw, written.file_format = str(folder / "light.exr"), "OPEN_EXR"
    written.save()
    for space in ("sRGB", "Non-Color", "ACEScg", "Filmic sRGB", "Linear Rec.709", "Linear Rec.2020"):
        settings.photo = bpy.data.images.load(str(folder / "light.exr"))
        settings.photo.colorspace_settings.name = space
        settings.photo.save_render(str(path), scene=scene)
        shown = bpy.data.images.load(str(path))
        expected = np.empty((6, 8, 4), np.float32)
        shown.pixels.foreach_get(expected.ravel())
        photo = views()[0].photo.astype(np.int16)
        assert np.abs(photo - np.rint(expected[::-1, :, :3] * 255)).max() <= 1, space
        seen.add(photo.tobytes())
    assert len(seen) == 5  # sRGB and data alone look alike


def test_a_packed_file_that_only_blender_decodes_goes_as_pixels():
    settings = build()
    settings.photo = bpy.data.images.new("Deep", 8, 6, float_buffer=True)
    set_pixels(settings.photo, LINEAR)
    settings.photo.pack()
    assert settings.photo.packed_file.data[:4] == b"v/1\x01" and (views()[0].photo == OPAQUE[..., :3]).all()


def test_a_lens_that_cannot_be_read_is_named_and_choosing_the_photo_again_mends_it():
    settings = build()
    for damaged in (
        "{",
        "[]",
        "{}",
        '{"fxfycxcy": [1, 1, 0], "size": [8, 6]}',
        '{"fxfycxcy": [-1, 1, 0, 0], "size": [8, 6]}',
    ):
        settings.calibration = damaged
        assert "Camera A: what the scene keeps of the photo's lens cannot be read" in str(refusal()), damaged
    settings.photo = settings.photo
    assert len(views()) == 1


def test_a_file_that_is_no_picture_is_named_with_its_camera():
    (folder / "nonsense.png").write_bytes(b"no picture")
    build(folder / "nonsense.png")
    assert "nonsense.png" in str(refusal()) and "Camera A" in str(refusal())


def test_a_sequence_is_refused():
    build().photo.source = "SEQUENCE"
    assert "not a single image" in str(refusal())


def test_a_photo_of_a_linked_file_is_found_from_that_file_on():
    settings = build()
    library = folder / "library"
    (library / "photos").mkdir(parents=True)
    linked = bpy.data.images.load(str(photo_file("library/photos/linked.png")))
    linked.filepath_raw = "//photos/linked.png"
    bpy.data.libraries.write(str(library / "asset.blend"), {linked}, path_remap="NONE")
    bpy.data.images.remove(linked)
    with bpy.data.libraries.load(str(library / "asset.blend"), link=True) as (_, wanted):
        wanted.images = ["linked.png"]
    settings.photo = wanted.images[0]
    assert settings.photo in bpy.data.libraries["asset.blend"].users_id
    assert settings.photo.filepath == "//photos/linked.png"
    assert views()[0].photo == library / "photos" / "linked.png"
