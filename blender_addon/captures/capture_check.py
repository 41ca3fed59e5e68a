"""Check Capture: each photo against its picture made of all the others: whether to trust the model, and which photo is bad.

Scores are kept on the cameras, pictures to compare for the session only.
"""

import functools
import hashlib
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from bpy.app.handlers import persistent
from bpy.props import EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from lvsm_engine.errors import Cancelled
from lvsm_engine.progress import Progress
from lvsm_engine.scene.selection import spread_views
from lvsm_engine.worker.client import Request

from ..engine.followed_job import FollowsJob, followed
from ..engine.worker_owner import model_file, worker
from ..last_outcome import last_outcome
from ..scene import input_views, results, target
from ..scene.camera_list import Cameras, camera_list, places
from ..window.panel import SideBarPanel, draw_hint, draw_sentence
from .check_verdict import outliers, verdict

COMPARISON = "LVSM Comparison"
GAP = 4  # pixels between two pictures
UNCHECKED = float("inf")  # dB: after all others


class LVSM_CheckedPhoto(bpy.types.PropertyGroup):
    """`camera.lvsm.checked`: how near the picture made of all other photos comes to this camera's."""

    psnr: FloatProperty(name="PSNR", options={"HIDDEN"})
    ssim: FloatProperty(name="SSIM", options={"HIDDEN"})
    # A digest of what they were measured with; empty where nothing was.
    made_of: StringProperty(name="Made of", options={"HIDDEN"})


class LVSM_CheckSettings(bpy.types.PropertyGroup):
    """`scene.lvsm.check`."""

    count: IntProperty(
        name="Photos",
        default=24,
        min=1,
        soft_max=100,
        max=500,
        description="Check so many photos at most, spread over the capture",
    )
    side: IntProperty(
        name="Longer Side",
        default=256,
        min=64,
        max=512,
        subtype="PIXEL",
        description="The size at which photos are synthesized and compared",
    )
    comparison: EnumProperty(
        name="Comparison",
        items=[
            ("SIDE_BY_SIDE", "Side by Side", "The photo on the left, the synthesized picture on the right"),
            ("WIPE", "Wipe", "The photo up to a line, the synthesized picture beyond"),
        ],
        update=lambda _, context: _update_comparison(context.scene),
    )
    wipe: FloatProperty(
        name="Wipe",
        default=0.5,
        min=0,
        max=1,
        subtype="FACTOR",
        description="How much of the photo is shown, from the left",
        update=lambda _, context: _update_comparison(context.scene),
    )


@dataclass(frozen=True, slots=True)
class Checked:
    """A camera that is checked: its name, its session_uid, and its position among the views."""

    name: str
    uid: int
    position: int


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """What a photo is, and what was made of the others: (H, W, 3) uint8 each."""

    photo: np.ndarray
    synthesized: np.ndarray


kept_pictures: dict[int, Pictures] = {}
"""By the session_uid of their cameras."""


class Job:
    """A check under way: a photo at a time, so that what has been found is there when it is cancelled."""

    doing = "A capture is being checked"

    def __init__(self, ask: Callable[[int], Request], cameras: Sequence[Checked], made_of: str) -> None:
        self._ask, self.cameras, self._made_of = ask, cameras, made_of
        self.done, self.is_cancelled = 0, False
        self._began = self._last = time.monotonic()
        self._request = ask(cameras[0].position)

    @property
    def progress(self) -> Progress:
        """The time left is what the photos took so far, on average."""
        count = len(self.cameras)
        stage = f"Photo {min(self.done + 1, count)} of {count}"
        if self.done == 0:
            return Progress(0.0, f"{stage}: {self._request.progress.stage}")
        each = (self._last - self._began) / self.done
        left = each * (count - self.done) - (time.monotonic() - self._last)
        return Progress(self.done / count, stage, max(0.0, left))

    def poll(self) -> bool:
        """Go on without blocking. True when all are checked, or it was cancelled. Raises LvsmError."""
        if self.is_cancelled:
            return True
        if not self._request.poll():
            return False
        _keep(self.cameras[self.done], self._request.result(), self._made_of, is_first=self.done == 0)
        self.done, self._last = self.done + 1, time.monotonic()
        if self.done == len(self.cameras):
            return True
        self._request = self._ask(self.cameras[self.done].position)
        return False

    def cancel(self) -> None:
        self.is_cancelled = True
        self._request.cancel()


