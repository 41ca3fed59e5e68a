"""Check Engine: a view whose truth is known, rendered by the engine, and a report on it to paste into a bug."""

import os
import platform
import time
import tomllib
from pathlib import Path

import bpy

from lvsm_engine.errors import Cancelled, LvsmError
from lvsm_engine.worker.client import Request

from .. import bundled_engine, preferences
from ..last_outcome import last_outcome, refused
from . import known_view
from .engine_setup import has_nvidia_driver
from .setup_run import followed_setup
from .worker_owner import DEFAULT_MODEL, log_path, progress_text, worker

TICK_SECONDS = 0.1
TEXT_NAME = "LVSM Report"
LOG_LINES = 15


class EngineCheck:
    """A known view under way."""

    def __init__(self) -> None:
        """Returns at once. Raises LvsmError where there is no engine to ask."""
        self._began = time.monotonic()
        self.request: Request = worker.client().render(
            DEFAULT_MODEL, known_view.known_inputs(), [known_view.known_target()], detail=True
        )

    def verdict(self) -> str:
        """What became of it, when it is done, for people. Raises LvsmError, where the picture is wrong, too."""
        result = self.request.result()
        decibels = known_view.likeness(result["images"][0])
        if decibels < known_view.WORKS_FROM:
            raise LvsmError(f"The engine runs, and what it draws is wrong ({decibels:.1f} dB): report it as a bug.")
        seconds = f"{result['seconds']:.1f} s, {time.monotonic() - self._began:.1f} s with all that came before"
        return f"right ({decibels:.1f} dB) by the model {result['model']}, in {seconds}"


def write_report(verdict: str) -> None:
    """Into a text of the file's and the clipboard."""
    report = report_of(verdict)
    text = bpy.data.texts.get(TEXT_NAME) or bpy.data.texts.new(TEXT_NAME)
    text.from_string(report)
    bpy.context.window_manager.clipboard = report


def report_of(verdict: str) -> str:
    """All that someone needs who looks for a mistake from afar; the user's own folder is told as ~."""
    hello = worker.hello
    log = log_path().read_text("utf-8", "replace").splitlines()[-LOG_LINES:] if log_path().exists() else []
    lines = [
        TEXT_NAME,
        f"Test view: {verdict}",
        f"Blender {bpy.app.version_string}, Python {platform.python_version()}, {platform.platform()}",
        f"Add-on {_addon_version()}, engine {hello.get('engine', 'not started')}",
        f"Engine's Python: {hello.get('python', 'unknown')} at {_chosen_python()}",
        f"torch {hello.get('torch', 'unknown')}, {hello.get('device_name', 'unknown')}, {hello.get('precision', 'unknown')}",
        f"NVIDIA's driver: {'there' if _has_driver() else 'not found'}; device: {_chosen_device()}",
        "The engine's log ends with:",
        *(log or ["(nothing)"]),
    ]
    return "\n".join(lines).replace(str(Path.home()), "~") + "\n"


def note_on_the_card() -> str:
    """Why an engine that works may be slow; empty where there is nothing to say."""
    if worker.hello.get("device") != "cpu" or not _has_driver() or _chosen_device() == "cpu":
        return ""
    return ". NVIDIA's driver is there, but the engine computes on the processor: update the driver, or set the engine up anew"


def _has_driver() -> bool:
    return has_nvidia_driver(platform.system(), os.environ)


def _chosen_python() -> str:
    try:
        return preferences.python_path()
    except LvsmError:
        return "none chosen"


def _chosen_device() -> str:
    try:
        return preferences.device()
    except LvsmError as error:
        return str(error)


def _addon_version() -> str:
    folders = (Path(__file__).parents[1], bundled_engine.ENGINE_FOLDER)  # as installed, in a checkout
    manifest = next(path for folder in folders if (path := folder / "blender_manifest.toml").is_file())
    return tomllib.loads(manifest.read_text("utf-8"))["version"]


class LVSM_OT_check_engine(bpy.types.Operator):
    """Render a test view, and put a report to paste into a bug into the clipboard and into the text LVSM Report"""

    bl_idname = "lvsm.check_engine"
    bl_label = "Check Engine"

    @classmethod
    def poll(cls, context):  # noqa: ARG003 (Blender's signature)
        if followed_setup.run is not None:
            cls.poll_message_set("The engine is being set up")
            return False
        return True

    def execute(self, context):
        try:
            self._check = EngineCheck()
            while not self._check.request.poll():
                time.sleep(TICK_SECONDS / 10)
        except LvsmError as error:
            return self._failed(error)
        return self._finish()

    def invoke(self, context, event):
        last_outcome.forget()
        try:
            self._check = EngineCheck()
        except LvsmError as error:
            return self._failed(error)
        self._timer = context.window_manager.event_timer_add(TICK_SECONDS, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        request = self._check.request
        if event.type == "ESC" and event.value == "PRESS":
            request.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        if not request.poll():
            context.workspace.status_text_set(progress_text(request.progress) + " (Esc to cancel)")
            return {"PASS_THROUGH"}
        self._leave(context)
        return self._finish()

    def cancel(self, context):
        """Blender calls this when it takes the window away: a file is loaded, the window is closed."""
        self._check.request.cancel()
        self._leave(context)

    def _leave(self, context):
        context.window_manager.event_timer_remove(self._timer)
        context.workspace.status_text_set(None)

    def _finish(self) -> set[str]:
        try:
            verdict = self._check.verdict()
        except LvsmError as error:
            return self._failed(error)
        write_report(verdict)
        last_outcome.forget()
        self.report(
            {"INFO"}, f"The engine works on {worker.device_name}{note_on_the_card()}. The report is in the clipboard"
        )
        return {"FINISHED"}

    def _failed(self, error: LvsmError) -> set[str]:
        if not isinstance(error, Cancelled):
            write_report(f"failed. {error}")
        return refused(self, error)


def register():
    bpy.utils.register_class(LVSM_OT_check_engine)


def unregister():
    bpy.utils.unregister_class(LVSM_OT_check_engine)
