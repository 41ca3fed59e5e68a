"""Solve Cameras in a window: it goes on beside it, and Esc ends it with nothing made."""

import tempfile
from pathlib import Path

import bpy
import stage
import window_steps as ui

folder = Path(tempfile.mkdtemp())
followed = stage.addon("engine.followed_job").followed


def test_escape_ends_it_and_another_can_be_begun():
    ui.close_other_windows()
    yield 0.5
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    yield from ui.view_is_drawn()
    with stage.fake_worker(hold=folder / "never", solved=folder):
        with ui.in_view():
            assert bpy.ops.lvsm.solve_cameras("INVOKE_DEFAULT", directory=str(folder)) == {"RUNNING_MODAL"}
        yield from ui.until(lambda: followed.job is not None and followed.job.progress.fraction == 0.75)
        assert "being solved" in stage.refusal(bpy.ops.lvsm.synthesize_view)
        ui.press("Escape")
        yield from ui.until(lambda: followed.job is None)
    assert not bpy.data.cameras
