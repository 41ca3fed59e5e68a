"""screenshots.py FOLDER CAPTURE FAKE_PYTHON: pictures of the panel before, during and after a synthesis, and of errors."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import bpy
import stage
import window_steps as ui
from mathutils import Euler

SETTLED = 6  # seconds until panels have slid to their places, where the processor draws the 3D view

folder, capture, fake_python = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
worker, followed = stage.addon("engine.worker_owner").worker, stage.addon("engine.followed_job").followed


def shoot(name):
    version = ".".join(map(str, bpy.app.version[:2]))
    subprocess.run(["scrot", "-o", folder / f"{version}_{name}.png"], check=True)
    print(f"{version}_{name}.png")


def build():
    """The sample capture, a target camera between its cameras, and an Image Editor beside the 3D view; in steps."""
    scene = stage.build(folder, views=0)
    scene.collection.objects.unlink(scene.camera)
    yield 1
    area = ui.view_area()
    with bpy.context.temp_override(window=ui.window(), area=area):
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.35)
    min(
        ui.window().screen.areas, key=lambda area: area.x + area.y * 1e-3 if area.type == "VIEW_3D" else 1e9
    ).ui_type = "IMAGE_EDITOR"
    bpy.ops.lvsm.import_capture(filepath=capture)
    scene.render.resolution_x, scene.render.resolution_y = 512, 512
    scene.camera = stage.add_camera("Camera", (1.25, -0.95, 0.55))
    scene.camera.rotation_euler = (1.24, 0, 0.92)
    scene.camera.data.angle = 0.87
    yield 1
    yield from ui.show_tab()


def start(python):
    worker.shutdown()
    os.environ["LVSM_PYTHON"] = python
    with ui.in_view(), contextlib.suppress(RuntimeError):  # what the operator reports is what the pictures show
        bpy.ops.lvsm.synthesize_view("INVOKE_DEFAULT")


def is_full_in(region):
    """Whether a rendered view shows its full picture."""
    shown = stage.addon("rendering.viewport").viewports.picture_of(region).shown
    return shown is not None and shown.is_full


def idle():
    return followed.job is None


def steps():
    real_python = os.environ["LVSM_PYTHON"]
    stage.build(folder, views=0)
    yield 1
    yield from ui.show_tab()
    shoot("1_empty")
    yield from build()
    shoot("2_before")
    start(real_python)
    yield from ui.until(lambda: worker.state == "busy", seconds=200)
    yield 1
    shoot("3_during")
    yield from ui.until(idle, seconds=200)
    with ui.in_view():
        bpy.ops.view3d.view_camera()
    yield SETTLED
    shoot("4_after")
    os.environ["LVSM_FAKE_FAULT"] = "die"
    start(fake_python)
    yield from ui.until(idle)
    yield SETTLED
    shoot("5_died")
    start("/home/ana/view synthesis/.venv/bin/python")
    bpy.context.scene.render.engine = "LVSM"
    yield SETTLED
    shoot("6_no_python")
    properties = next(area for area in ui.window().screen.areas if area.type == "PROPERTIES")
    for number, tab in enumerate(("RENDER", "VIEW_LAYER"), 7):
        properties.spaces.active.context = tab
        yield SETTLED
        shoot(f"{number}_{tab.lower()}_properties")
    worker.shutdown()
    del os.environ["LVSM_FAKE_FAULT"]
    os.environ["LVSM_PYTHON"] = real_python
    view = ui.view_area().spaces.active
    view.shading.type = "RENDERED"
    yield from ui.until(lambda: is_full_in(ui.region_of(ui.view_area(), "WINDOW")), seconds=200)
    yield SETTLED
    shoot("9_rendered_viewport")
    view.region_3d.view_perspective = "PERSP"
    view.region_3d.view_rotation = Euler((1.1, 0, 1.3)).to_quaternion()
    view.region_3d.view_location, view.region_3d.view_distance = (0, 0, 0.1), 2.4
    yield 1
    yield from ui.until(lambda: is_full_in(ui.region_of(ui.view_area(), "WINDOW")), seconds=200)
    yield SETTLED
    shoot("10_rendered_viewport_orbited")
    yield from get_a_model(fake_python)


def get_a_model(python):
    """The menu of models, the licence that is shown first, and a fetch under way, which never ends; in steps."""
    worker.shutdown()
    bpy.context.scene.render.engine = "BLENDER_WORKBENCH"
    ui.view_area().spaces.active.shading.type = "SOLID"
    bpy.context.preferences.system.use_online_access = True
    os.environ |= {"LVSM_PYTHON": python, "LVSM_MODELS": str(folder / "none"), "LVSM_FAKE_HOLD": str(folder / "never")}
    with ui.in_view():
        bpy.ops.wm.call_menu(name="LVSM_MT_models")
    yield SETTLED
    shoot("11_models")
    ui.press("Escape")
    yield 1
    with ui.in_view():
        bpy.ops.lvsm.get_model("INVOKE_DEFAULT", name="lact-objects-512", accepts_licence=True)
    yield SETTLED
    shoot("12_licence")
    ui.press("Return")
    yield from ui.until(lambda: not idle() and followed.job.progress.fraction > 0)
    yield SETTLED
    shoot("13_fetching")
    ui.press("Escape")
    yield from ui.until(idle)


ui.run(steps())