def start(context: bpy.types.Context) -> Job:
    """Ask for the first of the photos that are to be checked. Returns at once. Raises LvsmError."""
    last_outcome.forget()
    scene = context.scene
    photographed = input_views.photographed(scene, context.evaluated_depsgraph_get())
    views = photographed.views
    settings = scene.lvsm.check
    positions = spread_views([view.camera for view in views], settings.count, photographed.subject)
    names = [views[position].name for position in positions]
    uids = [scene.objects[name].session_uid for name in names]
    ask = functools.partial(
        worker.client().leave_one_out,
        model_file(scene),
        views,
        side=settings.side,
        detail=scene.lvsm.use_detail,
        max_model_views=scene.lvsm.max_model_views or None,
        subject=photographed.subject,
    )
    return Job(ask, [Checked(*each) for each in zip(names, uids, positions, strict=True)], ingredients(scene))


def _keep(camera: Checked, answer: dict, made_of: str, is_first: bool) -> None:
    """Keep a photo's scores on its camera, if that is still there, and its pictures; the first in place of all former ones."""
    if is_first:
        kept_pictures.clear()
        for lens in bpy.data.cameras:
            lens.lvsm.checked.made_of = ""
    camera_object = next((found for found in bpy.data.objects if found.session_uid == camera.uid), None)
    if camera_object is None or camera_object.type != "CAMERA":
        return
    camera_list.forget()
    checked = camera_object.data.lvsm.checked
    checked.psnr, checked.ssim, checked.made_of = answer["psnr"], answer["ssim"], made_of
    kept_pictures[camera.uid] = Pictures(results.quantized(answer["truth"]), results.quantized(answer["picture"]))


def ingredients(scene: bpy.types.Scene) -> str:
    """A digest of what scores depend on: with another one, they are out of date."""
    settings = scene.lvsm
    made_with = settings.model, settings.use_detail, settings.max_model_views
    parts = (*made_with, settings.check.side, target.last_photos.digest(scene))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Findings:
    """Of a scene's checked photos: sentences, none without scores; the names of those that stand out; what the scores are made
    of; and of each of the scene's objects its PSNR, or UNCHECKED."""

    sentences: tuple[str, ...]
    suspects: frozenset[str]
    made_of: str
    ranks: tuple[float, ...]


class LastFindings:
    """The findings in the scene that was asked for last, looked at anew when it changes: for drawing."""

    def __init__(self) -> None:
        self._of: Cameras | None = None
        self._findings = Findings((), frozenset(), "", ())

    def of(self, scene: bpy.types.Scene) -> Findings:
        cameras = camera_list.of(scene)
        if cameras is not self._of:
            self._of, self._findings = cameras, _findings(cameras)
        return self._findings


last_findings = LastFindings()


def _findings(cameras: Cameras) -> Findings:
    ranks = [UNCHECKED] * len(cameras.is_camera)
    psnrs, made_of = {}, ""
    numbers = itertools.compress(itertools.count(), cameras.is_camera)
    for number, item in zip(numbers, cameras.objects, strict=True):
        checked = item.data.lvsm.checked
        if checked.made_of:
            made_of = checked.made_of
            psnrs[item.name] = ranks[number] = checked.psnr
    sentences = verdict(psnrs) if psnrs else ()
    return Findings(sentences, frozenset(outliers(psnrs)), made_of, tuple(ranks))


def obstacle(scene: bpy.types.Scene) -> str:
    """Why the capture cannot be checked now, for a person; empty where it can."""
    if followed.job is not None:
        return followed.obstacle
    count = sum(input_views.is_input_view(item) for item in camera_list.of(scene).objects)
    return "" if count > 1 else "Add a photo to at least two cameras"


def composed(pictures: Pictures, arrangement: str, wipe: float) -> np.ndarray:
    """Photo and synthesis in one picture, uint8: beside each other (H, 2 W + GAP, 3), or one up to `wipe` of the width."""
    height, width, _ = pictures.photo.shape
    if arrangement == "SIDE_BY_SIDE":
        gap = np.full((height, GAP, 3), 255, np.uint8)
        return np.concatenate([pictures.photo, gap, pictures.synthesized], axis=1)
    column = round(wipe * width)
    shown = np.concatenate([pictures.photo[:, :column], pictures.synthesized[:, column:]], axis=1)
    if 0 < column < width:
        shown[:, column] = 255
    return shown


def comparison_of(scene: bpy.types.Scene) -> bpy.types.Image | None:
    """The image that compares the selected camera's photo with its picture, as the scene wants it; None without pictures."""
    camera_object = input_views.selected_camera(scene)
    pictures = kept_pictures.get(camera_object.session_uid) if camera_object is not None else None
    if pictures is None:
        return None
    settings = scene.lvsm.check
    shown = composed(pictures, settings.comparison, settings.wipe)
    return results.keep_comparison(COMPARISON, results.encode_png(shown))


