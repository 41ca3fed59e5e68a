"""Export Capture in a window: it returns at once, can be cancelled, and says what became of it."""

import tempfile
import time
from pathlib import Path

import bpy
import stage
import window_steps as ui

folder = Path(tempfile.mkdtemp())
captures = stage.addon("bundled.lvsm_engine.scene.captures")
capture_export = stage.addon("captures.capture_export")


def build():
    ui.close_other_windows()
    yield 0.5
    stage.build(folder)
    yield from ui.view_is_drawn()


def export(name):
    with ui.in_view():
        return bpy.ops.lvsm.export_capture("INVOKE_DEFAULT", directory=str(folder / name), writer="COLMAP")


def test_an_export_goes_on_beside_the_window():
    yield from build()
    assert export("out") == {"RUNNING_MODAL"}
    yield from ui.until(lambda: (folder / "out" / "sparse" / "0" / "images.txt").exists())
    assert captures.load_capture(folder / "out").views


def test_a_cancelled_export_leaves_nothing():
    yield from build()
    write = captures.export._write

    def slowly(*arguments):
        time.sleep(0.5)
        write(*arguments)

    captures.export._write = slowly
    try:
        assert export("cancelled") == {"RUNNING_MODAL"}
        yield 0.3
        ui.press("Escape")
        yield 2.0
    finally:
        captures.export._write = write
    assert not [path for path in (folder / "cancelled").rglob("*") if path.is_file()]
