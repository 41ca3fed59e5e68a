"""What benchmarks.window measures inside Blender's window: window_in_blender.py FOLDER

FOLDER/transforms.json are the photos. Writes FOLDER/waits.json: for each function of the add-on that Blender called, the longest
that it took in milliseconds, and how often it was called.
"""

import functools
import importlib
import json
import sys
import time
import traceback
import types
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
addon = importlib.import_module("blender_addon")

folder = Path(sys.argv[sys.argv.index("--") + 1])
waits: dict[str, list[float]] = {}
# What Blender calls as handlers and timers, and of classes.
FUNCTIONS = ("window.trust_overlay.draw", "window.panel._redraw_when_changed")
METHODS = (
    "draw",
    "draw_header",
    "draw_header_preset",
    "draw_item",
    "filter_items",
    "poll",
    "execute",
    "invoke",
    "modal",
)
depth = 0


def timed(function, name):
    """The same function, whose outermost calls are timed: what it calls itself is part of them."""

    def call(*arguments):
        global depth
        depth += 1
        began = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            depth -= 1
            if depth == 0:
                longest, calls = waits.setdefault(name, [0.0, 0])
                waits[name] = [max(longest, (time.perf_counter() - began) * 1000), calls + 1]

    # Blender counts a function's arguments, and gives as many.
    names = ", ".join(function.__code__.co_varnames[: function.__code__.co_argcount])
    return functools.wraps(function)(eval(f"lambda {names}: call({names})", {"call": call}))


def time_function(name):
    """Before it is registered: Blender keeps handlers and timers themselves."""
    module_name, _, function_name = name.rpartition(".")
    module = importlib.import_module(f"blender_addon.{module_name}")
    setattr(module, function_name, timed(getattr(module, function_name), name))


def time_methods(module):
    """After they are registered: Blender looks methods up by their names, and counts their arguments at first."""
    for cls in list(vars(module).values()):
        if not (isinstance(cls, type) and cls.__module__ == module.__name__):
            continue
        for name in METHODS:
            value = vars(cls).get(name)
            if isinstance(value, types.FunctionType):
                setattr(cls, name, timed(value, f"{cls.__name__}.{name}"))
            elif isinstance(value, classmethod):
                setattr(cls, name, classmethod(timed(value.__func__, f"{cls.__name__}.{name}")))


def view_area():
    return next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")


def redrawn():
    view_area().tag_redraw()
    return 0.1


def in_view():
    area = view_area()
    region = next(region for region in area.regions if region.type == "WINDOW")
    return bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=region)


def steps():
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    yield 1
    bpy.ops.lvsm.import_capture(filepath=str(folder / "transforms.json"))
    scene = bpy.context.scene
    view_area().spaces[0].show_region_ui = True
    yield 1
    next(region for region in view_area().regions if region.type == "UI").active_panel_category = "LVSM"
    yield 2
    for number in range(20):
        view_area().spaces.active.region_3d.view_rotation.rotate(bpy.context.scene.camera.matrix_world.to_quaternion())
        scene.camera.location.x += 0.01 * number
        yield redrawn()
    for number in range(0, len(scene.objects), max(1, len(scene.objects) // 20)):
        scene.lvsm.active_object_index = number
        yield redrawn()
    for order in ("ANGLE", "PSNR", "NAME"):
        scene.lvsm.photo_order = order
        yield redrawn()
    with in_view():
        bpy.ops.lvsm.add_subject()
        bpy.ops.lvsm.switch_photos(action="USED")
        bpy.ops.lvsm.switch_photos(action="ALL")
        bpy.ops.lvsm.synthesize_view("INVOKE_DEFAULT")
    yield 3
    importlib.import_module("blender_addon.engine.followed_job").followed.job.cancel()
    yield 1


def run(script):
    def next_step():
        try:
            return next(script)
        except StopIteration:
            (folder / "waits.json").write_text(json.dumps(waits))
        except Exception:
            traceback.print_exc()
        bpy.ops.wm.quit_blender()
        return None

    bpy.app.timers.register(next_step, first_interval=1, persistent=True)


for name in FUNCTIONS:
    time_function(name)
modules = [importlib.import_module(f"blender_addon.{name}") for name in addon.MODULES]
addon.register()
for module in modules:
    time_methods(module)
bpy.context.preferences.view.show_splash = False
run(steps())
