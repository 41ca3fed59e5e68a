"""Objects in the photo: Cycles or EEVEE renders them, LVSM the picture around them, and the compositor joins both.

An LVSM scene stands beside the user's: the same cameras, frames and size, rendered when the user's is. What hides what
is told by both depths, along the camera's axis.
"""

import time
from pathlib import Path

import bpy
from bpy.app.handlers import persistent
from bpy.props import BoolProperty, PointerProperty
from mathutils import Vector

from lvsm_engine.errors import LvsmError

from ..last_outcome import last_outcome
from ..rendering.render_engine import LVSM_RenderEngine, changes_to_colors
from ..scene import input_views
from ..window.panel import SideBarPanel, draw_hint
from . import depth_compositing
from .virtual_photos import ball_around, things

# What the LVSM scene has in common with the user's.
RENDER_SETTINGS = (
    *("resolution_x", "resolution_y", "resolution_percentage", "pixel_aspect_x", "pixel_aspect_y"),
    *("use_border", "use_crop_to_border", "border_min_x", "border_max_x", "border_min_y", "border_max_y"),
)
FRAME_SETTINGS = ("frame_start", "frame_end", "frame_step", "camera")
LVSM_SETTINGS = ("model", "use_detail")
# Of the radius of what stands on it.
CATCHER_SIDE = 8.0
WATCH_SECONDS = 0.2


class LVSM_CgSettings(bpy.types.PropertyGroup):
    """`scene.lvsm_cg`, of the scene with the objects; what it was before is for the removal."""

    photo_scene: PointerProperty(type=bpy.types.Scene)
    was_transparent: BoolProperty()
    was_composited: BoolProperty()
    had_depth: BoolProperty()
    had_nodes: BoolProperty()


def is_set_up(scene: bpy.types.Scene) -> bool:
    return scene.lvsm_cg.photo_scene is not None


def set_up(scene: bpy.types.Scene) -> None:
    """Have a scene's renders stand in its LVSM picture. Done again, it mends what is missing."""
    settings, render, layer = scene.lvsm_cg, scene.render, scene.view_layers[0]
    if settings.photo_scene is None:
        settings.photo_scene = _new_photo_scene(scene)
        settings.was_transparent, settings.was_composited = render.film_transparent, render.use_compositing
        settings.had_depth, settings.had_nodes = layer.use_pass_z, depth_compositing.is_used(scene)
    follow(scene)
    render.film_transparent = render.use_compositing = layer.use_pass_z = True
    depth_compositing.connect(scene, settings.photo_scene)


def remove(scene: bpy.types.Scene) -> None:
    """Undo set_up."""
    settings, render = scene.lvsm_cg, scene.render
    depth_compositing.disconnect(scene, settings.had_nodes)
    render.film_transparent, render.use_compositing = settings.was_transparent, settings.was_composited
    scene.view_layers[0].use_pass_z = settings.had_depth
    bpy.data.scenes.remove(settings.photo_scene)


def _new_photo_scene(scene: bpy.types.Scene) -> bpy.types.Scene:
    photo_scene = bpy.data.scenes.new(f"{scene.name} LVSM")
    photo_scene.render.engine = LVSM_RenderEngine.bl_idname
    photo_scene.render.film_transparent = scene.render.film_transparent
    photo_scene.view_layers[0].use_pass_z = True
    return photo_scene


def follow(scene: bpy.types.Scene) -> None:
    """Make the LVSM scene see what this one's camera does. Writes only what differs."""
    _follow_settings(scene)
    photo_scene = scene.lvsm_cg.photo_scene
    there = photo_scene.collection.objects
    wanted, had = {item for item in scene.objects if item.type == "CAMERA"}, set(there)
    for item in wanted - had:
        there.link(item)
    for item in had - wanted:
        there.unlink(item)
    if wanted != had:
        photo_scene.view_layers[0].update()  # else a render that begins now crashes 5.2


def _follow_settings(scene: bpy.types.Scene) -> None:
    photo_scene = scene.lvsm_cg.photo_scene
    _copy(RENDER_SETTINGS, scene.render, photo_scene.render)
    _copy(FRAME_SETTINGS, scene, photo_scene)
    _copy(LVSM_SETTINGS, scene.lvsm, photo_scene.lvsm)
    if (cuts := _cuts(scene)) != _cuts(photo_scene):
        photo_scene.timeline_markers.clear()
        for frame, camera_object in cuts:
            photo_scene.timeline_markers.new("Cut", frame=frame).camera = camera_object


