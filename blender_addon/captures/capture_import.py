"""Import Capture: a file of posed photos becomes cameras with photos, in a collection; and lost photos are found."""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from lvsm_engine.errors import ADD_PHOTOS, CameraError, CaptureError, LvsmError
from lvsm_engine.scene.camera import Camera, View, square_pixels
from lvsm_engine.scene.captures import FILE_PATTERNS, Capture, load_capture

from ..last_outcome import last_outcome, refused
from ..scene import input_views, scene_cameras
from ..scene.photo_size import header_size
from .capture_placement import AS_IN_FILE, AT_SUBJECT, BY_PHOTOS, Y_UP, Placement, placed, spread

# A camera's size on the screen, in units of the cameras' spread.
DISPLAY_SIZE = 0.1
SOURCE, VIEW = "lvsm_source", "lvsm_view"
"""The custom properties of a collection, the file or folder that it came from, and of a camera, which of its views it is."""
WORLD_FROM_FILE = "lvsm_world_from_file"
"""The custom property of a collection: the similarity (4, 4), row by row, that took its capture where it is. Its export takes
it back."""
# Looking through more files than this blocks a window for longer than anyone waits: a second or two.
MAX_FILES = 100_000


# Of the camera in Blender's startup file.
STARTUP_PLACE, STARTUP_LENS = (7.35889, -6.92579, 4.95831), 50.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A capture and its collection. was_here: it had been imported before, and its cameras were brought up to date."""

    collection: bpy.types.Collection
    capture: Capture
    was_here: bool


@dataclass(frozen=True, slots=True)
class Options:
    """placement: where the capture stands. step: of how many photos one is used. has_points: whether sparse points come
    along. makes_copy: whether a capture that is in the scene already is imported once more."""

    placement: Placement = field(default_factory=Placement)
    step: int = 1
    has_points: bool = False
    makes_copy: bool = False


def import_capture(context: bpy.types.Context, path: Path, options: Options = Options()) -> Imported:
    """Make cameras of a capture.

    A capture that the scene has already is brought up to date, unless a copy is asked for. The scene's own camera is one
    of the capture's where it had none, or the one that a new file has, untouched. Photos are opened when they are needed.
    Raises CaptureError or CameraError, with nothing made.
    """
    loaded = load_capture(path, photo_size=_photo_size)
    capture, world_from_file = placed(replace(loaded, views=loaded.views[:: options.step]), options.placement)
    lenses = [_shown_lens(view) for view in capture.views]
    pictures = [picture for view in capture.views for picture in (view.photo, view.mask)]
    images = _open_all([picture if isinstance(picture, Path) else None for picture in pictures])
    display_size = DISPLAY_SIZE * spread(capture.views)
    former = None if options.makes_copy else _collection_of(context.scene, path)
    collection = former or _new_collection(context.scene, capture.name, path)
    collection[WORLD_FROM_FILE] = world_from_file.ravel().tolist()
    known = {item[VIEW]: item for item in collection.objects if VIEW in item}
    for position, (key, view, lens, photo, mask) in enumerate(
        zip(_keys(capture.views), capture.views, lenses, images[::2], images[1::2], strict=True)
    ):
        camera_object = known.get(key) or _new_camera(collection, view.name, key)
        _set_view(camera_object, view, lens, photo, mask)
        camera_object.data.display_size = display_size
        context.window_manager.progress_update(position)
    if options.has_points and capture.points is not None:
        _show_points(collection, capture.points)
    if context.scene.camera is None or _is_the_files_first(context.scene.camera):
        context.scene.camera = collection.objects[0]
    return Imported(collection, capture, former is not None)


def _show_points(collection: bpy.types.Collection, points: np.ndarray) -> None:
    """An object of the points (N, 3), which no render shows, in place of the one that was there."""
    name = f"{collection.name} points"
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(points))
    mesh.vertices.foreach_set("co", points.astype(np.float32).ravel())
    mesh.update()
    shown = next((item for item in collection.objects if item.type == "MESH" and item.name.startswith(name)), None)
    if shown is None:
        shown = bpy.data.objects.new(name, mesh)
        shown.hide_render = True
        collection.objects.link(shown)
        return
    former, shown.data = shown.data, mesh
    if not former.users:
        bpy.data.meshes.remove(former)


def _collection_of(scene: bpy.types.Scene, path: Path) -> bpy.types.Collection | None:
    """The scene's collection of the capture at a path."""
    return next((each for each in scene.collection.children_recursive if each.get(SOURCE) == _source(path)), None)


