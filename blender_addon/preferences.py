"""What the user sets once: the Python that runs the engine, and its device."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import EnumProperty, StringProperty

from lvsm_engine.errors import CHOOSE_PYTHON, WorkerError
from lvsm_engine.worker.client import DEVICES

from .last_outcome import last_outcome

# As Blender knows the add-on.
ADDON = str(__package__)
# What a farm sets goes before what a user chose, on whose machine it is not set.
PYTHON_VARIABLE, DEVICE_VARIABLE, MODEL_VARIABLE = "LVSM_PYTHON", "LVSM_DEVICE", "LVSM_MODEL"
# Where a virtual environment keeps its interpreter: Linux and macOS, Windows.
INTERPRETERS = ("bin/python", "Scripts/python.exe")


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """What runs the engine: a Python, empty where none is chosen, and "auto", "cuda" or "cpu"."""

    python: str = ""
    device: str = "auto"


class KnownChoice:
    """What the preferences say; to another thread, such as a render's, what they last said to Blender's own."""

    def __init__(self) -> None:
        self._last = EngineChoice()

    def now(self) -> EngineChoice:
        if threading.current_thread() is threading.main_thread():
            self._last = _preferred()
        return self._last


_known_choice = KnownChoice()


def _keep_choice(_preferences: "LVSM_Preferences", _context: bpy.types.Context) -> None:
    """Other threads are to know of it before Blender's own asks."""
    _known_choice.now()


class LVSM_Preferences(bpy.types.AddonPreferences):
    bl_idname = ADDON

    sections: ClassVar[list[Callable]] = []
    """What other modules draw below, each given the layout."""

    python: StringProperty(
        name="Python",
        subtype="FILE_PATH",
        description="The Python with PyTorch that runs the engine, unless the environment has LVSM_PYTHON",
        update=_keep_choice,
    )
    device: EnumProperty(
        name="Device",
        items=(
            ("auto", "Automatic", "The graphics card where there is one that can, else the processor"),
            ("cuda", "Graphics Card", "An NVIDIA card, by CUDA"),
            ("cpu", "Processor", "Slower, but always there"),
        ),
        default="auto",
        update=_keep_choice,
    )

    def draw(self, context):
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "python")
        layout.prop(self, "device")
        for name in (PYTHON_VARIABLE, DEVICE_VARIABLE, MODEL_VARIABLE):
            if value := os.environ.get(name):
                layout.label(text=f"{name} is used: {value}", icon="INFO")
        for draw_section in self.sections:
            draw_section(layout)
        layout.operator("lvsm.open_manual", icon="HELP")


def _preferences() -> LVSM_Preferences | None:
    """None where the add-on runs from a checkout, not enabled in Blender's preferences."""
    enabled = bpy.context.preferences.addons.get(ADDON)
    return enabled.preferences if enabled else None


def _preferred() -> EngineChoice:
    preferences = _preferences()
    if preferences is None:
        return EngineChoice()
    # Not resolved: the link within a virtual environment is what makes it one.
    return EngineChoice(bpy.path.abspath(preferences.python) if preferences.python else "", preferences.device)


def python_path() -> str:
    """The engine's Python. Raises WorkerError where none is chosen."""
    path = os.environ.get(PYTHON_VARIABLE) or _known_choice.now().python
    if not path:
        raise WorkerError(
            "No Python is set for the engine: press Set Up Engine, or choose a Python that has PyTorch, such as bin/python of a"
            " virtual environment.",
            CHOOSE_PYTHON,
        )
    return path


def device() -> str:
    """ "auto", "cuda" or "cpu". Raises WorkerError where the environment names another."""
    named = os.environ.get(DEVICE_VARIABLE)
    if named and named not in DEVICES:
        raise WorkerError(f"{DEVICE_VARIABLE} is {named}: set it to {', '.join(DEVICES[:-1])} or {DEVICES[-1]}.")
    return named or _known_choice.now().device


def device_label() -> str:
    """What computes, for people: by the environment where it names a device."""
    if named := os.environ.get(DEVICE_VARIABLE):
        return f"{named} ({DEVICE_VARIABLE})"
    return LVSM_Preferences.bl_rna.properties["device"].enum_items[_known_choice.now().device].name


def is_enabled() -> bool:
    """Whether there are preferences to be shown."""
    return _preferences() is not None


def model() -> str:
    """The model's file, or "default", that the environment names; "" where it names none."""
    return os.environ.get(MODEL_VARIABLE, "")


def are_kept() -> bool:
    """Whether there are preferences to set: not where the add-on runs from a checkout."""
    return _preferences() is not None


def use_python(path: str) -> tuple[set[str], str]:
    """Set the Python that runs the engine. Returns what an operator is to report: the kind, and a sentence."""
    preferences = _preferences()
    assert preferences is not None, "ask are_kept() first"
    preferences.python = path
    bpy.context.preferences.is_dirty = True  # Blender saves preferences at its end only when they are
    last_outcome.forget()
    if os.environ.get(PYTHON_VARIABLE):
        return {"WARNING"}, f"{path} is kept, but the environment's {PYTHON_VARIABLE} goes before it"
    return {"INFO"}, f"The engine will run on {path}"


class LVSM_OT_choose_python(bpy.types.Operator):
    """Choose the Python that runs the engine: its executable, or the folder of a virtual environment"""

    bl_idname = "lvsm.choose_python"
    bl_label = "Choose Python"

    filepath: StringProperty(subtype="FILE_PATH")

    @classmethod
    def poll(cls, _context):
        if not are_kept():
            cls.poll_message_set("Enable LVSM in the preferences first")
            return False
        return True

    def invoke(self, context, event):
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        path = Path(bpy.path.abspath(self.filepath))
        if path.is_dir():
            path = next((path / place for place in INTERPRETERS if (path / place).is_file()), path)
        if not path.is_file() or not os.access(path, os.X_OK):
            self.report({"ERROR"}, f"{path} is no program: choose a Python's executable or a virtual environment.")
            return {"CANCELLED"}
        self.report(*use_python(str(path)))
        return {"FINISHED"}


classes = (LVSM_Preferences, LVSM_OT_choose_python)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def register() -> None:
    register_classes()
    _known_choice.now()


def unregister() -> None:
    unregister_classes()
