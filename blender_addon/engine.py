"""The engine's process as Blender sees it: one a Blender, started on demand, ended with Blender; and its last failure.

What is kept here is kept in the module, under a lock: a render's thread uses it too, and must not write to Blender's data.
"""

import atexit
import threading
from collections.abc import Sequence
from pathlib import Path

import bpy

from lvsm_engine.errors import LvsmError
from lvsm_engine.progress import Progress
from lvsm_engine.scene.camera import Camera
from lvsm_engine.worker.client import Client, Request

from . import bundled_engine, input_views, preferences

failure: LvsmError | None = None
"""Why the last synthesis or render gave nothing, until the next begins."""

_lock = threading.Lock()
_client: Client | None = None
_settings: tuple[str, str] | None = None


def client() -> Client:
    """The engine's client, by the preferences of now: a changed Python or device means a new process."""
    global _client, _settings
    settings = (preferences.python_path(), preferences.device())
    with _lock:
        if _client is not None and settings == _settings:
            return _client
        _stop_aside(_client)
        python, device = settings
        _settings, _client = settings, Client(python, bundled_engine.ENGINE_FOLDER, log_path(), device=device)
        return _client


def _stop_aside(client: Client | None) -> None:
    """End a client's process on a thread: it may take a second or two, and a window does not wait for it."""
    if client is not None:
        threading.Thread(target=client.stop, daemon=True, name="lvsm stop").start()


def _taken() -> Client | None:
    """The client, if there is one, which from now on is none."""
    global _client
    with _lock:
        taken, _client = _client, None
        return taken


def state() -> str:
    """ "stopped", "starting", "ready", "busy" or "failed"; asking starts nothing."""
    now = _client
    return "stopped" if now is None else now.state


def device_name() -> str:
    """What the engine computes on, as it said itself; empty before it did."""
    now = _client
    hello = None if now is None else now.hello
    return hello["device_name"] if hello else ""


def log_path() -> Path:
    return Path(bpy.app.tempdir) / "lvsm_engine.log"


def model_file(scene: bpy.types.Scene) -> str:
    """The scene's model: a file, or "default"."""
    model = scene.lvsm.model
    return bpy.path.abspath(model) if model else "default"


def render(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, cameras: Sequence[Camera]) -> Request:
    """Ask for what the cameras see, from the scene's input views. Returns at once. Raises LvsmError."""
    forget_failure()
    return client().render(model_file(scene), input_views.input_views(scene, depsgraph), cameras)


def keep_failure(error: LvsmError) -> None:
    global failure
    failure = error


def forget_failure() -> None:
    global failure
    failure = None


def progress_text(progress: Progress) -> str:
    """For people: "Rendering, 1:20 left"."""
    if progress.seconds_left is None:
        return progress.stage
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    return f"{progress.stage}, {minutes}:{seconds:02} left"


def shutdown() -> None:
    """End the process, if there is one, within two seconds. The next request starts another."""
    taken = _taken()
    if taken is not None:
        taken.stop()


class LVSM_OT_restart_engine(bpy.types.Operator):
    """End the engine's process and start another"""

    bl_idname = "lvsm.restart_engine"
    bl_label = "Restart Engine"

    def execute(self, context):
        _stop_aside(_taken())
        forget_failure()
        try:
            client().start()
        except LvsmError as error:
            keep_failure(error)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class LVSM_OT_open_log(bpy.types.Operator):
    """Open what the engine's process wrote, warnings and errors"""

    bl_idname = "lvsm.open_log"
    bl_label = "Open Log"

    @classmethod
    def poll(cls, context):  # noqa: ARG003 (Blender's signature)
        if not log_path().exists():
            cls.poll_message_set("The engine has not been started yet")
            return False
        return True

    def execute(self, context):
        return bpy.ops.wm.path_open(filepath=str(log_path()))


class LVSM_OT_choose_model(bpy.types.Operator):
    """Choose the file of a model: .safetensors, or a published .pt"""

    bl_idname = "lvsm.choose_model"
    bl_label = "Choose Model"
    bl_options = {"UNDO"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")
    filter_glob: bpy.props.StringProperty(default="*.safetensors;*.pt", options={"HIDDEN"})

    def invoke(self, context, event):
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        context.scene.lvsm.model = self.filepath
        forget_failure()
        return {"FINISHED"}


classes = (LVSM_OT_restart_engine, LVSM_OT_open_log, LVSM_OT_choose_model)


def register():
    for cls in classes:
        bpy.utils.register_class(cls)
    atexit.register(shutdown)


def unregister():
    shutdown()
    atexit.unregister(shutdown)
    for cls in reversed(classes):
        bpy.utils.unregister_class(cls)