def _new_collection(scene: bpy.types.Scene, name: str, path: Path) -> bpy.types.Collection:
    collection = bpy.data.collections.new(name)
    collection[SOURCE] = _source(path)
    scene.collection.children.link(collection)
    return collection


def _source(path: Path) -> str:
    return str(path.resolve())


def _keys(views: Sequence[View]) -> list[str]:
    """What tells a capture's views apart, also when it is solved again: their names, numbered where they are alike."""
    counts: dict[str, int] = {}
    for view in views:
        counts[view.name] = counts.get(view.name, 0) + 1
    seen: dict[str, int] = {}
    keys = []
    for view in views:
        seen[view.name] = seen.get(view.name, 0) + 1
        keys.append(view.name if counts[view.name] == 1 else f"{view.name} {seen[view.name]}")
    return keys


def _is_the_files_first(camera_object: bpy.types.Object) -> bool:
    """Whether a camera is the one of Blender's own startup file, where nobody has moved it."""
    lens = camera_object.data
    is_still = camera_object.animation_data is None and camera_object.parent is None and not camera_object.constraints
    is_there = np.abs(np.array(camera_object.location) - STARTUP_PLACE).max() < 1e-3
    return is_still and is_there and lens.type == "PERSP" and lens.lens == STARTUP_LENS and lens.lvsm.photo is None


def _shown_lens(view: View) -> Camera:
    """The view's lens as Blender can show it. Raises CameraError, with the view's name.

    Blender has one pixel aspect for all cameras, the scene's: the lens is that of the photo with square pixels.
    """
    try:
        return square_pixels(view.camera)
    except CameraError as error:
        raise CameraError(
            f"{view.name}, with square pixels (fx {view.camera.fx:g}, fy {view.camera.fy:g}): {error}"
        ) from error


def _new_camera(collection: bpy.types.Collection, name: str, key: str) -> bpy.types.Object:
    camera_object = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    camera_object[VIEW] = key
    collection.objects.link(camera_object)
    return camera_object


def _set_view(
    camera_object: bpy.types.Object,
    view: View,
    lens: Camera,
    photo: bpy.types.Image | None,
    mask: bpy.types.Image | None,
) -> None:
    """Put a camera at the view's pose, with the view's photo, mask and calibration, which shows through `lens`."""
    camera = camera_object.data
    scene_cameras.set_lens(camera, lens)
    scene_cameras.set_pose(camera_object, view.camera.camera_to_world)
    if photo is not None and photo != camera.lvsm.photo:
        shown = next((entry for entry in camera.background_images if entry.image == camera.lvsm.photo), None)
        camera.lvsm.photo = photo
        (shown or camera.background_images.new()).image = photo
        camera.show_background_images = True
    camera.lvsm.mask = mask
    input_views.set_calibration(camera, view.camera, view.distortion)


def _open_all(paths: list[Path | None]) -> list[bpy.types.Image | None]:
    """The images of files, whose pixels Blender reads when it needs them. Raises CaptureError, with none left."""
    known = set(bpy.data.images)
    try:
        return [path and _open(path) for path in paths]
    except CaptureError:
        for image in set(bpy.data.images) - known:
            bpy.data.images.remove(image)
        raise


def _open(path: Path) -> bpy.types.Image:
    try:
        return bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError as error:
        raise CaptureError(f"{path} cannot be read: put the photo there, then import again.", ADD_PHOTOS) from error


