"""Virtual photos: cameras around what is modelled, and what they see, rendered by Blender's own engines, as their photos.

So a scene without photos can be tried, a training rig be seen, and a picture be compared with the truth.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.app.handlers import persistent
from bpy.props import FloatProperty, IntProperty
from mathutils import Vector

from ..last_outcome import last_outcome
from ..rendering.render_engine import LVSM_RenderEngine, use_exact_colors
from ..scene.target import selected_cameras
from ..window.panel import SideBarPanel

TICK_SECONDS = 0.1
GOLDEN_ANGLE = np.pi * (3 - 5**0.5)
# Cameras stand between these heights over the horizon of what they look at: from below nothing is photographed.
LOWEST, HIGHEST = np.radians(5), np.radians(75)
# Of the frame's shorter side what is photographed takes this much.
FILLED = 0.8
VIRTUAL = "lvsm_virtual"
"""The custom property of an image that was rendered as a camera's photo: the next one takes its place."""


def directions(count: int) -> np.ndarray:
    """(count, 3) unit vectors, z up, spread evenly over the heights from LOWEST to HIGHEST: a Fibonacci spiral."""
    heights = np.linspace(np.sin(HIGHEST), np.sin(LOWEST), count)
    turns = GOLDEN_ANGLE * np.arange(count)
    across = np.sqrt(1 - heights**2)
    return np.stack([across * np.cos(turns), across * np.sin(turns), heights], axis=-1)


def ball_around(objects: Sequence[bpy.types.Object]) -> tuple[Vector, float]:
    """The centre and radius of a ball that holds the objects' bounding boxes, in the world."""
    corners = [item.matrix_world @ Vector(corner) for item in objects for corner in item.bound_box]
    centre = sum(corners, Vector()) / len(corners)
    return centre, max((corner - centre).length for corner in corners) or 1.0


class LVSM_OT_add_cameras_around(bpy.types.Operator):
    """Add cameras all around the selected objects, each looking at them"""

    bl_idname = "lvsm.add_cameras_around"
    bl_label = "Add Cameras Around"
    bl_options = {"REGISTER", "UNDO"}

    count: IntProperty(name="Cameras", default=16, min=1, max=500, description="How many cameras are added")
    lens: FloatProperty(
        name="Focal Length", default=50, min=1, subtype="DISTANCE_CAMERA", description="Of their lenses"
    )

    @classmethod
    def poll(cls, context):
        if not things(context):
            cls.poll_message_set("Select the objects that are to be photographed")
            return False
        return True

    def execute(self, context):
        centre, radius = ball_around(things(context))
        collection = bpy.data.collections.new("Cameras Around")
        context.scene.collection.children.link(collection)
        for number, direction in enumerate(directions(self.count)):
            lens = bpy.data.cameras.new(f"Around {number + 1:03}")
            lens.lens = self.lens
            frame = lens.view_frame(scene=context.scene)
            distance = radius / (FILLED * _slope_of_nearest_edge(frame))
            camera_object = bpy.data.objects.new(lens.name, lens)
            camera_object.location = centre + distance * Vector(direction)
            camera_object.rotation_euler = Vector(direction).to_track_quat("Z", "Y").to_euler()
            collection.objects.link(camera_object)
        if context.scene.camera is None:
            context.scene.camera = collection.objects[0]
        return {"FINISHED"}


def things(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The selected objects that a camera can see."""
    kinds = ("MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "POINTCLOUD", "VOLUME", "GPENCIL", "GREASEPENCIL")
    return [item for item in context.selected_objects if item.type in kinds]


def _slope_of_nearest_edge(frame: Sequence[Vector]) -> float:
    """How far from the middle, at a distance of one, the nearest edge is of what a camera shows (its view_frame)."""
    extents = [max(abs(corner[axis] / corner.z) for corner in frame) for axis in (0, 1)]
    return min(extents)


class LVSM_OT_take_photos(bpy.types.Operator):
    """Render what the selected cameras see with the scene's engine, as their photos"""

    bl_idname = "lvsm.take_photos"
    bl_label = "Take Virtual Photos"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context):
        if context.scene.render.engine == LVSM_RenderEngine.bl_idname:
            cls.poll_message_set("Choose Cycles or EEVEE as the render engine: LVSM shows only photos")
        elif not selected_cameras(context):
            cls.poll_message_set("Select the cameras that are to take photos")
        elif bpy.app.is_job_running("RENDER"):
            cls.poll_message_set("A render is running")
        else:
            return True
        return False

    def execute(self, context):
        cameras = selected_cameras(context)
        with tempfile.TemporaryDirectory() as folder, photo_settings(context.scene):
            for camera_object in cameras:
                path = _aim(context.scene, camera_object, folder)
                bpy.ops.render.render(write_still=True)
                _give(camera_object, path)
        return self._tell(len(cameras))

    def invoke(self, context, event):
        last_outcome.forget()
        self._left = [item.name for item in selected_cameras(context)]
        self._count, self._taken = len(self._left), 0
        self._resources = contextlib.ExitStack()
        self._folder = self._resources.enter_context(tempfile.TemporaryDirectory())
        self._resources.enter_context(photo_settings(context.scene))
        self._resources.enter_context(shown_nowhere(context))
        self._resources.enter_context(shutter)
        self._timer = context.window_manager.event_timer_add(TICK_SECONDS, window=context.window)
        context.window_manager.modal_handler_add(self)
        self._next(context)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        if event.type != "TIMER" or shutter.state == "open":
            return {"PASS_THROUGH"}
        if shutter.state == "cancelled":
            self._leave(context)
            self.report({"WARNING"}, f"Stopped after {self._taken} of {self._count} photos")
            return {"FINISHED"} if self._taken else {"CANCELLED"}
        if bpy.app.is_job_running("RENDER"):  # it is about to end
            return {"PASS_THROUGH"}
        self._take()
        if self._left:
            self._next(context)
            return {"PASS_THROUGH"}
        self._leave(context)
        return self._tell(self._taken)

    def cancel(self, context):
        """Blender calls this when it takes the window away."""
        self._leave(context)

    def _next(self, context) -> None:
        self._name = self._left.pop(0)
        camera_object = context.scene.objects.get(self._name)
        if camera_object is None:  # deleted meanwhile
            shutter.state = "closed"
            return
        self._path = _aim(context.scene, camera_object, self._folder)
        shutter.state = "open"
        context.workspace.status_text_set(f"Photo {self._taken + 1} of {self._count} (Esc to cancel)")
        bpy.ops.render.render("INVOKE_DEFAULT", write_still=True)

    def _take(self) -> None:
        camera_object = bpy.data.objects.get(self._name)
        if camera_object is not None and self._path.is_file():
            _give(camera_object, self._path)
            self._taken += 1

    def _leave(self, context) -> None:
        context.window_manager.event_timer_remove(self._timer)
        context.workspace.status_text_set(None)
        self._resources.close()

    def _tell(self, count: int) -> set[str]:
        self.report({"INFO"}, f"{count} cameras have photos of the scene")
        return {"FINISHED"}


