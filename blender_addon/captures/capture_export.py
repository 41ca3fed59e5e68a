"""Export Capture: the input views become a folder that any program takes. At once for scripts, in steps for a window."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

import bpy
import numpy as np
from bpy.props import EnumProperty

from lvsm_engine.errors import CaptureError
from lvsm_engine.progress import Progress
from lvsm_engine.scene.camera import View
from lvsm_engine.scene.captures import WRITERS, Capture, export_capture

from ..engine.followed_job import FollowsJobInFolder, followed
from ..last_outcome import last_outcome
from ..scene import input_views
from ..scene.results import encode_png
from .capture_import import WORLD_FROM_FILE
from .capture_placement import transformed

DESCRIPTIONS = {
    "transforms.json": "As nerfstudio, instant-ngp and LVSM read it, with masks",
    "COLMAP": "A model of text files in sparse/0, as COLMAP and most splatting programs read it",
}


def exported_views(context: bpy.types.Context) -> tuple[View, ...]:
    """The input views where their captures' files had them. Raises LvsmError."""
    depsgraph = context.evaluated_depsgraph_get()
    return tuple(
        transformed(view, _file_from_world(context.scene.objects[view.name]))
        for view in input_views.input_views(context.scene, depsgraph)
    )


def _file_from_world(camera_object: bpy.types.Object) -> np.ndarray:
    """(4, 4): what takes a camera to where the file of its capture had it."""
    kept = (collection.get(WORLD_FROM_FILE) for collection in camera_object.users_collection)
    world_from_file = next((similarity for similarity in kept if similarity is not None), np.eye(4))
    return np.linalg.inv(np.array(world_from_file).reshape(4, 4))


class Job:
    """An export on a thread of its own: it knows no Blender, and a window goes on meanwhile. count: of its cameras."""

    doing = "A capture is being exported"

    def __init__(self, views: tuple[View, ...], folder: Path, writer: str) -> None:
        self.progress, self.count = Progress(0.0, "Copying photos"), len(views)
        self._cancelled = Event()
        self._threads = ThreadPoolExecutor(1, "lvsm_export")
        capture = Capture(folder.name, views)
        self._future: Future[None] = self._threads.submit(
            export_capture, capture, folder, WRITERS[writer], encode_png, self._follow, self._cancelled.is_set
        )
        self._threads.shutdown(wait=False)

    def poll(self) -> bool:
        """Whether result() returns at once."""
        return self._future.done()

    def cancel(self) -> None:
        self._cancelled.set()

    def result(self) -> None:
        """Wait for the end. Raises LvsmError."""
        self._future.result()

    def _follow(self, progress: Progress) -> None:
        self.progress = progress


class LVSM_OT_export_capture(FollowsJobInFolder[Job], bpy.types.Operator):
    """Write the cameras that have photos, and copies of the photos, into an empty folder, for other programs"""

    bl_idname = "lvsm.export_capture"
    bl_label = "Export Capture"

    writer: EnumProperty(
        name="Format",
        items=[(name, name, DESCRIPTIONS[name]) for name in WRITERS],
        description="How the cameras are written",
    )

    @classmethod
    def poll(cls, context):  # noqa: ARG003 (Blender's signature)
        reason = followed.obstacle or ("" if input_views.has_photos() else "Add a photo to at least one camera")
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def begin(self, context) -> Job:
        last_outcome.forget()
        if self.folder is None:
            raise CaptureError("No folder is chosen: choose an empty one.")
        return Job(exported_views(context), self.folder, self.writer)

    def finish(self, context, job: Job) -> None:
        job.result()
        self.report({"INFO"}, f"Exported {job.count} cameras to {self.directory}")


def draw_in_export_menu(menu, _context) -> None:
    menu.layout.operator(LVSM_OT_export_capture.bl_idname, text="Posed Photos of LVSM")


def register() -> None:
    bpy.utils.register_class(LVSM_OT_export_capture)
    bpy.types.TOPBAR_MT_file_export.append(draw_in_export_menu)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_export.remove(draw_in_export_menu)
    bpy.utils.unregister_class(LVSM_OT_export_capture)