def _cuts(scene: bpy.types.Scene) -> list[tuple[int, bpy.types.Object]]:
    """The frames at which markers switch the scene's camera, and to which."""
    return [(marker.frame, marker.camera) for marker in scene.timeline_markers if marker.camera is not None]


def _copy(names: tuple[str, ...], source: bpy.types.bpy_struct, target: bpy.types.bpy_struct) -> None:
    for name in names:
        if getattr(target, name) != getattr(source, name):
            setattr(target, name, getattr(source, name))


@persistent
def follow_before_render(scene: bpy.types.Scene, *_) -> None:
    """In a window a render's thread asks, which must add no objects: there they have been."""
    if is_set_up(scene):
        begin = follow if bpy.app.background else _follow_settings
        begin(scene)


@persistent
def follow_soon(scene: bpy.types.Scene, *_) -> None:
    """Not at once: a handler of the scene's evaluation that adds objects to another scene crashes 5.2."""
    if is_set_up(scene) and not bpy.app.background and not bpy.app.timers.is_registered(follow_now):
        bpy.app.timers.register(follow_now, first_interval=0)


def follow_now() -> float | None:
    """A timer of Blender's: any scene may have been the one that changed. A render that runs is not disturbed."""
    if bpy.app.is_job_running("RENDER"):
        return WATCH_SECONDS
    for scene in bpy.data.scenes:
        if is_set_up(scene):
            follow(scene)
    return None


class FailedFrame:
    """Takes away the file of a frame whose picture could not be synthesized.

    An engine's error stops the render of the user's scene, but not when it comes from a scene that the compositor asks
    for; and Resume Animation would take the file for a frame.
    """

    def __init__(self) -> None:
        self._former_error: LvsmError | None = None
        self._began = 0.0

    def begin(self) -> None:
        self._former_error, self._began = last_outcome.error, time.time()

    def discard(self, render: bpy.types.RenderSettings) -> None:
        if last_outcome.error is self._former_error:
            return
        still = bpy.path.ensure_ext(bpy.path.abspath(render.filepath), render.file_extension)
        for path in map(Path, (still, bpy.path.abspath(render.frame_path()))):
            if not render.is_movie_format and path.is_file() and path.stat().st_mtime >= self._began:
                path.unlink()
                print(f"LVSM: {path} is not kept: {last_outcome.error}")


failed_frame = FailedFrame()


@persistent
def begin_frame(*_) -> None:
    failed_frame.begin()


@persistent
def discard_failed_frame(scene: bpy.types.Scene, *_) -> None:
    if is_set_up(scene):
        failed_frame.discard(scene.render)


def obstacle(scene: bpy.types.Scene) -> str:
    """Why no objects can be put into the photo, for a person; empty where they can."""
    if any(other.lvsm_cg.photo_scene == scene for other in bpy.data.scenes):
        return "This scene is the photo of another one: go there"
    if scene.render.engine == LVSM_RenderEngine.bl_idname:
        return "Choose Cycles or EEVEE as the render engine: LVSM renders no objects"
    if scene.camera is None:
        return "Add a camera to the scene"
    if not input_views.has_photos() or not any(map(input_views.is_input_view, scene.objects)):
        return "Add a photo to at least one camera"
    return ""


class LVSM_OT_set_up_cg(bpy.types.Operator):
    """Have the compositor put the scene's renders into the synthesized picture, hidden by what is nearer there"""

    bl_idname = "lvsm.set_up_cg"
    bl_label = "Put Objects in the Photo"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        reason = obstacle(context.scene)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context):
        set_up(context.scene)
        self.report({"INFO"}, f"Renders of {context.scene.name} stand in the synthesized picture")
        return {"FINISHED"}


class LVSM_OT_remove_cg(bpy.types.Operator):
    """Take the synthesized picture out of the scene's renders, with all settings as they were"""

    bl_idname = "lvsm.remove_cg"
    bl_label = "Take Objects out of the Photo"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        if not is_set_up(context.scene):
            cls.poll_message_set("The scene's renders stand in no photo")
            return False
        return True

    def execute(self, context):
        remove(context.scene)
        return {"FINISHED"}


