"""Solve Cameras: a folder of plain photos becomes a capture of the scene. The work is the engine's."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty

from lvsm_engine.errors import CaptureError

from ..engine.followed_job import EngineJob, FollowsJobInFolder, followed
from ..engine.worker_owner import worker
from ..last_outcome import last_outcome
from .capture_import import Options, import_capture


class LVSM_OT_solve_cameras(FollowsJobInFolder[EngineJob], bpy.types.Operator):
    """Find where a folder's photos were taken from, and import them as cameras. The cameras are kept beside the photos"""

    bl_idname = "lvsm.solve_cameras"
    bl_label = "Solve Cameras"
    bl_options = {"UNDO"}

    filter_image: BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def poll(cls, context):  # noqa: ARG003 (Blender's signature)
        if reason := followed.obstacle:
            cls.poll_message_set(reason)
        return not reason

    def begin(self, context) -> EngineJob:
        last_outcome.forget()
        if self.folder is None:
            raise CaptureError("No folder is chosen: choose the one with the photos.")
        return EngineJob("Cameras are being solved", worker.client().solve(self.folder))

    def finish(self, context, job: EngineJob) -> None:
        solved = job.result()
        imported = import_capture(context, Path(solved["model"]), Options(has_points=True))
        for warning in last_outcome.warn([*solved["warnings"], *imported.capture.warnings]):
            self.report({"WARNING"}, warning)
        self.report({"INFO"}, f"{len(solved['placed'])} photos have cameras now")


def draw_in_import_menu(menu, _context) -> None:
    menu.layout.operator(LVSM_OT_solve_cameras.bl_idname, text="Photos for LVSM, Solving Cameras")


def register() -> None:
    bpy.utils.register_class(LVSM_OT_solve_cameras)
    bpy.types.TOPBAR_MT_file_import.append(draw_in_import_menu)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(draw_in_import_menu)
    bpy.utils.unregister_class(LVSM_OT_solve_cameras)
