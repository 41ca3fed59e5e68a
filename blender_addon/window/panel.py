"""The tab "LVSM" of the 3D view's side bar: it draws what other modules know."""

from functools import lru_cache

import blf
import bpy

from lvsm_engine.scene.trust import DOUBTFUL, POOR

from ..engine import model_choice, set_up_engine
from ..engine.followed_job import followed, redraw_panels
from ..engine.worker_owner import progress_text, worker
from ..last_outcome import last_outcome
from ..rendering import render_engine, synthesize
from ..scene import input_views, results, target
from ..scene.camera_list import camera_list

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
        redraw_panels(bpy.context)
    return WATCH_SECONDS


TRUST_ICONS = {DOUBTFUL: "INFO", POOR: "ERROR"}


class SideBarPanel:
    """In the 3D view, where all that concerns photos and target is."""

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
        draw_settings(column, context.scene)
        for sentence in model_choice.what_is_told(context.scene):
            draw_hint(layout, context.region.width, sentence)
        row = layout.row(align=True)
        row.scale_y = 1.5
        job = followed.job
        if job is None:
            row.operator("lvsm.synthesize_view", icon="RENDER_STILL")
            _draw_next(layout, context)
        else:
            _draw_progress(row, job.progress)
        set_up_engine.draw_progress(layout)
        if last_outcome.error is not None:
            _draw_failure(layout, context.region.width, str(last_outcome.error), last_outcome.ways_out)
        for warning in last_outcome.warnings:
            draw_sentence(layout.box().column(align=True), context.region.width, warning, "INFO")


def draw_settings(column, scene: bpy.types.Scene) -> None:
    """What all pictures of a scene are made with."""
    model_choice.draw_choice(column, scene)
    column.prop(scene.lvsm, "use_detail")
    if scene.lvsm.max_model_views:
        column.prop(scene.lvsm, "max_model_views")


def photos_in_use(scene: bpy.types.Scene) -> str:
    """How many of the scene's photos are, for people."""
    cameras = camera_list.of(scene).objects
    return f"{sum(input_views.is_input_view(item) for item in cameras)} of {len(cameras)} cameras"


def _draw_next(layout, context) -> None:
    """Why the button is off; or what it will make, and what became of what it made."""
    scene, width = context.scene, context.region.width
    if obstacle := synthesize.obstacle(scene):
        draw_hint(layout, width, obstacle)
        return
    draw_hint(layout, width, target.what_comes_next(scene))
    made_of = target.ingredients(scene)
    trust = target.last_outlook.now(scene, context.evaluated_depsgraph_get(), made_of).trust
    layout.prop(scene.lvsm, "show_trust")
    for reason in trust.reasons[:1]:
        draw_sentence(layout.column(align=True), width, f"The camera {reason}", TRUST_ICONS[trust.level])
        layout.operator("lvsm.suggest_photo")
    camera_object = target.target_camera(scene)
    assert camera_object is not None  # else that is the obstacle
    if camera_object.data.lvsm.photo is not None:
        layout.operator("lvsm.use_photo_size")
    result = results.result_of(camera_object.name)
    if result is not None:
        if result.get(results.MADE_OF) != made_of:
            draw_hint(layout, width, f"{result.name} is out of date: the camera, the photos or the frame have changed")
        layout.operator("lvsm.keep_result")


def _scene_camera_name(scene: bpy.types.Scene) -> str:
    return scene.camera.name if scene.camera else ""


def draw_hint(layout, width: int, hint: str) -> None:
    """A sentence that is pale, as wide as a region of so many pixels."""
    column = layout.column(align=True)
    column.active = False
    draw_sentence(column, width, hint, "INFO")


def draw_sentence(column, width: int, sentence: str, icon: str) -> None:
    """A sentence in lines, as wide as a region of so many pixels."""
    for number, line in enumerate(wrapped(sentence, width)):
        column.label(text=line, icon=icon if number == 0 else "BLANK1")


def _draw_progress(row, progress) -> None:
    row.progress(factor=progress.fraction, text=progress_text(progress))
    row.operator("lvsm.cancel", text="", icon="X")


def _draw_failure(layout, width: int, sentence: str, ways_out: tuple[tuple[str, str], ...]) -> None:
    box = layout.box().column(align=True)
    draw_sentence(box, width, sentence, "ERROR")
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


class LVSM_PT_engine(SideBarPanel, bpy.types.Panel):
    bl_label = "Engine"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 2  # below the photos

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
    bl_order = 2

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


classes = (
    LVSM_PT_synthesize_view,
    LVSM_PT_engine,
    LVSM_PT_colors,
)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def register():
    register_classes()
    if not bpy.app.background:
        bpy.app.timers.register(_redraw_when_changed, persistent=True)


def unregister():
    if bpy.app.timers.is_registered(_redraw_when_changed):
        bpy.app.timers.unregister(_redraw_when_changed)
    unregister_classes()
