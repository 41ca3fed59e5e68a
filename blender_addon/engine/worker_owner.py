"""Owns the engine's process: one worker a Blender, started on demand, ended with Blender.

The owner keeps it under a lock: a render's thread asks too, and must not write to Blender's data.
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

from .. import bundled_engine, preferences
from ..last_outcome import last_outcome, refused
from ..scene import input_views

DEFAULT_MODEL = "default"  # what the engine calls the one that comes with it


class WorkerOwner:
    """Holds the client of the engine's process. Any thread may ask; only shutdown() waits for the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._choice: tuple[str, str] | None = None

    def client(self, device: str = "") -> Client:
        """The engine's client, on a device or that of the preferences: another one, or another Python, is a new process."""
        choice = python, device = preferences.python_path(), device or preferences.device()
        with self._lock:
            if self._client is None or choice != self._choice:
                _stop_aside(self._client)
                self._client = Client(python, bundled_engine.ENGINE_FOLDER, log_path(), device=device)
                self._choice = choice
            return self._client

    def render(
        self,
        scene: bpy.types.Scene,
        depsgraph: bpy.types.Depsgraph,
        cameras: Sequence[Camera],
        main_photos: bool = False,
    ) -> Request:
        """Ask for what the cameras see, from the scene's input views. Returns at once. Raises LvsmError.

        main_photos: whether the answer is to tell which photo each pixel is of, where there is detail.
        """
        return self.render_views(scene, input_views.photographed(scene, depsgraph), cameras, True, main_photos)

    def render_views(
        self,
        scene: bpy.types.Scene,
        photographed: input_views.Photographed,
        cameras: Sequence[Camera],
        is_full: bool,
        main_photos: bool = False,
        *,
        device: str = "",
        model: str = "",
    ) -> Request:
        """The same from these views. is_full: with detail, where the scene wants it. device, model: instead of those that the
        preferences and the scene name. Returns at once. Raises LvsmError."""
        detail = is_full and scene.lvsm.use_detail
        return self.client(device).render(
            model or model_file(scene),
            photographed.views,
            cameras,
            detail=detail,
            main_photos=main_photos,
            max_model_views=scene.lvsm.max_model_views or None,
            subject=photographed.subject,
        )

    @property
    def state(self) -> str:
        """ "stopped", "starting", "ready", "busy" or "failed"; asking starts nothing."""
        client = self._client
        return "stopped" if client is None else client.state

    @property
    def device_name(self) -> str:
        """What the engine computes on, as it said itself; empty before it did."""
        return self.hello.get("device_name", "")

    def restart(self) -> None:
        """End the process and start another. Returns at once. Raises WorkerError where it cannot be started."""
        self.stop()
        self.client().start()

    def stop(self) -> None:
        """End the process, if there is one. Returns at once; the next request starts another."""
        _stop_aside(self._taken())

    @property
    def hello(self) -> dict:
        """What the engine said of itself when it was ready, as Client.hello; empty before."""
        client = self._client
        return (client.hello if client else None) or {}

    def shutdown(self) -> None:
        """End the process, if there is one; a hung one takes some seconds. The next request starts another."""
        client = self._taken()
        if client is not None:
            client.stop()

    def _taken(self) -> Client | None:
        """The client, if there is one, which from now on is none."""
        with self._lock:
            taken, self._client = self._client, None
            return taken


def _stop_aside(client: Client | None) -> None:
    """End a client's process on a thread: it may take a second or two, and a window does not wait for it."""
    if client is not None:
        threading.Thread(target=client.stop, daemon=True, name="lvsm stop").start()


worker = WorkerOwner()


def log_path() -> Path:
    return Path(bpy.app.tempdir) / "lvsm_engine.log"


def model_file(scene: bpy.types.Scene) -> str:
    """The environment's model, else the scene's: a file, or "default"."""
    if named := preferences.model():
        return named
    model = scene.lvsm.model
    return bpy.path.abspath(model) if model else DEFAULT_MODEL


def progress_text(progress: Progress) -> str:
    """For people: "Rendering, 1:20 left"."""
    if progress.seconds_left is None:
        return progress.stage
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    return f"{progress.stage}, {minutes}:{seconds:02} left"


class LVSM_OT_restart_engine(bpy.types.Operator):
    """End the engine's process and start another"""

    bl_idname = "lvsm.restart_engine"
    bl_label = "Restart Engine"

    def execute(self, context):
        last_outcome.forget()
        try:
            worker.restart()
        except LvsmError as error:
            return refused(self, error)
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
        last_outcome.forget()
        return {"FINISHED"}


classes = (LVSM_OT_restart_engine, LVSM_OT_open_log, LVSM_OT_choose_model)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def register():
    register_classes()
    atexit.register(worker.shutdown)


def unregister():
    worker.shutdown()
    atexit.unregister(worker.shutdown)
    unregister_classes()
