"""tour.py FOLDER CAPTURE: the manual's pictures (docs/tour.md), in one window: photos, a picture, the viewport, a check."""

import subprocess
import sys
from pathlib import Path

import bpy
import stage
import window_steps as ui
from mathutils import Euler

SETTLED = 6  # seconds until panels have slid to their places, where the processor draws the 3D view
LONG = 400  # seconds that the engine may take on a busy machine
QUALITY = "85"
UI_SCALE = 0.85  # so that the whole side bar is seen

folder, capture = Path(sys.argv[1]), sys.argv[2]
followed, viewports = stage.addon("engine.followed_job").followed, stage.addon("rendering.viewport").viewports


def shoot(name):
    subprocess.run(["scrot", "-o", "-q", QUALITY, folder / f"{name}.jpg"], check=True)
    print(f"{name}.jpg")


def build():
    """The sample capture around the origin, a target camera among its cameras, an Image Editor at the left; in steps."""
    opened(stage.addon("captures.capture_check").LVSM_PT_check_capture)
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    bpy.context.preferences.view.ui_scale = UI_SCALE
    yield 1
    with bpy.context.temp_override(window=ui.window(), area=ui.view_area()):
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.35)
    views = [area for area in ui.window().screen.areas if area.type == "VIEW_3D"]
    min(views, key=lambda area: area.x).ui_type = "IMAGE_EDITOR"
    scene = bpy.context.scene
    bpy.ops.lvsm.import_capture(filepath=capture)
    scene.render.engine = "LVSM"
    scene.render.resolution_x = scene.render.resolution_y = 512
    scene.camera = stage.add_camera("Target", (1.25, -0.95, 0.55))
    scene.camera.rotation_euler, scene.camera.data.angle = (1.24, 0, 0.92), 0.87
    scene.lvsm.show_trust = True
    bpy.ops.lvsm.use_exact_colors()
    yield 1
    yield from ui.show_tab()
    look(Euler((1.1, 0, 0.5)), 5)


def look(way, distance):
    region_3d = ui.view_area().spaces.active.region_3d
    region_3d.view_perspective, region_3d.view_rotation = "PERSP", way.to_quaternion()
    region_3d.view_location, region_3d.view_distance = (0, 0, 0.1), distance


def opened(panel):
    """Have a panel open at its first draw, as a click would open it."""
    bpy.utils.unregister_class(panel)
    panel.bl_options = set()
    bpy.utils.register_class(panel)


def is_full():
    shown = viewports.picture_of(ui.region_of(ui.view_area(), "WINDOW")).shown
    return shown is not None and shown.is_full


def steps():
    yield from build()
    yield SETTLED
    shoot("1_imported")
    with ui.in_view():
        bpy.ops.lvsm.synthesize_view("INVOKE_DEFAULT")
        bpy.ops.view3d.view_camera()
    yield from ui.until(lambda: followed.job is None, seconds=LONG)
    yield SETTLED
    shoot("2_synthesized")
    look(Euler((1.1, 0, 1.0)), 2.4)
    ui.view_area().spaces.active.shading.type = "RENDERED"
    yield 2
    yield from ui.until(is_full, seconds=LONG)
    yield SETTLED
    shoot("3_viewport")
    ui.view_area().spaces.active.shading.type = "SOLID"
    settings = bpy.context.scene.lvsm
    settings.check.count, settings.check.side = 6, 128
    with ui.in_view():
        bpy.ops.lvsm.check_capture("INVOKE_DEFAULT")
    yield from ui.until(lambda: followed.job is None, seconds=LONG)
    with ui.in_view():
        bpy.ops.lvsm.compare()
    yield SETTLED
    shoot("4_checked")


ui.run(steps())