class LVSM_OT_add_shadow_catcher(bpy.types.Operator):
    """Add a plane under the selected objects that is seen only by the shadows on it"""

    bl_idname = "lvsm.add_shadow_catcher"
    bl_label = "Add Shadow Catcher"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        if context.scene.render.engine != "CYCLES":
            cls.poll_message_set("Choose Cycles as the render engine: only it catches shadows")
        elif not things(context):
            cls.poll_message_set("Select the objects that are to throw shadows")
        else:
            return True
        return False

    def execute(self, context):
        selected = things(context)
        centre, radius = ball_around(selected)
        ground = min((item.matrix_world @ Vector(corner)).z for item in selected for corner in item.bound_box)
        half = CATCHER_SIDE * radius / 2
        mesh = bpy.data.meshes.new("Shadow Catcher")
        mesh.from_pydata([(-half, -half, 0), (half, -half, 0), (half, half, 0), (-half, half, 0)], [], [(0, 1, 2, 3)])
        catcher = bpy.data.objects.new(mesh.name, mesh)
        catcher.location = centre.x, centre.y, ground
        catcher.is_shadow_catcher = True
        context.scene.collection.objects.link(catcher)
        return {"FINISHED"}


class LVSM_PT_cg_in_photo(SideBarPanel, bpy.types.Panel):
    bl_label = "Objects in the Photo"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 2

    def draw(self, context):
        layout, scene, width = self.layout, context.scene, context.region.width
        layout.use_property_split = True
        layout.use_property_decorate = False
        draw_hint(layout, width, "LVSM renders no meshes: the scene's own engine does, and the compositor joins both")
        if not is_set_up(scene):
            layout.operator("lvsm.set_up_cg", icon="NODE_COMPOSITING")
        else:
            row = layout.row(align=True)
            row.operator("lvsm.set_up_cg", text="Update", icon="FILE_REFRESH")
            row.operator("lvsm.remove_cg", text="Remove", icon="X")
            _draw_what_is_set_up(layout, scene, width)
        layout.operator("lvsm.add_shadow_catcher", icon="MESH_PLANE")


def _draw_what_is_set_up(layout: bpy.types.UILayout, scene: bpy.types.Scene, width: int) -> None:
    tolerance = depth_compositing.tolerance_of(scene)
    if tolerance is not None:
        layout.prop(tolerance, "default_value", text="Tolerance")
    if not scene.lvsm.use_detail:
        draw_hint(layout, width, "Switch Detail from Photos on: without it nothing in the photo hides the objects")
    if changes := changes_to_colors(scene):
        draw_hint(layout, width, f"Saved renders differ from the synthesized picture: {', '.join(changes)}")
        layout.operator("lvsm.use_exact_colors")


classes = (
    LVSM_CgSettings,
    LVSM_OT_set_up_cg,
    LVSM_OT_remove_cg,
    LVSM_OT_add_shadow_catcher,
    LVSM_PT_cg_in_photo,
)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def _handlers_before_render() -> tuple[list, ...]:
    return bpy.app.handlers.render_init, bpy.app.handlers.render_pre


def register() -> None:
    register_classes()
    bpy.types.Scene.lvsm_cg = PointerProperty(type=LVSM_CgSettings)
    bpy.app.handlers.depsgraph_update_post.append(follow_soon)
    for handlers in _handlers_before_render():
        handlers.append(follow_before_render)
    bpy.app.handlers.render_pre.append(begin_frame)
    bpy.app.handlers.render_write.append(discard_failed_frame)


def unregister() -> None:
    bpy.app.handlers.render_write.remove(discard_failed_frame)
    bpy.app.handlers.render_pre.remove(begin_frame)
    for handlers in _handlers_before_render():
        handlers.remove(follow_before_render)
    bpy.app.handlers.depsgraph_update_post.remove(follow_soon)
    if bpy.app.timers.is_registered(follow_now):
        bpy.app.timers.unregister(follow_now)
    del bpy.types.Scene.lvsm_cg
    unregister_classes()
