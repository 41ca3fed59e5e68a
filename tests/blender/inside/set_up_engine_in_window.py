"""set_up_engine_in_window.py FOLDER BASE_PYTHON: Set Up Engine in a window, from its dialog to its end."""

import os
import sys
from pathlib import Path

import bpy
import stage
import window_steps as ui

folder, base_python = Path(sys.argv[1]), sys.argv[2]
preferences, set_up_engine = stage.addon("preferences"), stage.addon("engine.set_up_engine")
followed_setup = stage.addon("engine.setup_run").followed_setup
last_outcome = stage.addon("last_outcome").last_outcome
settings = bpy.context.preferences.addons[preferences.ADDON].preferences

os.environ["LVSM_FAKE_PROCESSES"] = str(folder / "processes")


def build(name, **told):
    """A window and a folder of this test's own, and what the fakes are told; in steps. Gives the folder."""
    ui.close_other_windows()
    stage.build(folder)
    os.environ.pop("LVSM_FAKE_PIP", None)
    os.environ.update({f"LVSM_FAKE_{key.upper()}": value for key, value in told.items()})
    (folder / "processes").unlink(missing_ok=True)
    settings.python, followed_setup.said = "", ""
    bpy.context.preferences.system.use_online_access = True
    yield from ui.view_is_drawn()
    return folder / name


def press(engine):
    """Open the dialog and agree to it, in steps."""
    with ui.in_view():
        properties = {"folder": str(engine), "base_python": base_python}
        assert bpy.ops.lvsm.set_up_engine("INVOKE_DEFAULT", **properties) == {"RUNNING_MODAL"}
    yield 1.5
    assert followed_setup.run is None and not engine.exists(), "nothing begins before it is agreed to"
    ui.press("Return")
    yield from ui.until(lambda: followed_setup.run is not None or followed_setup.said)


def test_the_dialog_comes_first_and_the_engines_python_is_chosen_at_the_end():
    engine = yield from build("first")
    yield from press(engine)
    yield from ui.until(lambda: followed_setup.run is None)
    assert settings.python == str(engine / "bin" / "python")
    assert followed_setup.said == f"The engine will run on {settings.python}"


def test_it_goes_on_when_a_file_is_loaded_and_is_cancelled_by_its_button():
    engine = yield from build("second", pip="hang")
    yield from press(engine)
    yield from ui.until((folder / "processes").exists)
    assert not bpy.ops.lvsm.set_up_engine.poll()
    yield from ui.show_tab()
    stage.build(folder)
    yield 1
    assert followed_setup.run is not None and "torch, 50 of 200 MB" in followed_setup.run.progress.stage
    bpy.ops.lvsm.cancel_set_up()
    yield from ui.until(lambda: followed_setup.run is None)
    assert followed_setup.said.startswith("Cancelled.") and settings.python == "" and last_outcome.error is None


def test_a_failure_is_kept_for_the_panel():
    engine = yield from build("third", pip="offline")
    yield from press(engine)
    yield from ui.until(lambda: followed_setup.run is None)
    assert followed_setup.said == str(last_outcome.error), (followed_setup.said, last_outcome.error)
    assert "The connection to " in followed_setup.said


def test_the_preferences_and_the_panel_draw_what_there_is():
    yield from build("fourth")
    yield from ui.show_tab()
    bpy.context.preferences.active_section = "ADDONS"
    with ui.in_view():
        bpy.ops.screen.userpref_show()
    yield 2
    bpy.ops.preferences.addon_show(module=preferences.ADDON)
    yield 2
    ui.close_other_windows()


def test_the_commands_are_in_the_clipboard():
    yield from build("fifth")
    bpy.ops.lvsm.copy_setup_commands(system="Windows")
    assert "%LOCALAPPDATA%" in bpy.context.window_manager.clipboard