def _photo_size(path: Path) -> tuple[int, int]:
    """Width and height, by Blender's own image library where the header does not tell, for captures that do not."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if size := header_size(file):
            return size
    known = set(bpy.data.images)
    image = _open(path)
    width, height = image.size
    if image not in known:
        bpy.data.images.remove(image)
    if not (width and height):
        raise CaptureError(f"{path} is not an image that Blender can read: convert it to PNG or JPEG.")
    return width, height


class LVSM_OT_import_capture(bpy.types.Operator, ImportHelper):
    """Import posed photos as cameras with photos: choose the file that has the poses, or go into the folder that has all"""

    bl_idname = "lvsm.import_capture"
    bl_label = "Import Capture"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ""
    filter_glob: StringProperty(default=";".join(FILE_PATTERNS), options={"HIDDEN"})
    up: EnumProperty(
        name="Up",
        items=(
            (AS_IN_FILE, "As in the File", "The file's axes are Blender's"),
            (BY_PHOTOS, "By the Photos", "What is up in the photos, on the whole, points up"),
            (Y_UP, "Y to Z", "The file's y axis points up"),
        ),
    )
    origin: EnumProperty(
        name="Origin",
        items=(
            (AS_IN_FILE, "As in the File", "The file's origin is Blender's"),
            (AT_SUBJECT, "At the Subject", "What the cameras look at stands at the origin"),
        ),
    )
    scale: FloatProperty(
        name="Scale", default=1.0, min=1e-6, max=1e6, description="How much larger the capture is made"
    )
    step: IntProperty(
        name="Every", default=1, min=1, description="Of so many photos one is used, as of a film's frames"
    )
    has_points: BoolProperty(
        name="Points", description="Show the sparse points that the capture has, as an object that no render shows"
    )
    makes_copy: BoolProperty(
        name="Import a Copy",
        description="Make new cameras of a capture that is in the scene already, else its cameras are brought up to date",
        options={"SKIP_SAVE"},
    )

    def execute(self, context):
        last_outcome.forget()
        window_manager = context.window_manager
        window_manager.progress_begin(0, 1000)
        try:
            imported = import_capture(context, Path(bpy.path.abspath(self.filepath)), self._options())
        except LvsmError as error:
            return refused(self, error)
        finally:
            window_manager.progress_end()
        for warning in last_outcome.warn(imported.capture.warnings):
            self.report({"WARNING"}, warning)
        cameras = f"{len(imported.capture.views)} cameras"
        if imported.was_here:
            text = f"{imported.collection.name} was here already: {cameras} brought up to date, no copy made"
        else:
            text = f"Imported {cameras} into {imported.collection.name}"
        self.report({"INFO"}, text)
        return {"FINISHED"}

    def _options(self) -> Options:
        placement = Placement(self.up, self.origin, self.scale)
        return Options(placement, self.step, self.has_points, self.makes_copy)


class LVSM_FH_capture(bpy.types.FileHandler):
    """A file of posed photos may be dropped into a 3D view"""

    bl_idname = "LVSM_FH_capture"
    bl_label = "Posed Photos for LVSM"
    bl_import_operator = LVSM_OT_import_capture.bl_idname
    bl_file_extensions = ";".join(sorted({Path(pattern).suffix for pattern in FILE_PATTERNS}))

    @classmethod
    def poll_drop(cls, context):
        return context.area is not None and context.area.type == "VIEW_3D"


class LVSM_OT_locate_photos(bpy.types.Operator):
    """Look for missing photos in a folder, by their names"""

    bl_idname = "lvsm.locate_photos"
    bl_label = "Locate Photos"
    bl_options = {"REGISTER", "UNDO"}

    directory: StringProperty(subtype="DIR_PATH")
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context, event):
        if not missing_photos(context.scene):
            return self._nothing_to_locate()
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        missing = missing_photos(context.scene)
        if not missing:
            return self._nothing_to_locate()
        taken = {_path(photo) for photo in _photo_files(context.scene)}
        lost = {str(_path(image)) for image in missing}
        named = files_named({_parts(path)[-1] for path in lost}, Path(bpy.path.abspath(self.directory)))
        located = locate(lost, [file for file in named if file not in taken])
        for image in missing:
            if file := located.get(str(_path(image))):
                image.filepath = str(file)
                image.reload()
        left = missing_photos(context.scene)
        if len(left) < len(missing):
            last_outcome.forget()
        if left:
            self.report(
                {"WARNING"},
                f"{len(left)} of {len(missing)} photos are still missing, among them {left[0].name}: choose a folder nearer to"
                " them, or open them by hand",
            )
        else:
            self.report({"INFO"}, f"{len(missing)} photos located")
        return {"FINISHED"}

    def _nothing_to_locate(self) -> set[str]:
        self.report({"WARNING"}, "All photos are where they should be: open another file for the camera in Input Views")
        return {"CANCELLED"}


def missing_photos(scene: bpy.types.Scene) -> list[bpy.types.Image]:
    """The photos and masks of the scene's cameras whose files do not exist."""
    missing = [photo for photo in _photo_files(scene) if not _path(photo).is_file()]
    return sorted(missing, key=lambda photo: photo.name)


