"""Import Capture: a file of posed photos becomes cameras with photos, in a collection; and lost photos are found."""

from pathlib import Path

import bpy
import numpy as np
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from lvsm_engine.errors import ADD_PHOTOS, CaptureError, LvsmError
from lvsm_engine.scene.camera import View, square_pixels
from lvsm_engine.scene.captures import Capture, load_capture
from lvsm_engine.scene.selection import spread_views

from . import engine, input_views, scene_cameras

# More photos cost memory and time sooner than they improve the picture.
DEFAULT_INPUT_VIEWS = 8
# A camera's size on the screen, in units of the cameras' spread.
DISPLAY_SIZE = 0.1


def import_capture(context: bpy.types.Context, path: Path) -> tuple[bpy.types.Collection, Capture]:
    """Make cameras of a capture, where the file says: Blender's world is the capture's.

    The scene's own camera is set only where it had none. Photos are opened when they are needed.
    Raises CaptureError or CameraError, with nothing made.
    """
    capture = load_capture(path, photo_size=_photo_size)
    photos = [_open(view.photo) if isinstance(view.photo, Path) else None for view in capture.views]
    with_photo = [position for position, view in enumerate(capture.views) if view.photo is not None]
    spread = spread_views([capture.views[position].camera for position in with_photo], DEFAULT_INPUT_VIEWS)
    used = {with_photo[index] for index in spread}
    display_size = DISPLAY_SIZE * _spread(capture.views)
    collection = bpy.data.collections.new(capture.name)
    context.scene.collection.children.link(collection)
    for position, (view, photo) in enumerate(zip(capture.views, photos, strict=True)):
        camera_object = _camera_object(view, photo)
        camera_object.data.display_size = display_size
        camera_object.data.lvsm.use_as_input = position in used
        collection.objects.link(camera_object)
        context.window_manager.progress_update(position)
    if context.scene.camera is None:
        context.scene.camera = collection.objects[0]
    return collection, capture


def _spread(views: tuple[View, ...]) -> float:
    """Root mean square distance of the cameras from their middle; 1 where they are in one place."""
    positions = np.stack([view.camera.position for view in views])
    return float(np.sqrt(((positions - positions.mean(axis=0)) ** 2).sum(axis=1).mean())) or 1.0


def _camera_object(view: View, photo: bpy.types.Image | None) -> bpy.types.Object:
    lens = bpy.data.cameras.new(view.name)
    camera_object = bpy.data.objects.new(view.name, lens)
    # Blender shows one pixel aspect in all cameras, the scene's: its lens is that of the photo with square pixels.
    scene_cameras.set_lens(lens, square_pixels(view.camera))
    scene_cameras.set_pose(camera_object, view.camera.camera_to_world)
    if photo is not None:
        lens.lvsm.photo = photo
        lens.background_images.new().image = photo
        lens.show_background_images = True
    input_views.set_calibration(lens, view.camera, view.distortion)
    return camera_object


def _open(path: Path) -> bpy.types.Image:
    """The image of a file, whose pixels Blender reads when it needs them. Raises CaptureError."""
    try:
        return bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError as error:
        raise CaptureError(f"{path} cannot be read: put the photo there, then import again.", ADD_PHOTOS) from error


def _photo_size(path: Path) -> tuple[int, int]:
    """Width and height by Blender's own image library, for captures that do not tell."""
    known = set(bpy.data.images)
    image = _open(path)
    width, height = image.size
    if image not in known:
        bpy.data.images.remove(image)
    if not (width and height):
        raise CaptureError(f"{path} is not an image that Blender can read: convert it to PNG or JPEG.")
    return width, height


class LVSM_OT_import_capture(bpy.types.Operator, ImportHelper):
    """Import posed photos (transforms.json, opencv_cameras.json) as cameras with photos"""

    bl_idname = "lvsm.import_capture"
    bl_label = "Import Capture"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".json"
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    def execute(self, context):
        engine.forget_failure()
        window_manager = context.window_manager
        window_manager.progress_begin(0, 1000)
        try:
            collection, capture = import_capture(context, Path(bpy.path.abspath(self.filepath)))
        except LvsmError as error:
            engine.keep_failure(error)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        finally:
            window_manager.progress_end()
        for warning in capture.warnings:
            self.report({"WARNING"}, warning)
        self.report({"INFO"}, f"Imported {len(capture.views)} cameras into {collection.name}")
        return {"FINISHED"}


class LVSM_OT_locate_photos(bpy.types.Operator):
    """Look for missing photos in a folder, by their names"""

    bl_idname = "lvsm.locate_photos"
    bl_label = "Locate Photos"
    bl_options = {"REGISTER", "UNDO"}

    directory: StringProperty(subtype="DIR_PATH")
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context, event):
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        missing = missing_photos(context.scene)
        files = {path.name: path for path in sorted(Path(self.directory).rglob("*"), reverse=True) if path.is_file()}
        for image in missing:
            name = Path(bpy.path.abspath(image.filepath)).name
            if name in files:
                image.filepath = str(files[name])
                image.reload()
        engine.forget_failure()
        left = missing_photos(context.scene)
        if left:
            self.report({"WARNING"}, f"{len(left)} photos are still missing, among them {left[0].name}")
        else:
            self.report({"INFO"}, f"{len(missing)} photos located")
        return {"FINISHED"}


def missing_photos(scene: bpy.types.Scene) -> list[bpy.types.Image]:
    """The photos of the scene's cameras whose files do not exist."""
    photos = {item.data.lvsm.photo for item in scene.objects if item.type == "CAMERA"} - {None}
    on_disk = [photo for photo in photos if photo.source == "FILE" and not photo.packed_file]
    missing = [
        photo for photo in on_disk if not Path(bpy.path.abspath(photo.filepath, library=photo.library)).is_file()
    ]
    return sorted(missing, key=lambda photo: photo.name)


def draw_in_import_menu(menu, _context) -> None:
    menu.layout.operator(LVSM_OT_import_capture.bl_idname, text="Posed Photos for LVSM (.json)")


classes = (LVSM_OT_import_capture, LVSM_OT_locate_photos)


def register() -> None:
    for cls in classes:
        bpy.utils.register_class(cls)
    bpy.types.TOPBAR_MT_file_import.append(draw_in_import_menu)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(draw_in_import_menu)
    for cls in reversed(classes):
        bpy.utils.unregister_class(cls)
