"""Set Up Engine: a Python of the engine's own on click, followed while the window lives; or its commands, to be copied.

A timer of Blender's follows it, and no modal operator: it goes on when a file is loaded, and Escape is not for it.
"""

import atexit
import os
import platform
import sys
import textwrap
from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from lvsm_engine.errors import Cancelled, LvsmError
from lvsm_engine.user_folder import LINUX, MACOS, SYSTEMS, WINDOWS

from .. import preferences
from ..last_outcome import last_outcome, refused
from .engine_setup import (
    IN_WORDS_OF_PIPS_OWN,
    EngineSetup,
    default_folder,
    has_nvidia_driver,
    setup_by_hand,
    torch_index,
)
from .followed_job import redraw_panels
from .setup_run import SetupRun, followed_setup
from .worker_owner import progress_text, worker

FOLLOW_SECONDS = 0.2
DIALOG_WIDTH = 480
LINE_LETTERS = 90

FOR_CARD, FOR_PROCESSOR, OTHER_INDEX = "CARD", "PROCESSOR", "INDEX"


def log_path() -> Path:
    return Path(bpy.app.tempdir) / "lvsm_set_up.log"


def obstacle() -> str:
    """Why the engine cannot be set up now, for a person; empty where it can."""
    if not preferences.are_kept():
        return "Enable LVSM in the preferences first"
    if followed_setup.run is not None:
        return "The engine is being set up"
    return offline_reason()


def offline_reason() -> str:
    """Why nothing may be fetched from the network, for a person; empty where it may."""
    if bpy.app.online_access:
        return ""
    if bpy.app.online_access_override:
        return "Start Blender without --offline-mode first"
    return "Allow online access in Preferences > System first"


def planned(folder: str = "", base_python: str = "", torch_for: str = "", index: str = "") -> EngineSetup:
    """The set-up of this machine; what is empty is chosen by what it is."""
    system = platform.system() if platform.system() in SYSTEMS else LINUX
    if torch_for != OTHER_INDEX:
        has_card = has_nvidia_driver(system, os.environ) if not torch_for else torch_for == FOR_CARD
        index = torch_index(system, has_card)
    return EngineSetup(
        bpy.path.abspath(folder) if folder else default_folder(system, os.environ, str(Path.home())),
        bpy.path.abspath(base_python) if base_python else sys.executable,
        system,
        index,
    )


def commands_for(system: str) -> str:
    """The lines for a system's shell: of this machine's own set-up, or of one that nothing is known of."""
    here = planned()
    return (here if system == here.system else setup_by_hand(system)).by_hand()


def _follow() -> float | None:
    """A timer of Blender's, while a set-up is under way."""
    run = followed_setup.run
    if run is not None and run.done:
        followed_setup.run = None
        followed_setup.said = _outcome(run)
    _redraw()
    return FOLLOW_SECONDS if followed_setup.run is not None else None


def _outcome(run: SetupRun) -> str:
    """Use what a set-up has made, or keep for the panel why it made nothing. Returns the sentence that says so."""
    try:
        _kind, sentence = preferences.use_python(run.result())
    except Cancelled:
        return "Cancelled. What was downloaded is kept: press Set Up Engine to go on"
    except LvsmError as error:
        last_outcome.keep(error)
        return str(error)
    return sentence


def _redraw() -> None:
    redraw_panels(bpy.context)
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()


def draw_progress(layout) -> None:
    """The set-up that is under way, if one is, with the button that ends it."""
    if followed_setup.run is not None:
        progress = followed_setup.run.progress
        row = layout.row(align=True)
        row.progress(factor=progress.fraction, text=progress_text(progress))
        row.operator("lvsm.cancel_set_up", text="", icon="X")


def draw_in_preferences(layout) -> None:
    """The engine's set-up, below the Python that it sets."""
    layout.separator()
    draw_progress(layout)
    row = layout.row(align=True)
    row.operator("lvsm.set_up_engine")
    row.operator("lvsm.check_engine")
    row.operator("lvsm.open_set_up_log")
    row = layout.row(align=True)
    row.label(text="By Hand")
    for system in SYSTEMS:
        row.operator("lvsm.copy_setup_commands", text=f"Copy for {SYSTEM_NAMES[system]}").system = system
    _draw_lines(layout, followed_setup.said)


def _draw_lines(layout, text: str) -> None:
    column = layout.column(align=True)
    for line in textwrap.wrap(text, LINE_LETTERS):
        column.label(text=line)


SYSTEM_NAMES = {LINUX: "Linux", WINDOWS: "Windows", MACOS: "macOS"}


