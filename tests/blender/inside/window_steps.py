"""Drives a Blender window from a generator of steps: each yields how many seconds to let Blender live before the next."""

import contextlib
import os
import subprocess
import sys
import time
import traceback

import bpy
from stage import HANG_SECONDS


def run(steps):
    """Do the steps, then quit; an exception ends Blender at once with status 1."""
    bpy.context.preferences.view.show_splash = False

    def next_step():
        try:
            for seconds in steps:
                return seconds
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


def region_of(area, kind):
    return next(region for region in area.regions if region.type == kind)


def view_is_drawn(kind="WINDOW"):
    """Wait until the 3D view, or a region of it of another kind, is drawn, in steps.

    Regions of a file that was just loaded, and those just opened, are not there before: to touch them crashes 4.3 and 5.2.
    """
    drawn = []
    handler = bpy.types.SpaceView3D.draw_handler_add(lambda: drawn.append(True), (), kind, "POST_PIXEL")
    view_area().tag_redraw()
    yield from until(lambda: drawn)
    bpy.types.SpaceView3D.draw_handler_remove(handler, kind)


@contextlib.contextmanager
def in_view():
    """The context of someone whose mouse is over the 3D view."""
    area = view_area()
    with bpy.context.temp_override(window=window(), area=area, region=region_of(area, "WINDOW")):
        yield


def show_tab():
    """Open the side bar at the tab LVSM, in steps."""
    view_area().spaces[0].show_region_ui = True
    yield from view_is_drawn("UI")
    area = view_area()
    region_of(area, "UI").active_panel_category = "LVSM"
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


def until(condition, seconds=HANG_SECONDS):
    """Wait for a condition, in steps."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it never happened")
        yield 0.02