def _photo_files(scene: bpy.types.Scene) -> list[bpy.types.Image]:
    """The photos and masks of the scene's cameras that are files."""
    cameras = [item.data.lvsm for item in scene.objects if item.type == "CAMERA"]
    photos = {picture for camera in cameras for picture in (camera.photo, camera.mask)} - {None}
    return [photo for photo in photos if photo.source == "FILE" and not photo.packed_file]


def _path(photo: bpy.types.Image) -> Path:
    return Path(photo.filepath_from_user())


def files_named(names: set[str], folder: Path) -> Iterator[Path]:
    """The files of these names in a folder and the folders within, as far as MAX_FILES goes."""
    looked_at = 0
    for place, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in files if name in names)
        looked_at += len(files)
        if looked_at > MAX_FILES:
            return


def locate(lost: Iterable[str], files: Sequence[Path]) -> dict[str, Path]:
    """Lost path -> the file of its name whose folders' names go on as the path's do, the furthest.

    Nothing is guessed: no two paths get one file, and where two claim it equally, or two files suit equally, none does.
    """
    claims: dict[Path, dict[str, int]] = {}
    for path in lost:
        parts = _parts(path)
        lengths = {file: _common_end(parts, _parts(str(file))) for file in files if file.name == parts[-1]}
        file = _longest(lengths)
        if file is not None:
            claims.setdefault(file, {})[path] = lengths[file]
    owners = {file: _longest(lengths) for file, lengths in claims.items()}
    return {path: file for file, path in owners.items() if path is not None}


def _parts(path: str) -> list[str]:
    """A path's names; one from Windows has backslashes, on any system."""
    return path.replace("\\", "/").split("/")


def _common_end(parts: list[str], others: list[str]) -> int:
    """How many names two paths end with alike."""
    pairs = zip(reversed(parts), reversed(others), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _longest(lengths: dict[T, int]) -> T | None:
    """What has the greatest length; None where two have it, or there is nothing."""
    longest = max(lengths.values(), default=0)
    found = [item for item, length in lengths.items() if length == longest]
    return found[0] if len(found) == 1 else None


def draw_in_import_menu(menu, _context) -> None:
    menu.layout.operator(LVSM_OT_import_capture.bl_idname, text="Posed Photos for LVSM")


classes = (LVSM_OT_import_capture, LVSM_FH_capture, LVSM_OT_locate_photos)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def register() -> None:
    register_classes()
    bpy.types.TOPBAR_MT_file_import.append(draw_in_import_menu)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(draw_in_import_menu)
    unregister_classes()
