"""The render engine "LVSM": F12, -f and -a. The class is a shell; what it does are the functions below it.

In a window render() runs on a thread of Blender's: nothing here touches bpy.data or the interface.
"""

import time
import traceback
from dataclasses import replace
from typing import Any

import bpy
import numpy as np
from bpy.app.handlers import persistent

from lvsm_engine.errors import Cancelled, LvsmError, WorkerError
from lvsm_engine.progress import Progress
from lvsm_engine.scene.camera import OPENCV_FROM_OPENGL, Camera
from lvsm_engine.worker.client import Request

from ..engine.worker_owner import progress_text, worker
from ..last_outcome import last_outcome
from ..scene import scene_cameras
from ..scene.results import told_in_files
from . import passes
from .viewport import viewports

POLL_SECONDS = 0.05
WORKING_SPACE = "Linear Rec.709"  # what scene_linear gives
WHOLE_FRAME = ""  # the name of the only view of a render without stereo


class LVSM_RenderEngine(bpy.types.RenderEngine):
    bl_idname = "LVSM"
    bl_label = "LVSM"
    bl_use_preview = False  # no model, no material preview
    bl_use_eevee_viewport = True
    bl_use_shading_nodes_custom = False

    def update_render_passes(self, scene, view_layer):
        for entry in passes.passes_of(view_layer):
            self.register_pass(scene, view_layer, entry.name, len(entry.channels), entry.channels, entry.kind)

    def view_update(self, context, depsgraph):
        viewports.forget_inputs()

    def view_draw(self, context, depsgraph):
        viewports.draw(self, context, depsgraph)

    def render(self, depsgraph):
        # Blender takes an exception, and a return without a word, for a finished black frame.
        try:
            render_frame(self, depsgraph)
        except LvsmError as error:
            if not self.test_break():  # the user's own: Blender drops what was rendered
                last_outcome.keep(error)
                self.report({"ERROR"}, str(error))
        except Exception as error:
            traceback.print_exc()
            self.report(
                {"ERROR"}, f"LVSM has a bug ({type(error).__name__}: {error}): please report the console's text."
            )


def render_frame(render_engine, depsgraph) -> None:
    """Synthesize one view layer's frame and hand it to Blender. Raises LvsmError, with no result begun."""
    scene, width, height = depsgraph.scene, render_engine.resolution_x, render_engine.resolution_y
    names = [view.name for view in scene.render.views if view.use] if scene.render.use_multiview else [WHOLE_FRAME]
    cameras = [_view_camera(render_engine, depsgraph, name) for name in names]
    asked = passes.passes_of(depsgraph.view_layer)
    main_photos = passes.NEAREST_PHOTO in asked
    result = follow(render_engine, worker.render(scene, depsgraph, cameras, main_photos))
    for warning in last_outcome.warn(result["warnings"]):
        render_engine.report({"WARNING"}, warning)
    left, bottom, right, top = frame_window(scene.render, width, height)
    film = passes.Film.of(scene)
    for name, camera, picture in zip(names, cameras, passes.of_each_camera(result), strict=True):
        pixels = {
            entry.name: passes.pixels_of(entry, picture, camera, film)[::-1][bottom:top, left:right] for entry in asked
        }
        _write(render_engine, depsgraph.view_layer.name, name, pixels)
    for name, line in told_in_files(result).items():
        render_engine.get_result().stamp_data_add_field(name, line)


def _view_camera(render_engine, depsgraph, name: str) -> Camera:
    """The scene's camera as one eye sees it."""
    camera_object = depsgraph.scene.camera
    camera = scene_cameras.camera_from_blender(camera_object, depsgraph)
    if name == WHOLE_FRAME:
        return camera
    render_engine.active_view_set(name)
    eye = camera_object.evaluated_get(depsgraph)
    lens = eye.data
    sensor = lens.sensor_height if lens.sensor_fit == "VERTICAL" else lens.sensor_width
    # An eye's image plane is moved sideways; Blender counts that in units of the frame's fitted side.
    fitted_side = camera.fx * sensor / lens.lens
    return replace(
        camera,
        camera_to_world=np.array(render_engine.camera_model_matrix(eye).normalized()) @ OPENCV_FROM_OPENGL,
        cx=camera.cx - (render_engine.camera_shift_x(eye) - lens.shift_x) * fitted_side,
    )


def follow(render_engine, request: Request) -> dict[str, Any]:
    """Wait for the answer, telling Blender of the progress.

    Raises Cancelled when the user breaks, WorkerError when the engine is stopped under the render.
    """
    told, shown = Progress(0.0, ""), ""
    while not request.poll():
        if render_engine.test_break():
            request.cancel()
            raise Cancelled
        if request.progress != told:
            told = request.progress
            render_engine.update_progress(told.fraction)
        text = told.stage if bpy.app.background else progress_text(told)  # on a console each is a line
        if text != shown:
            shown = text
            render_engine.update_stats("", text)
        time.sleep(POLL_SECONDS)
    try:
        return request.result()
    except Cancelled as stopped:
        raise WorkerError("The engine was stopped while it rendered: render again.") from stopped


