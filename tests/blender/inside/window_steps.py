"""Drives a Blender window from a generator of steps: each yields how many seconds to let Blender live before the next."""

import contextlib
import os
import subprocess
import sys
import traceback

import bpy


def run(steps):
    """Do the steps, then quit; an exception ends Blender at once with status 1."""
    bpy.context.preferences.view.show_splash = False

    def next_step():
        try:
            return next(steps)
        except StopIteration:
            bpy.ops.wm.quit_blender()
        except Exception:
            traceback.print_exc()
            sys.stdout.flush()
            os._exit(1)
        return None

    bpy.app.timers.register(next_step, first_interval=1, persistent=True)


def window():
    return bpy.context.window_manager.windows[0]


def view_area():
    return next(area for area in window().screen.areas if area.type == "VIEW_3D")


@contextlib.contextmanager
def in_view():
    """The context of someone whose mouse is over the 3D view."""
    area = view_area()
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window(), area=area, region=region):
        yield


def show_tab():
    """Open the side bar at the tab LVSM, in steps."""
    view_area().spaces[0].show_region_ui = True
    yield 1
    area = view_area()
    side = next(region for region in area.regions if region.type == "UI")
    side.active_panel_category = "LVSM"
    area.tag_redraw()
    yield 1.5


def close_other_windows():
    for other in bpy.context.window_manager.windows[1:]:
        with bpy.context.temp_override(window=other):
            bpy.ops.wm.window_close()


def press(key):
    """A key in the middle of the main window, as from the keyboard."""
    main = window()
    subprocess.run(["xdotool", "mousemove", str(main.x + main.width // 2), str(main.height // 2)], check=True)
    subprocess.Popen(["xdotool", "key", key])


def until(condition, seconds=60):
    """Wait for a condition, in steps."""
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        yield 0.02
    raise AssertionError("it did not happen in time")
