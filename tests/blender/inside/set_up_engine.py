"""set_up_engine.py FOLDER BASE_PYTHON: Set Up Engine as a script presses it, with a base Python and a pip that are fakes."""

import os
import sys
from pathlib import Path

import bpy
import stage

folder, base_python = Path(sys.argv[1]), sys.argv[2]
preferences, set_up_engine = stage.addon("preferences"), stage.addon("engine.set_up_engine")
setup_run, engine_setup = stage.addon("engine.setup_run"), stage.addon("engine.engine_setup")
errors = stage.addon("bundled.lvsm_engine.errors")
last_outcome, worker = stage.addon("last_outcome").last_outcome, stage.addon("engine.worker_owner").worker
settings = bpy.context.preferences.addons[preferences.ADDON].preferences

ENGINE = folder / "the engine"


def build(is_online=True, **told):
    """No Python chosen, online access as the user may allow it, and what the fakes are told."""
    os.environ.pop("LVSM_PYTHON", None)
    for name in [name for name in os.environ if name.startswith("LVSM_FAKE_")]:
        del os.environ[name]
    os.environ.update({f"LVSM_FAKE_{name.upper()}": value for name, value in told.items()})
    settings.python = ""
    bpy.context.preferences.system.use_online_access = is_online
    last_outcome.forget()


def press(**properties):
    return bpy.ops.lvsm.set_up_engine(folder=str(ENGINE), base_python=base_python, **properties)


class DrawnLayout:
    """Takes what is drawn on it and keeps the words."""

    def __init__(self, words=None):
        self.words = [] if words is None else words

    def row(self, **_):
        return DrawnLayout(self.words)

    column = row

    def separator(self):
        pass

    def label(self, text="", **_):
        self.words.append(text)

    def prop(self, _owner, name, **options):
        self.words.append(f"{name}={options.get('placeholder')}")

    def progress(self, text="", **_):
        self.words.append(text)

    def operator(self, name, text="", **_):
        self.words.append(text or name)
        return type("Properties", (), {})()


def test_offline_it_is_off_and_says_what_to_allow():
    build(is_online=False)
    assert not bpy.ops.lvsm.set_up_engine.poll()
    assert set_up_engine.obstacle() == "Allow online access in Preferences > System first"
    assert "Allow online access" in stage.refusal(press)
    assert not ENGINE.exists()


def test_a_script_that_allows_it_waits_for_the_engines_python_which_is_chosen_then():
    build()
    assert press() == {"FINISHED"}
    assert settings.python == preferences.python_path() == str(ENGINE / "bin" / "python")
    assert setup_run.followed_setup.run is None and set_up_engine.log_path().exists()


def test_the_engine_that_was_set_up_runs():
    build()
    press()
    stage.build(folder)
    assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}
    assert worker.device_name == "Fake CPU"
    worker.shutdown()


def test_a_failure_is_a_sentence_and_chooses_no_python():
    build(pip="full")
    assert "The disk is full" in stage.refusal(lambda: press(torch_for="INDEX", index="https://mirror.example"))
    assert settings.python == "" and "The disk is full" in str(last_outcome.error)
    assert [operator for operator, _label in last_outcome.ways_out] == ["lvsm.set_up_engine", "lvsm.choose_python"]
    assert setup_run.followed_setup.run is None, "and the button can be pressed again"


def test_without_more_it_is_this_machines_folder_and_blenders_own_python():
    setup = set_up_engine.planned()
    assert setup.base_python == sys.executable
    assert setup.folder == engine_setup.default_folder(setup.system, os.environ, str(Path.home()))
    assert set_up_engine.planned(torch_for="INDEX", index="https://a.example").torch_index == "https://a.example"
    assert set_up_engine.planned(torch_for="CARD").torch_index == engine_setup.torch_index(setup.system, True)


def test_the_dialog_shows_where_from_where_and_how_much():
    build()

    class Dialog:
        layout = DrawnLayout()
        folder, base_python, torch_for, index = "", "", "PROCESSOR", ""
        _setup = set_up_engine.LVSM_OT_set_up_engine._setup

    set_up_engine.LVSM_OT_set_up_engine.draw(Dialog(), bpy.context)
    said = "\n".join(Dialog.layout.words)
    assert f"folder={set_up_engine.planned().folder}" in said and f"base_python={sys.executable}" in said
    assert "PyTorch comes from " in said and "Downloads about " in said


def test_the_preferences_offer_it_and_the_commands_for_every_system():
    layout = DrawnLayout()
    set_up_engine.draw_in_preferences(layout)
    assert {"lvsm.set_up_engine", "lvsm.check_engine", "Copy for Linux", "Copy for Windows", "Copy for macOS"} <= set(
        layout.words
    )
    assert set_up_engine.draw_in_preferences in preferences.LVSM_Preferences.sections


def test_the_commands_are_this_machines_own_or_another_systems():
    assert sys.executable in set_up_engine.commands_for(set_up_engine.planned().system)
    assert "%LOCALAPPDATA%" in set_up_engine.commands_for("Windows")
    assert bpy.ops.lvsm.copy_setup_commands(system="Darwin") == {"FINISHED"}


def test_a_python_whose_blender_is_gone_is_told_with_the_way_out():
    build()
    press()
    gone = folder / "Blender 4.1" / "python" / "bin"
    (ENGINE / "pyvenv.cfg").write_text(f"home = {gone}\nprompt = 'lvsm'\n")
    (ENGINE / "bin" / "python").unlink()
    (ENGINE / "bin" / "python").symlink_to(gone / "python3.11")
    worker.shutdown()
    stage.build(folder)
    said = stage.refusal(bpy.ops.lvsm.synthesize_view)
    assert f"is gone from {gone} (Blender was updated or moved): press Set Up Engine again" in said
    assert last_outcome.ways_out[0] == ("lvsm.set_up_engine", "Set Up Engine")
    assert press() == {"FINISHED"}
    assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}
    worker.shutdown()