def _update_comparison(scene: bpy.types.Scene) -> None:
    """Draw the comparison that is there anew."""
    if COMPARISON in bpy.data.images:
        comparison_of(scene)


class LVSM_OT_check_capture(FollowsJob[Job], bpy.types.Operator):
    """Leave out each photo in turn, synthesize it from all the others, and measure how near the picture comes"""

    bl_idname = "lvsm.check_capture"
    bl_label = "Check Capture"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context):
        reason = obstacle(context.scene)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def begin(self, context) -> Job:
        return start(context)

    def finish(self, context, job: Job) -> None:
        """What was found before a cancel stays."""
        if job.done == 0:
            raise Cancelled
        for sentence in last_findings.of(context.scene).sentences:
            self.report({"INFO"}, sentence)

    def show(self, context) -> None:
        """Select the worst."""
        ranks = last_findings.of(context.scene).ranks
        context.scene.lvsm.active_object_index = ranks.index(min(ranks))


class LVSM_OT_compare(bpy.types.Operator):
    """Show the selected camera's photo and what was synthesized of it in an Image Editor"""

    bl_idname = "lvsm.compare"
    bl_label = "Compare"

    @classmethod
    def poll(cls, context):
        camera_object = input_views.selected_camera(context.scene)
        reason = ""
        if camera_object is None or not camera_object.data.lvsm.checked.made_of:
            reason = "Select a camera that has been checked"
        elif camera_object.session_uid not in kept_pictures:
            reason = "Pictures are kept until Blender is closed: check the capture again"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context):
        image = comparison_of(context.scene)
        assert image is not None  # poll
        if not results.show_in_image_editor(context, image) and not bpy.app.background:
            results.open_image_editor(image)
        return {"FINISHED"}


class LVSM_UL_checked_photos(bpy.types.UIList):
    """The cameras that were checked, worst first."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property):
        checked = item.data.lvsm.checked
        row = layout.row(align=True)
        row.label(text=item.name, icon="ERROR" if item.name in last_findings.of(data).suspects else "BLANK1")
        scores = row.row()
        scores.alignment = "RIGHT"
        scores.label(text=f"{checked.psnr:.1f} dB  {checked.ssim:.2f}")

    def filter_items(self, context, data, property_name):
        ranks = last_findings.of(data).ranks
        return [self.bitflag_filter_item if rank < UNCHECKED else 0 for rank in ranks], places(ranks)


class LVSM_PT_check_capture(SideBarPanel, bpy.types.Panel):
    bl_label = "Check Capture"
    bl_parent_id = "LVSM_PT_input_views"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context):
        layout, scene = self.layout, context.scene
        settings, width = scene.lvsm.check, context.region.width
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        column.prop(settings, "count")
        column.prop(settings, "side")
        layout.operator("lvsm.check_capture", icon="VIEWZOOM")
        findings = last_findings.of(scene)
        for number, sentence in enumerate(findings.sentences):
            draw_sentence(layout.column(align=True), width, sentence, "ERROR" if number else "INFO")
        if not findings.sentences:
            return
        if findings.made_of != ingredients(scene):
            draw_hint(layout, width, "The photos, their cameras or the model have changed since: check again")
        layout.template_list(
            "LVSM_UL_checked_photos", "", scene, "objects", scene.lvsm, "active_object_index", rows=4, sort_lock=True
        )
        layout.operator("lvsm.compare", icon="IMAGE_RGB_ALPHA")
        row = layout.row()
        row.use_property_split = False
        row.prop(settings, "comparison", expand=True)
        if settings.comparison == "WIPE":
            layout.prop(settings, "wipe", slider=True)


@persistent
def forget_pictures(*_) -> None:
    """Their cameras are of another file."""
    kept_pictures.clear()


classes = (
    LVSM_CheckedPhoto,
    LVSM_CheckSettings,
    LVSM_OT_check_capture,
    LVSM_OT_compare,
    LVSM_UL_checked_photos,
    LVSM_PT_check_capture,
)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def register() -> None:
    register_classes()
    input_views.LVSM_CameraSettings.checked = PointerProperty(type=LVSM_CheckedPhoto)
    input_views.LVSM_SceneSettings.check = PointerProperty(type=LVSM_CheckSettings)
    bpy.app.handlers.load_pre.append(forget_pictures)


def unregister() -> None:
    bpy.app.handlers.load_pre.remove(forget_pictures)
    forget_pictures()
    del input_views.LVSM_SceneSettings.check
    del input_views.LVSM_CameraSettings.checked
    unregister_classes()
