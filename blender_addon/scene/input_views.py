"""Which photos pictures are made from: the properties of cameras and scene, and the views that they amount to.

A camera is an input view when it has a photo and is switched on. A background image only displays, and a
synthesized picture never becomes an input.
"""

import io
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from bpy.props import BoolProperty, IntProperty, PointerProperty, StringProperty

from lvsm_engine.errors import ADD_PHOTOS, LOCATE_PHOTOS, CameraError, CaptureError
from lvsm_engine.scene.camera import Camera, Distortion, View, camera_of, is_of_shape, square_pixels
from lvsm_engine.scene.srgb import to_srgb
from lvsm_engine.scene.subject import Subject

from . import results, scene_cameras
from .photo_size import header_size

# Files whose pixels are scene-linear floats: Blender decodes them, the engine's image library does not.
FLOAT_FILES = {".exr", ".hdr", ".dpx", ".cin"}


def _keep_calibration_for_its_photo(settings: "LVSM_CameraSettings", _context: bpy.types.Context) -> None:
    """Forget the lens of a photo that another picture has replaced. One of the same shape is an edit of it."""
    if settings.photo is None or not settings.calibration:
        return
    try:
        known_size = _read_calibration(settings, settings.photo.name).size
    except CaptureError:
        settings.calibration = ""
        return
    try:
        width, height = photo_size_of(settings.photo, settings.photo.name)
    except CaptureError:  # it may be found yet
        return
    # Either way up: a solver may have turned the photo as its EXIF says, and Blender never does. Else as the engine does.
    if not any(is_of_shape(size, known_size) for size in ((width, height), (height, width))):
        settings.calibration = ""


class LVSM_CameraSettings(bpy.types.PropertyGroup):
    """`camera.lvsm`, on camera data."""

    photo: PointerProperty(
        name="Photo",
        type=bpy.types.Image,
        description="The photo that was taken from this camera",
        poll=lambda _, image: not results.is_result(image),
        update=_keep_calibration_for_its_photo,
    )
    mask: PointerProperty(
        name="Mask",
        type=bpy.types.Image,
        description="A picture of the photo's shape, black where the photo is to be left out, none if empty",
        poll=lambda _, image: not results.is_result(image),
    )
    use_as_input: BoolProperty(
        name="Use as Input", default=True, description="Make pictures from this camera's photo too"
    )
    # JSON, since Blender's own float properties keep 7 digits. Of the photo, whatever becomes of Blender's lens.
    calibration: StringProperty(name="Calibration", options={"HIDDEN"})


class LVSM_SceneSettings(bpy.types.PropertyGroup):
    """`scene.lvsm`."""

    target_camera: PointerProperty(
        name="Camera",
        type=bpy.types.Object,
        description="The camera whose view is synthesized, the scene's own if empty",
        poll=lambda _, item: item.type == "CAMERA",
    )
    model: StringProperty(
        name="Model",
        subtype="FILE_PATH",
        description="A model's file, or the name of a known one; the one that comes with LVSM if empty",
    )
    use_detail: BoolProperty(
        name="Detail from Photos",
        default=True,
        description="Sharpen the model's picture by the photos nearest to the camera. Without, the model's own is shown",
    )
    subject: PointerProperty(
        name="Subject",
        type=bpy.types.Object,
        description="The empty that stands around what the photos are of, as large as that; found by the cameras if empty",
        poll=lambda _, item: item.type == "EMPTY",
    )
    max_model_views: IntProperty(
        name="Photos for the Model",
        default=0,
        min=0,
        soft_max=32,
        description="So many photos at most feed the model, as many as suit it if 0. Detail comes from all that are near",
    )
    active_object_index: IntProperty(
        name="Selected Camera", options={"HIDDEN", "SKIP_SAVE"}, update=lambda _, context: _select_object(context)
    )


def is_input_view(item: bpy.types.Object) -> bool:
    return item.type == "CAMERA" and _is_used(item.original.data)


def _is_used(camera: bpy.types.Camera) -> bool:
    return camera.lvsm.use_as_input and _has_photo(camera)


def _has_photo(camera: bpy.types.Camera) -> bool:
    return camera.lvsm.photo is not None and not results.is_result(camera.lvsm.photo)


def has_photos() -> bool:
    """Whether any camera of the file has a photo that is switched on; at a glance, for a button, in a scene of any size."""
    return any(camera.users and _is_used(camera) for camera in bpy.data.cameras)


