"""The tab "LVSM" of the 3D view's side bar: it draws what other modules know."""

from functools import lru_cache
from typing import ClassVar

import blf
import bpy

from lvsm_engine.scene.trust import DOUBTFUL, POOR

from . import input_views, render_engine, results, set_up_engine, synthesize, target
from .camera_list import camera_list
from .last_outcome import last_outcome
from .worker_owner import progress_text, worker

UI_FONT = 0
MARGIN = 90  # pixels of a side bar beside a label in a box: borders, icon, tabs

STATES = {
    "stopped": ("Not started", "RADIOBUT_OFF"),
    "starting": ("Starting", "SORTTIME"),
    "ready": ("Ready", "RADIOBUT_ON"),
    "busy": ("Working", "SORTTIME"),
    "failed": ("Failed", "ERROR"),
}


# How late a panel may be about what happens without Blender: a render's end, the death of an engine that waits.
WATCH_SECONDS = 0.5
_seen: list[object] = []


def _redraw_when_changed() -> float:
    """A timer of Blender's: panels are redrawn when what they tell has changed."""
    now = [worker.state, worker.device_name, last_outcome.error, last_outcome.warnings]
    if now != _seen:
        _seen[:] = now
        synthesize.redraw_panels(bpy.context)
    return WATCH_SECONDS


TRUST_ICONS = {DOUBTFUL: "INFO", POOR: "ERROR"}


class SideBarPanel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "LVSM"


class LVSM_PT_synthesize_view(SideBarPanel, bpy.types.Panel):
    bl_label = "Synthesize View"

    def draw(self, context):
        layout, settings = self.layout, context.scene.lvsm
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.prop(settings, "target_camera", text="Camera", placeholder=_scene_camera_name(context.scene))
        column.prop(settings, "model", placeholder="Default")
        column.prop(settings, "use_detail")
        row = layout.row(align=True)
        row.scale_y = 1.5
        job = synthesize.followed.job
        if job is None:
            row.operator("lvsm.synthesize_view", icon="RENDER_STILL")
            _draw_next(layout, context)
        else:
            _draw_progress(row, job.request.progress)
        set_up_engine.draw_progress(layout)
        if last_outcome.error is not None:
            _draw_failure(layout, context.region.width, str(last_outcome.error), last_outcome.ways_out)
        for warning in last_outcome.warnings:
            _draw_sentence(layout.box().column(align=True), context.region.width, warning, "INFO")


def _draw_next(layout, context) -> None:
    """Why the button is off; or what it will make, and what became of what it made."""
    scene, width = context.scene, context.region.width
    if obstacle := synthesize.obstacle(scene):
        _draw_hint(layout, width, obstacle)
        return
    _draw_hint(layout, width, target.what_comes_next(scene))
    made_of = target.ingredients(scene)
    trust = target.last_trust.now(scene, context.evaluated_depsgraph_get(), made_of)
    for reason in trust.reasons[:1]:
        _draw_sentence(layout.column(align=True), width, f"The camera {reason}", TRUST_ICONS[trust.level])
    camera_object = target.target_camera(scene)
    assert camera_object is not None  # else that is the obstacle
    if camera_object.data.lvsm.photo is not None:
        layout.operator("lvsm.use_photo_size")
    result = results.result_of(camera_object.name)
    if result is not None:
        if result.get(results.MADE_OF) != made_of:
            _draw_hint(layout, width, f"{result.name} is out of date: the camera, the photos or the frame have changed")
        layout.operator("lvsm.keep_result")


def _scene_camera_name(scene: bpy.types.Scene) -> str:
    return scene.camera.name if scene.camera else ""


def _draw_hint(layout, width: int, hint: str) -> None:
    column = layout.column(align=True)
    column.active = False
    _draw_sentence(column, width, hint, "INFO")


def _draw_sentence(column, width: int, sentence: str, icon: str) -> None:
    for number, line in enumerate(wrapped(sentence, width)):
        column.label(text=line, icon=icon if number == 0 else "BLANK1")


def _draw_progress(row, progress) -> None:
    row.progress(factor=progress.fraction, text=progress_text(progress))
    row.operator("lvsm.cancel", text="", icon="X")


def _draw_failure(layout, width: int, sentence: str, ways_out: tuple[tuple[str, str], ...]) -> None:
    box = layout.box().column(align=True)
    _draw_sentence(box, width, sentence, "ERROR")
    if ways_out:
        box.separator()
    for operator, label in ways_out:
        box.operator(operator, text=label)


def wrapped(sentence: str, width: int) -> tuple[str, ...]:
    """A sentence in lines that fit a region so many pixels wide; Blender's labels do not wrap."""
    preferences = bpy.context.preferences
    scale = preferences.system.ui_scale
    return _lines(sentence, width - MARGIN * scale, preferences.ui_styles[0].widget.points * scale)


@lru_cache(maxsize=8)
def _lines(sentence: str, width: float, font_size: float) -> tuple[str, ...]:
    blf.size(UI_FONT, font_size)

    def fits(text: str) -> bool:
        return len(text) < 2 or blf.dimensions(UI_FONT, text)[0] <= width

    lines = [""]
    for word in sentence.split():
        if not fits(f"{lines[-1]} {word}"):
            lines.append("")
        for letter in f" {word}" if lines[-1] else word:
            if not fits(lines[-1] + letter):  # a path, longer than a line
                lines.append("")
            lines[-1] += letter
    return tuple(line for line in lines if line)


