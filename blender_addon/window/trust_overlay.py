"""The target camera's frame in 3D views: green, amber or red, by how far the photos can tell what it sees.

Drawn with every redraw of a view, so it follows a camera that is moved; what it shows is target.last_outlook's.
"""

import bpy
import gpu
import numpy as np
from bpy.props import BoolProperty
from gpu_extras.batch import batch_for_shader

from lvsm_engine.scene.trust import DOUBTFUL, GOOD, POOR

from ..scene import input_views, target

COLORS = {GOOD: (0.2, 0.8, 0.3, 1.0), DOUBTFUL: (1.0, 0.65, 0.1, 1.0), POOR: (0.95, 0.2, 0.2, 1.0)}
LINE_WIDTH = 3.0  # pixels, of Blender's interface at scale 1


def frame_lines(scene: bpy.types.Scene, camera_object: bpy.types.Object) -> np.ndarray:
    """The ends (N, 3) of lines around a perspective camera's frame, and from it to the corners, where Blender draws them."""
    lens = camera_object.data
    sensor = lens.sensor_height if lens.sensor_fit == "VERTICAL" else lens.sensor_width
    corners = np.array(lens.view_frame(scene=scene))  # (4, 3), at a depth of its own
    corners *= lens.display_size * lens.lens / sensor / np.abs(corners[:, 2:])
    position, rotation, _ = camera_object.matrix_world.decompose()
    corners = corners @ np.array(rotation.to_matrix()).T + np.array(position)
    around = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    out = np.stack([np.broadcast_to(np.array(position), corners.shape), corners], axis=1)
    return np.concatenate([around, out]).reshape(-1, 3).astype(np.float32)


def color_of(context: bpy.types.Context) -> tuple[float, float, float, float] | None:
    """What the frame is to be drawn in; None where there is nothing to tell, or nobody wants to know."""
    scene, space = context.scene, context.space_data
    if not scene.lvsm.show_trust or (space is not None and not space.overlay.show_overlays):
        return None
    camera_object = target.target_camera(scene)
    if camera_object is None or camera_object.data.type != "PERSP" or not input_views.has_photos():
        return None
    outlook = target.last_outlook.now(scene, context.evaluated_depsgraph_get(), target.ingredients(scene))
    return COLORS[outlook.trust.level] if outlook.angles else None


def draw() -> None:
    """Blender calls this with every redraw of a 3D view."""
    context = bpy.context
    color = color_of(context)
    if color is None:
        return
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    lines = frame_lines(context.scene, target.target_of(context.scene))
    batch = batch_for_shader(shader, "LINES", {"pos": lines})
    gpu.state.blend_set("ALPHA")
    gpu.state.depth_test_set("LESS_EQUAL")
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", LINE_WIDTH * context.preferences.system.ui_scale)
    shader.uniform_float("color", color)
    batch.draw(shader)
    gpu.state.depth_test_set("NONE")
    gpu.state.blend_set("NONE")


def draw_in_overlay_menu(menu, context) -> None:
    menu.layout.separator()
    menu.layout.prop(context.scene.lvsm, "show_trust")


_handlers: list[object] = []


def register() -> None:
    input_views.LVSM_SceneSettings.show_trust = BoolProperty(
        name="Show Trust",
        default=True,
        description="Draw the target camera's frame green, amber or red, by how far the photos can tell what it sees",
    )
    bpy.types.VIEW3D_PT_overlay.append(draw_in_overlay_menu)
    if not bpy.app.background:
        _handlers.append(bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", "POST_VIEW"))


def unregister() -> None:
    while _handlers:
        bpy.types.SpaceView3D.draw_handler_remove(_handlers.pop(), "WINDOW")
    bpy.types.VIEW3D_PT_overlay.remove(draw_in_overlay_menu)
    del input_views.LVSM_SceneSettings.show_trust