def selected_camera(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The camera that is selected in the panel's list of the scene's objects."""
    index = scene.lvsm.active_object_index
    item = scene.objects[index] if 0 <= index < len(scene.objects) else None
    return item if item is not None and item.type == "CAMERA" else None


def _select_object(context: bpy.types.Context) -> None:
    """What is selected in a list is so in the view, where that has it."""
    camera_object, view_layer = selected_camera(context.scene), context.view_layer
    if camera_object is None or view_layer is None or camera_object.name not in view_layer.objects:
        return
    for item in view_layer.objects.selected:
        item.select_set(False)
    camera_object.select_set(True)
    view_layer.objects.active = camera_object


def input_views(
    scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, names: Collection[str] | None = None
) -> list[View]:
    """The scene's input views, by their cameras' names, with evaluated cameras; or those of the cameras of these names.

    Raises CaptureError for a photo that cannot be had, CameraError for a camera that is none, each by name.
    """
    cameras = [item for item in scene.objects if is_input_view(item)] if names is None else _with_photos(scene, names)
    if not cameras:
        raise CaptureError("No camera has a photo that is switched on: add photos or import a capture.", ADD_PHOTOS)
    cameras.sort(key=lambda item: item.name)
    views, lost = [], []
    for camera_object in cameras:
        try:
            views.append(_view(camera_object, depsgraph))
        except CaptureError as error:
            if error.remedy != LOCATE_PHOTOS:
                raise
            lost.append(error)
    if len(lost) > 1:
        raise CaptureError(f"{len(lost)} photos are missing. {lost[0]}", LOCATE_PHOTOS)
    if lost:
        raise lost[0]
    return views


@dataclass(frozen=True, slots=True)
class Photographed:
    """What pictures are made from: the input views, and what they are of, where the scene names it."""

    views: list[View]
    subject: Subject | None


def photographed(
    scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, names: Collection[str] | None = None
) -> Photographed:
    """What input_views and named_subject give. Raises CaptureError, CameraError."""
    return Photographed(input_views(scene, depsgraph, names), named_subject(scene, depsgraph))


def subject_empty(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The empty that names what a scene's photos are of, if it is still there."""
    empty = scene.lvsm.subject
    return empty if empty is not None and scene.objects.get(empty.name) is not None else None


def named_subject(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> Subject | None:
    """What the photos are of, as the scene's empty says; None without one. Raises CameraError, naming the empty."""
    empty = subject_empty(scene)
    if empty is None:
        return None
    place = empty.original.evaluated_get(depsgraph).matrix_world
    half_side = max(column.length for column in place.to_3x3().col) * empty.empty_display_size
    try:
        return Subject(tuple(place.translation), half_side)
    except CameraError as error:
        raise CameraError(f"{empty.name}: {error}") from error


def _with_photos(scene: bpy.types.Scene, names: Collection[str]) -> list[bpy.types.Object]:
    """The cameras of these names, switched on or not. Raises CaptureError where one is not there or has no photo."""
    known = {item.name: item for item in scene.objects if item.type == "CAMERA" and _has_photo(item.original.data)}
    if unknown := [name for name in names if name not in known]:
        raise CaptureError(
            f"The scene has no camera with a photo named {', '.join(unknown)}: choose from"
            f" {', '.join(sorted(known)) or 'none at all'}."
        )
    return [known[name] for name in dict.fromkeys(names)]


def _view(camera_object: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> View:
    settings, name = camera_object.original.data.lvsm, camera_object.name
    photo = _photo(settings.photo, name)
    mask = _mask(settings.mask, name) if settings.mask is not None else None
    if not settings.calibration:
        camera = scene_cameras.camera_from_blender(camera_object, depsgraph, _size(photo, settings.photo, name))
        return View(camera, photo, name, mask)
    known = _read_calibration(settings, name)
    pose = scene_cameras.camera_from_blender(camera_object, depsgraph, known.size).camera_to_world
    return View(camera_of(pose, known.fxfycxcy, *known.size), photo, name, mask, known.distortion)


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What is known of a photo's lens. fxfycxcy: (4,) float64, pixels of a photo of this size (width, height)."""

    fxfycxcy: np.ndarray
    size: tuple[int, int]
    distortion: Distortion | None


def set_calibration(lens: bpy.types.Camera, camera: Camera, distortion: Distortion | None) -> None:
    """Keep on camera data what is known of its photo's lens, to the last digit."""
    known = {"fxfycxcy": camera.fxfycxcy.tolist(), "size": [camera.width, camera.height]}
    if distortion is not None:
        known["distortion"] = [distortion.kind, list(distortion.coefficients)]
    lens.lvsm.calibration = json.dumps(known)


def _read_calibration(settings: LVSM_CameraSettings, name: str) -> Calibration:
    """What set_calibration kept. Raises CaptureError, with the name, where it cannot be read."""
    try:
        known = json.loads(settings.calibration)
        lens = np.array(known["fxfycxcy"], dtype=np.float64)
        width, height = (int(side) for side in known["size"])
        kind, coefficients = known.get("distortion", (None, ()))
        distortion = Distortion(kind, tuple(float(number) for number in coefficients)) if kind else None
        camera_of(np.eye(4), lens, width, height)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, CameraError) as error:
        raise CaptureError(
            f"{name}: what the scene keeps of the photo's lens cannot be read: choose the photo again, or import its capture"
            " again."
        ) from error
    return Calibration(lens, (width, height), distortion)


def photo_frame(camera_object: bpy.types.Object) -> tuple[int, int]:
    """Width and height of a camera's photo with square pixels, as Blender renders. Raises CaptureError, CameraError."""
    settings, name = camera_object.data.lvsm, camera_object.name
    if not settings.calibration:
        return photo_size_of(settings.photo, name)
    known = _read_calibration(settings, name)
    shown = square_pixels(camera_of(np.eye(4), known.fxfycxcy, *known.size))
    return shown.width, shown.height


def photo_size_of(image: bpy.types.Image, name: str) -> tuple[int, int]:
    """Width and height of a photo in pixels, as the engine will see it. Raises CaptureError, with the name."""
    return _size(_photo(image, name), image, name)


def _mask(image: bpy.types.Image, name: str) -> Path | np.ndarray:
    """What _photo gives, but pixels (H, W) uint8."""
    mask = _photo(image, name, "mask")
    return mask[..., 0] if isinstance(mask, np.ndarray) and mask.ndim == 3 else mask


def _photo(image: bpy.types.Image, name: str, role: str = "photo") -> Path | np.ndarray:
    """The photo's file where it is one, the packed file's bytes (N,) uint8, or pixels (H, W, 3 or 4) uint8.

    role: what the image is to the camera of this name, for messages.
    """
    if image.source not in ("FILE", "GENERATED"):
        raise CaptureError(f"{image.name}, the {role} of {name}, is not a single image: choose an image file.")
    if image.source == "GENERATED" or image.is_dirty:
        return _pixels(image, name)
    if image.packed_file:
        data = image.packed_file.data
        return _pixels(image, name) if header_size(io.BytesIO(data)) is None else np.frombuffer(data, np.uint8)
    path = Path(image.filepath_from_user())
    if not path.is_file():
        raise CaptureError(f"{path}, the {role} of {name}, does not exist: locate it.", LOCATE_PHOTOS)
    return _pixels(image, name) if path.suffix.lower() in FLOAT_FILES else path


def _size(photo: Path | np.ndarray, image: bpy.types.Image, name: str) -> tuple[int, int]:
    """Width and height of what _photo gave."""
    if isinstance(photo, Path):
        try:
            with open(photo, "rb") as file:
                return header_size(file) or _decoded_size(image, name)
        except OSError as error:
            raise CaptureError(f"{photo}, the photo of {name}, cannot be read ({error.strerror}).") from error
    if photo.ndim == 1:
        return header_size(io.BytesIO(photo.tobytes())) or _decoded_size(image, name)
    height, width, _ = photo.shape
    return width, height


def _decoded_size(image: bpy.types.Image, name: str) -> tuple[int, int]:
    """Width and height, for which Blender decodes the image when it has not yet."""
    width, height = image.size
    if not (width and height):
        raise CaptureError(f"{image.name}, the photo of {name}, cannot be read: reload it or choose another.")
    return width, height


def _pixels(image: bpy.types.Image, name: str) -> np.ndarray:
    width, height = _decoded_size(image, name)
    values = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(values)
    values = values.reshape(height, width, image.channels)
    if image.channels < 3:
        values = values[..., :1].repeat(3, axis=-1)
    if image.is_float:
        # Blender makes floats of any colour space linear when it loads them, but for data, which it shows as they are.
        values = _encoded(values, is_linear=not image.colorspace_settings.is_data)
    # Rounded in place: the floats of a photo of 24 megapixels are 400 MB.
    values *= 255
    values += 0.5
    pixels = values.astype(np.uint8)[::-1]
    has_alpha = pixels.shape[-1] == 4 and image.alpha_mode != "NONE" and pixels[..., 3].min() < 255
    return np.ascontiguousarray(pixels if has_alpha else pixels[..., :3])


def _encoded(values: np.ndarray, is_linear: bool) -> np.ndarray:
    """Float pixels, colours multiplied by alpha -> sRGB-encoded colours, straight alpha, in [0, 1]."""
    values = values.copy()
    if values.shape[-1] == 4:
        values[..., :3] /= np.maximum(values[..., 3:], np.finfo(np.float32).eps)
    if is_linear:
        values[..., :3] = to_srgb(values[..., :3])
    return np.fmin(np.fmax(values, 0), 1)  # what is no number counts as 0


classes = (LVSM_CameraSettings, LVSM_SceneSettings)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def register() -> None:
    register_classes()
    bpy.types.Camera.lvsm = PointerProperty(type=LVSM_CameraSettings)
    bpy.types.Scene.lvsm = PointerProperty(type=LVSM_SceneSettings)


def unregister() -> None:
    del bpy.types.Scene.lvsm
    del bpy.types.Camera.lvsm
    unregister_classes()
