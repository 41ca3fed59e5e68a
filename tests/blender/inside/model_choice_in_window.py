"""model_choice_in_window.py FOLDER: Get Model in a window: its dialog, its licence, Esc."""

import os
import sys
from pathlib import Path

import bpy
import stage
import window_steps as ui

folder = Path(sys.argv[1])
NAME = "lvsm-decoder-only-256"
os.environ["LVSM_MODELS"] = str(folder / "models")
followed = stage.addon("engine.followed_job").followed
last_outcome = stage.addon("last_outcome").last_outcome


def build():
    ui.close_other_windows()
    folder.mkdir(parents=True, exist_ok=True)
    stage.build(folder)
    last_outcome.forget()
    bpy.context.preferences.system.use_online_access = True
    yield from ui.view_is_drawn()


def press(**properties):
    with ui.in_view():
        assert bpy.ops.lvsm.get_model("INVOKE_DEFAULT", name=NAME, **properties) == {"RUNNING_MODAL"}
    yield 1.5
    assert followed.job is None, "nothing begins before it is agreed to"
    ui.press("Return")


def test_a_licence_that_is_not_accepted_fetches_nothing():
    yield from build()
    yield from press()
    yield from ui.until(lambda: last_outcome.error is not None)
    assert "was not accepted" in str(last_outcome.error) and followed.job is None


def test_the_window_goes_on_meanwhile_and_escape_ends_it():
    yield from build()
    with stage.fake_worker(hold=folder / "never"):
        yield from press(accepts_licence=True)
        yield from ui.until(lambda: followed.job is not None and followed.job.progress.fraction == 0.75)
        assert "is being fetched" in stage.refusal(bpy.ops.lvsm.synthesize_view)
        ui.press("Escape")
        yield from ui.until(lambda: followed.job is None)
    assert bpy.context.scene.lvsm.model == ""


def test_at_its_end_the_model_is_in_use():
    yield from build()
    with stage.fake_worker():
        yield from press(accepts_licence=True)
        yield from ui.until(lambda: bpy.context.scene.lvsm.model == NAME)
    yield from ui.show_tab()
    yield 1