def frame_window(render: bpy.types.RenderSettings, width: int, height: int) -> tuple[int, int, int, int]:
    """The part of the frame that Blender wants: (left, bottom, right, top) in pixels from the bottom left corner."""
    if not render.use_border:
        return 0, 0, width, height
    # In float32 and truncated, as Blender does: one pixel more, and it refuses the result.
    across, up = np.float32(width), np.float32(height)
    return (
        int(np.float32(render.border_min_x) * across),
        int(np.float32(render.border_min_y) * up),
        int(np.float32(render.border_max_x) * across),
        int(np.float32(render.border_max_y) * up),
    )


def _write(render_engine, layer_name: str, view_name: str, pixels: dict[str, np.ndarray]) -> None:
    """Hand the passes' pixels (H, W, channels) of one view, from the bottom, to Blender."""
    height, width, _ = pixels[passes.COMBINED.name].shape
    result = render_engine.begin_result(0, 0, width, height, layer=layer_name, view=view_name)
    for name, values in pixels.items():
        found = result.layers[0].passes.find_by_name(name, view=view_name)
        found.rect.foreach_set(np.ascontiguousarray(values, np.float32).ravel())
    render_engine.end_result(result)


def changes_to_colors(scene: bpy.types.Scene) -> list[str]:
    """The settings of a scene under which a saved render differs from the synthesized picture, for a person."""
    view = scene.view_settings
    return [
        name
        for name, is_changing in (
            (f"View transform {view.view_transform}", view.view_transform != "Standard"),
            (f"Look {view.look}", view.look != "None"),
            ("Exposure", view.exposure != 0),
            ("Gamma", view.gamma != 1),
            ("Curves", view.use_curve_mapping),
            ("White balance", getattr(view, "use_white_balance", False)),  # 4.3 on
            (f"Display {scene.display_settings.display_device}", scene.display_settings.display_device != "sRGB"),
            ("Dither", scene.render.dither_intensity != 0),
            (f"Working space {_working_space()}", _working_space() != WORKING_SPACE),
        )
        if is_changing
    ]


def _working_space() -> str:
    """The file's scene-linear color space; a choice from 5.0 on."""
    return bpy.data.colorspace.working_space if hasattr(bpy.data, "colorspace") else WORKING_SPACE


def use_exact_colors(scene: bpy.types.Scene) -> None:
    """Set what changes_to_colors names, but for the file's working space."""
    view = scene.view_settings
    scene.display_settings.display_device = "sRGB"
    view.view_transform, view.look = "Standard", "None"
    view.exposure, view.gamma = 0, 1
    view.use_curve_mapping = False
    if hasattr(view, "use_white_balance"):
        view.use_white_balance = False
    scene.render.dither_intensity = 0


class LVSM_OT_use_exact_colors(bpy.types.Operator):
    """Set the scene's color management and dither so that saved renders equal the synthesized picture"""

    bl_idname = "lvsm.use_exact_colors"
    bl_label = "Use Exact Colors"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context):
        use_exact_colors(context.scene)
        if _working_space() != WORKING_SPACE:
            bpy.ops.wm.set_working_color_space(working_space=WORKING_SPACE, convert_colors=True)
        return {"FINISHED"}


# Blender hides its own panels from the engines that they do not list. "BLENDER_RENDER" is listed where any engine fits.
FOREIGN_PANELS = (
    "RENDER_PT_freestyle",
    "RENDER_PT_gpencil",
    "RENDER_PT_grease_pencil",
    "RENDER_PT_simplify",
    "VIEWLAYER_PT_freestyle",
)


def _compatibility_lists() -> list[set[str]]:
    """The COMPAT_ENGINES of Blender's panels that fit this engine."""
    return [
        panel.COMPAT_ENGINES
        for panel in bpy.types.Panel.__subclasses__()
        if "BLENDER_RENDER" in getattr(panel, "COMPAT_ENGINES", ()) and not panel.__name__.startswith(FOREIGN_PANELS)
    ]


classes = (LVSM_RenderEngine, LVSM_OT_use_exact_colors)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


@persistent
def forget_the_last(*_) -> None:
    """A render begins, or an animation: its warnings are told once."""
    last_outcome.forget()


def register():
    register_classes()
    bpy.app.handlers.render_init.append(forget_the_last)
    for engines in _compatibility_lists():
        engines.add(LVSM_RenderEngine.bl_idname)


def unregister():
    bpy.app.handlers.render_init.remove(forget_the_last)
    for engines in _compatibility_lists():
        engines.discard(LVSM_RenderEngine.bl_idname)
    unregister_classes()