class Shutter:
    """Hears, within a `with` block, what becomes of the render that takes a photo.

    state: "open" while it runs, then "closed" or "cancelled".
    """

    def __init__(self) -> None:
        self.state = "closed"

    def __enter__(self) -> "Shutter":
        bpy.app.handlers.render_complete.append(_close_shutter)
        bpy.app.handlers.render_cancel.append(_cancel_shutter)
        return self

    def __exit__(self, *_) -> None:
        bpy.app.handlers.render_complete.remove(_close_shutter)
        bpy.app.handlers.render_cancel.remove(_cancel_shutter)


shutter = Shutter()


@persistent
def _close_shutter(*_) -> None:
    shutter.state = "closed"


@persistent
def _cancel_shutter(*_) -> None:
    shutter.state = "cancelled"


def _aim(scene: bpy.types.Scene, camera_object: bpy.types.Object, folder: str) -> Path:
    """Have the scene rendered through a camera. Returns the file that will be written."""
    path = Path(folder) / "photo.png"
    path.unlink(missing_ok=True)
    scene.camera, scene.render.filepath = camera_object, str(path)
    return path


def _give(camera_object: bpy.types.Object, path: Path) -> None:
    """Make a file the camera's photo, packed, in place of a virtual one that it had."""
    settings, png = camera_object.data.lvsm, path.read_bytes()
    name = f"{camera_object.name} virtual"
    image = bpy.data.images.new(name, 1, 1)  # the file within tells the size
    image.source = "FILE"
    image.pack(data=png, data_len=len(png))
    former, settings.photo = settings.photo, image
    settings.calibration, settings.mask = "", None
    image[VIRTUAL] = True
    if former is not None and VIRTUAL in former:
        former.user_remap(image)
        bpy.data.images.remove(former)
        image.name = name


@contextlib.contextmanager
def photo_settings(scene: bpy.types.Scene) -> Iterator[None]:
    """Within the block renders of a scene are photos: of its whole frame, in plain sRGB, without its world's background."""
    render, image, view = scene.render, scene.render.image_settings, scene.view_settings
    wanted: list[tuple[Any, dict[str, Any]]] = [
        (scene, {"camera": scene.camera}),
        (render, {"film_transparent": True, "use_border": False, "use_multiview": False, "use_compositing": False}),
        (render, {"use_sequencer": False, "use_file_extension": True, "use_overwrite": True, "use_placeholder": False}),
        (render, {"filepath": render.filepath, "dither_intensity": render.dither_intensity}),
        (image, {"file_format": "PNG", "color_mode": "RGBA", "color_depth": "8"}),
        (scene.display_settings, {"display_device": scene.display_settings.display_device}),
        (view, {name: getattr(view, name) for name in VIEW_SETTINGS if hasattr(view, name)}),
    ]
    if hasattr(image, "media_type"):  # 5.0 on
        wanted.insert(4, (image, {"media_type": "IMAGE"}))
    before = [(owner, name, getattr(owner, name)) for owner, values in wanted for name in values]
    try:
        for owner, values in wanted:
            for name, value in values.items():
                setattr(owner, name, value)
        use_exact_colors(scene)
        yield
    finally:
        for owner, name, value in before:
            with contextlib.suppress(ReferenceError):  # the scene is gone
                setattr(owner, name, value)


VIEW_SETTINGS = ("view_transform", "look", "exposure", "gamma", "use_curve_mapping", "use_white_balance")


@contextlib.contextmanager
def shown_nowhere(context: bpy.types.Context) -> Iterator[None]:
    """Within the block renders open no window."""
    view = context.preferences.view
    before, view.render_display_type = view.render_display_type, "NONE"
    try:
        yield
    finally:
        view.render_display_type = before


class LVSM_PT_virtual_photos(SideBarPanel, bpy.types.Panel):
    bl_label = "Virtual Photos"
    bl_parent_id = "LVSM_PT_input_views"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context):
        column = self.layout.column()
        column.operator("lvsm.add_cameras_around", icon="OUTLINER_OB_CAMERA")
        column.operator("lvsm.take_photos", icon="RENDER_STILL")


classes = (LVSM_OT_add_cameras_around, LVSM_OT_take_photos, LVSM_PT_virtual_photos)
register, unregister = bpy.utils.register_classes_factory(classes)
