"""The model that a scene's pictures are made with: the menu of known ones, Get Model with its licence, what the panel tells."""

import functools
import json
import os
import struct

import bpy
from bpy.props import BoolProperty, StringProperty

from lvsm_engine.errors import FetchError
from lvsm_engine.known_models import DEFAULT, KNOWN_MODELS, KnownModel, is_known, is_there, known_model, model_called

from ..last_outcome import last_outcome
from .followed_job import EngineJob, FollowsJob, followed
from .set_up_engine import offline_reason
from .worker_owner import model_file, worker

DIALOG_WIDTH = 480
LINE_LETTERS = 80
MAX_HEADER_BYTES = 10_000_000  # of a model's file; what is longer holds more than a card
SHOWN_DIGITS = 12


class LVSM_OT_get_model(FollowsJob[EngineJob], bpy.types.Operator):
    """Fetch a published model after its licence is shown and accepted, and use it. A broken download goes on where it was"""

    bl_idname = "lvsm.get_model"
    bl_label = "Get Model"
    bl_options = {"UNDO"}

    name: StringProperty(options={"SKIP_SAVE"})
    accepts_licence: BoolProperty(
        name="I Accept This Licence",
        options={"SKIP_SAVE"},
        description="The model is fetched only where it is accepted",
    )

    _has_window = False

    @classmethod
    def poll(cls, context):  # noqa: ARG003 (Blender's signature)
        if reason := followed.obstacle or offline_reason():
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context, event):
        self.name = self.name or context.scene.lvsm.model
        if not is_known(self.name) or is_there(known_model(self.name)):
            self.report({"WARNING"}, "Choose a model that is to be fetched in the menu beside Model")
            return {"CANCELLED"}
        self._has_window = True
        return context.window_manager.invoke_props_dialog(self, width=DIALOG_WIDTH, confirm_text=self.bl_label)

    def draw(self, _context):
        model = known_model(self.name)
        column = self.layout.column(align=True)
        for sentence in (f"{model.name}: {model.file}, {model.size_label}", model.needs, f"Good at {model.good_at}"):
            _draw_wrapped(column, sentence)
        column.separator()
        _draw_wrapped(column, f"Licence: {model.licence}")
        self.layout.operator("wm.url_open", text="Open Its Page", icon="URL").url = model.page
        self.layout.prop(self, "accepts_licence")

    def execute(self, context):
        return self.follow(context) if self._has_window else super().execute(context)

    def begin(self, context) -> EngineJob:
        last_outcome.forget()
        model = known_model(self.name or context.scene.lvsm.model)
        if not self.accepts_licence:
            raise FetchError(f"The licence of {model.name} was not accepted: accept it to fetch the model.")
        return EngineJob("A model is being fetched", worker.client().fetch_model(model.name, accepts_licence=True))

    def finish(self, context, job: EngineJob) -> None:
        fetched = job.result()
        context.scene.lvsm.model = self.name or context.scene.lvsm.model
        self.report({"INFO"}, f"{fetched['path']} is in use, sha256 {fetched['sha256'][:SHOWN_DIGITS]}")


class LVSM_OT_use_model(bpy.types.Operator):
    """Make this scene's pictures with this model"""

    bl_idname = "lvsm.use_model"
    bl_label = "Use Model"
    bl_options = {"UNDO", "INTERNAL"}

    name: StringProperty()

    @classmethod
    def description(cls, _context, properties):
        model = known_model(properties.name)
        return f"{model.needs}. Good at {model.good_at}. Licence: {model.licence}"

    def execute(self, context):
        context.scene.lvsm.model = "" if self.name == DEFAULT else self.name
        last_outcome.forget()
        return {"FINISHED"}


class LVSM_MT_models(bpy.types.Menu):
    """The models that are there, those that can be fetched, and any file"""

    bl_label = "Models"

    def draw(self, _context):
        layout = self.layout
        for model in KNOWN_MODELS:
            if is_there(model):
                layout.operator(LVSM_OT_use_model.bl_idname, text=_label(model)).name = model.name
        layout.operator("lvsm.choose_model", text="Choose File", icon="FILE_FOLDER")
        layout.separator()
        for model in KNOWN_MODELS:
            if not is_there(model):
                text = f"Get {_label(model)}, {model.size_label}"
                layout.operator(LVSM_OT_get_model.bl_idname, text=text, icon="IMPORT").name = model.name


def _label(model: KnownModel) -> str:
    return "Default" if model.is_bundled else model.name


def draw_choice(layout, scene: bpy.types.Scene) -> None:
    """The model's field with the menu of known ones; below it the button for one that is chosen and not there."""
    row = layout.row(align=True)
    row.prop(scene.lvsm, "model", placeholder="Default")
    row.menu(LVSM_MT_models.__name__, text="", icon="DOWNARROW_HLT")
    chosen = scene.lvsm.model
    if is_known(chosen) and not is_there(known_model(chosen)):
        layout.operator(LVSM_OT_get_model.bl_idname, text=f"Get {chosen}", icon="IMPORT").name = chosen


def what_is_told(scene: bpy.types.Scene) -> tuple[str, ...]:
    """Of the model in use, for people: its licence, and what a published one is to be given."""
    chosen = model_file(scene)
    model = model_called(chosen)
    if model is None:
        licence = licence_in(chosen)
        return (f"Licence: {licence}",) if licence else ()
    use = ". Free for commercial use" if model.is_commercial else ""
    licence = f"Licence: {model.licence}{use}"
    return (licence,) if model.is_bundled else (licence, model.needs)


def licence_in(path: str) -> str:
    """The licence that a file of ours tells; empty for another file, and where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return _licence_in(path, status.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _licence_in(path: str, _changed: int) -> str:
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER_BYTES:
                return ""
            header = json.loads(file.read(length))
        return str(json.loads(header["__metadata__"]["lvsm"])["card"]["licence"])
    except (OSError, ValueError, KeyError, TypeError, struct.error, RecursionError):
        return ""


def _draw_wrapped(column, sentence: str) -> None:
    line = ""
    for word in sentence.split():
        if len(line) + len(word) >= LINE_LETTERS:
            column.label(text=line)
            line = ""
        line = f"{line} {word}".strip()
    column.label(text=line)


classes = (LVSM_OT_get_model, LVSM_OT_use_model, LVSM_MT_models)
register, unregister = bpy.utils.register_classes_factory(classes)
