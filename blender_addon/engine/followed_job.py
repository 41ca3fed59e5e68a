"""Work that goes on elsewhere while a window lives: one job at a time, with progress, time left and Esc. Knows no job itself."""

import time
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import bpy
from bpy.app.handlers import persistent
from bpy.props import BoolProperty, StringProperty

from lvsm_engine.errors import LvsmError
from lvsm_engine.progress import Progress
from lvsm_engine.worker.client import Request

from ..last_outcome import refused
from .worker_owner import progress_text

TICK_SECONDS = 0.1


class Job(Protocol):
    """doing: what is under way, in a sentence that tells why nothing else can be begun."""

    doing: str

    @property
    def progress(self) -> Progress: ...

    def poll(self) -> bool:
        """Go on without blocking. True when nothing is left to be waited for."""

    def cancel(self) -> None: ...


class EngineJob:
    """One question to the engine, which is all the work. doing: as Job has it."""

    def __init__(self, doing: str, request: Request) -> None:
        self.doing, self._request = doing, request

    @property
    def progress(self) -> Progress:
        return self._request.progress

    def poll(self) -> bool:
        return self._request.poll()

    def cancel(self) -> None:
        self._request.cancel()

    def result(self) -> dict[str, Any]:
        """The answer's fields, as the client that was asked tells them. Raises LvsmError."""
        return self._request.result()


class FollowedJob:
    """The job that a window follows, if any: one at a time. The panel draws it."""

    def __init__(self) -> None:
        self.job: Job | None = None

    @property
    def obstacle(self) -> str:
        """Why no other can be begun, for a person; empty where one can."""
        return "" if self.job is None else self.job.doing

    def cancel(self) -> None:
        if self.job is not None:
            self.job.cancel()


followed = FollowedJob()

J = TypeVar("J", bound=Job)


class FollowsJob(Generic[J]):
    """What an operator inherits that begins a job: a script waits for its end, a window goes on meanwhile."""

    _job: J | None = None

    def begin(self, context: bpy.types.Context) -> J:
        """Start the job. Returns at once. Raises LvsmError."""
        raise NotImplementedError

    def finish(self, context: bpy.types.Context, job: J) -> None:
        """Take what a job at its end has given, and report it. Raises LvsmError."""
        raise NotImplementedError

    def show(self, context: bpy.types.Context) -> None:
        """Show in a window what was finished there."""

    def execute(self, context):
        try:
            job = self.begin(context)
            while not job.poll():
                time.sleep(TICK_SECONDS / 10)
            self.finish(context, job)
        except LvsmError as error:
            return refused(self, error)
        return {"FINISHED"}

    def invoke(self, context, event):
        return self.follow(context)

    def follow(self, context) -> set[str]:
        """Begin the job, and let the window go on."""
        try:
            self._job = followed.job = self.begin(context)
        except LvsmError as error:
            return refused(self, error)
        self._timer = context.window_manager.event_timer_add(TICK_SECONDS, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        job = self._job
        assert job is not None  # follow
        if event.type == "ESC" and event.value == "PRESS":
            job.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        goes_on = False
        try:
            if not job.poll():
                context.workspace.status_text_set(progress_text(job.progress) + " (Esc to cancel)")
                redraw_panels(context)
                goes_on = True
                return {"PASS_THROUGH"}
            self.finish(context, job)
            self.show(context)
        except LvsmError as error:
            return refused(self, error)
        finally:  # whatever went wrong, the button can be pressed again
            if not goes_on:
                self._leave(context)
        return {"FINISHED"}

    def cancel(self, context):
        """Blender calls this when it takes the window away: a file is loaded, the window is closed."""
        if self._job is not None:
            self._job.cancel()
            self._leave(context)

    def _leave(self, context):
        followed.job = None
        context.window_manager.event_timer_remove(self._timer)
        context.workspace.status_text_set(None)
        redraw_panels(context)


class FollowsJobInFolder(FollowsJob[J]):
    """What an operator inherits whose job is about a folder, which a person chooses first."""

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    _has_window = False

    @property
    def folder(self) -> Path | None:
        """None where none is chosen."""
        return Path(bpy.path.abspath(self.directory)) if self.directory else None

    def invoke(self, context, event):
        if self.directory:
            return self.follow(context)
        self._has_window = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        return self.follow(context) if self._has_window else super().execute(context)


def redraw_panels(context: bpy.types.Context) -> None:
    """Redraw the side bars only: the 3D views beside them may be heavy."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()


class LVSM_OT_cancel(bpy.types.Operator):
    """Stop what is under way"""

    bl_idname = "lvsm.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context):  # noqa: ARG003 (Blender's signature)
        return followed.job is not None

    def execute(self, context):
        followed.cancel()
        return {"FINISHED"}


@persistent
def cancel_before_load(*_) -> None:
    """The scene that the job belongs to is about to go."""
    followed.cancel()


def register() -> None:
    bpy.utils.register_class(LVSM_OT_cancel)
    bpy.app.handlers.load_pre.append(cancel_before_load)


def unregister() -> None:
    cancel_before_load()
    bpy.app.handlers.load_pre.remove(cancel_before_load)
    bpy.utils.unregister_class(LVSM_OT_cancel)