class LVSM_OT_set_up_engine(bpy.types.Operator):
    """Make a Python of the engine's own and install what the engine needs: what, from where and how much is shown before.
    A script waits for the end; it allows online access first (bpy.context.preferences.system.use_online_access = True,
    or blender --online-mode)"""

    bl_idname = "lvsm.set_up_engine"
    bl_label = "Set Up Engine"
    bl_description = "Make a Python of the engine's own and install PyTorch there. What is downloaded is shown before"

    folder: StringProperty(
        name="Folder", subtype="DIR_PATH", description="Where the engine's Python is made, for all Blender versions"
    )
    base_python: StringProperty(
        name="Base Python",
        subtype="FILE_PATH",
        description="The Python that makes the engine's: Blender's own where none is",
    )
    torch_for: EnumProperty(
        name="PyTorch For",
        items=(
            ("AUTO", "Automatic", "The graphics card where NVIDIA's driver is, else the processor"),
            (FOR_CARD, "NVIDIA Card", "With CUDA"),
            (FOR_PROCESSOR, "Processor", "Smaller, and slower"),
            (OTHER_INDEX, "Other Index", "From an address of your own, such as a mirror, or PyTorch for other cards"),
        ),
    )
    index: StringProperty(
        name="Index", description="The address that PyTorch is downloaded from; where empty the one that pip is set to"
    )

    _is_followed = False

    @classmethod
    def poll(cls, context):  # noqa: ARG003 (Blender's signature)
        reason = obstacle()
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context, event):
        self._is_followed = not bpy.app.background
        if bpy.app.background:
            return self.execute(context)
        return context.window_manager.invoke_props_dialog(
            self, width=DIALOG_WIDTH, title="Set Up Engine", confirm_text="Set Up Engine"
        )

    def draw(self, context):
        layout, setup = self.layout, self._setup()
        layout.use_property_split = True
        layout.prop(self, "folder", placeholder=setup.folder)
        layout.prop(self, "base_python", placeholder=setup.base_python)
        layout.prop(self, "torch_for")
        if self.torch_for == OTHER_INDEX:
            layout.prop(self, "index", placeholder=IN_WORDS_OF_PIPS_OWN)
        column = layout.column(align=True)
        for sentence in setup.in_words():
            column.label(text=sentence)

    def execute(self, context):
        last_outcome.forget()
        followed_setup.said = ""
        worker.stop()  # Windows replaces no file that is in use
        followed_setup.run = run = SetupRun(self._setup(), log_path(), os.environ)
        if self._is_followed:
            bpy.app.timers.register(_follow, persistent=True)
            return {"FINISHED"}
        try:
            self.report(*preferences.use_python(run.wait()))
        except LvsmError as error:
            return refused(self, error)
        finally:
            run.cancel()  # where Ctrl-C ended the waiting
            followed_setup.run = None
        return {"FINISHED"}

    def _setup(self) -> EngineSetup:
        torch_for = "" if self.torch_for == "AUTO" else self.torch_for
        return planned(self.folder, self.base_python, torch_for, self.index.strip())


class LVSM_OT_cancel_set_up(bpy.types.Operator):
    """Stop setting up the engine; what was downloaded is kept for the next time"""

    bl_idname = "lvsm.cancel_set_up"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context):  # noqa: ARG003 (Blender's signature)
        return followed_setup.run is not None

    def execute(self, context):
        followed_setup.cancel()
        return {"FINISHED"}


class LVSM_OT_open_set_up_log(bpy.types.Operator):
    """Open what was said while the engine was set up"""

    bl_idname = "lvsm.open_set_up_log"
    bl_label = "Open Set-Up Log"

    @classmethod
    def poll(cls, context):  # noqa: ARG003 (Blender's signature)
        if not log_path().exists():
            cls.poll_message_set("The engine has not been set up since Blender was started")
            return False
        return True

    def execute(self, context):
        return bpy.ops.wm.path_open(filepath=str(log_path()))


class LVSM_OT_copy_setup_commands(bpy.types.Operator):
    """Copy the commands that set the engine up by hand"""

    bl_idname = "lvsm.copy_setup_commands"
    bl_label = "Copy Commands"

    system: EnumProperty(name="System", items=[(system, SYSTEM_NAMES[system], "") for system in SYSTEMS])

    def execute(self, context):
        context.window_manager.clipboard = commands_for(self.system)
        self.report({"INFO"}, f"The commands for {SYSTEM_NAMES[self.system]} are in the clipboard")
        return {"FINISHED"}


classes = (
    LVSM_OT_set_up_engine,
    LVSM_OT_cancel_set_up,
    LVSM_OT_open_set_up_log,
    LVSM_OT_copy_setup_commands,
)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def register():
    register_classes()
    preferences.LVSM_Preferences.sections.append(draw_in_preferences)
    atexit.register(followed_setup.cancel)


def unregister():
    followed_setup.cancel()
    atexit.unregister(followed_setup.cancel)
    if bpy.app.timers.is_registered(_follow):
        bpy.app.timers.unregister(_follow)
    followed_setup.run = None
    preferences.LVSM_Preferences.sections.remove(draw_in_preferences)
    unregister_classes()