class LVSM_UL_input_views(bpy.types.UIList):
    """The scene's cameras: which of them have a photo, and which photos are used."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property):
        camera = item.data.lvsm
        row = layout.row(align=True)
        row.active = camera.photo is not None
        box = row.row()
        box.enabled = camera.photo is not None
        box.prop(camera, "use_as_input", text="")
        row.prop(item, "name", text="", emboss=False)
        photo = row.row()
        photo.alignment = "RIGHT"
        photo.label(text=_photo_name(item))

    def filter_items(self, context, data, property_name):
        is_camera = camera_list.of(data).is_camera
        return [self.bitflag_filter_item if shown else 0 for shown in is_camera], []


def _photo_name(camera_object: bpy.types.Object) -> str:
    """What to say of a camera's photo beside the camera's name, which an imported camera has from its photo."""
    photo = camera_object.data.lvsm.photo
    if photo is None:
        return "No photo"
    return photo.name if photo.name != camera_object.name else ""


class LVSM_PT_input_views(SideBarPanel, bpy.types.Panel):
    bl_label = "Input Views"

    def draw(self, context):
        layout, scene = self.layout, context.scene
        cameras = camera_list.of(scene).objects
        used = sum(input_views.is_input_view(item) for item in cameras)
        layout.label(text=f"Photos in use: {used} of {len(cameras)} cameras")
        layout.template_list("LVSM_UL_input_views", "", scene, "objects", scene.lvsm, "active_object_index", rows=4)
        selected = input_views.selected_camera(scene)
        if selected is not None:
            layout.template_ID(selected.data.lvsm, "photo", open="image.open", text="Photo")
            layout.template_ID(selected.data.lvsm, "mask", open="image.open", text="Mask")
        layout.operator("lvsm.import_capture", icon="IMPORT")


class LVSM_PT_engine(SideBarPanel, bpy.types.Panel):
    bl_label = "Engine"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header_preset(self, context):
        self.layout.label(text=STATES[worker.state][0])

    def draw(self, context):
        layout = self.layout
        text, icon = STATES[worker.state]
        layout.label(text=f"{text}: {worker.device_name}" if worker.device_name else text, icon=icon)
        column = layout.column(align=True)
        column.operator("lvsm.set_up_engine")
        column.operator("lvsm.choose_python")
        column.operator("lvsm.check_engine")
        row = layout.row(align=True)
        row.operator("lvsm.restart_engine")
        row.operator("lvsm.open_log")


class LVSM_PT_colors(SideBarPanel, bpy.types.Panel):
    """Only there when a render by this engine would not be saved as it was synthesized."""

    bl_label = "Colors"

    @classmethod
    def poll(cls, context):
        is_ours = context.scene.render.engine == render_engine.LVSM_RenderEngine.bl_idname
        return is_ours and bool(render_engine.changes_to_colors(context.scene))

    def draw(self, context):
        column = self.layout.column(align=True)
        changes = ", ".join(render_engine.changes_to_colors(context.scene))
        for line in wrapped(f"Saved renders differ from the synthesized picture: {changes}.", context.region.width):
            column.label(text=line)
        self.layout.operator("lvsm.use_exact_colors")


class PropertiesPanel:
    """In the Properties editor, for the render engine."""

    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    COMPAT_ENGINES: ClassVar = {render_engine.LVSM_RenderEngine.bl_idname}

    @classmethod
    def poll(cls, context):
        return context.scene.render.engine in cls.COMPAT_ENGINES


class LVSM_PT_film(PropertiesPanel, bpy.types.Panel):
    bl_label = "Film"
    bl_context = "render"

    def draw(self, context):
        self.layout.use_property_split = True
        self.layout.prop(context.scene.render, "film_transparent", text="Transparent")


class LVSM_PT_passes(PropertiesPanel, bpy.types.Panel):
    bl_label = "Passes"
    bl_context = "view_layer"

    def draw(self, context):
        layout, view_layer = self.layout, context.view_layer
        layout.use_property_split = True
        column = layout.column(heading="Include")
        column.active = context.scene.lvsm.use_detail
        column.prop(view_layer, "use_pass_z", text="Depth")
        column.prop(view_layer.lvsm, "use_pass_confidence")


classes = (
    LVSM_UL_input_views,
    LVSM_PT_synthesize_view,
    LVSM_PT_input_views,
    LVSM_PT_engine,
    LVSM_PT_colors,
    LVSM_PT_film,
    LVSM_PT_passes,
)


def register():
    for cls in classes:
        bpy.utils.register_class(cls)
    if not bpy.app.background:
        bpy.app.timers.register(_redraw_when_changed, persistent=True)


def unregister():
    if bpy.app.timers.is_registered(_redraw_when_changed):
        bpy.app.timers.unregister(_redraw_when_changed)
    for cls in reversed(classes):
        bpy.utils.unregister_class(cls)
