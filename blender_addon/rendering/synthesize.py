"""Synthesize View: what cameras would see, as images. At once for scripts, in steps for a window."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import bpy
import numpy as np

from lvsm_engine.errors import Cancelled, LvsmError
from lvsm_engine.progress import Progress
from lvsm_engine.scene.camera import Camera
from lvsm_engine.worker.client import Request

from ..engine.followed_job import FollowsJob, followed
from ..engine.worker_owner import worker
from ..last_outcome import last_outcome
from ..scene import input_views, results, scene_cameras, target
from .viewport import camera_of_view

encoder = ThreadPoolExecutor(1, "lvsm_encoder")
"""Makes PNG files of pictures, for which a window does not wait."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture that is under way. It holds a name and a number: the camera itself may be gone before the picture comes."""

    camera_name: str
    camera_uid: int
    made_of: str


class Job:
    """Pictures of one size under way, of one camera or several."""

    def __init__(self, wanted: Sequence[Wanted], frame: int, request: Request) -> None:
        self.wanted, self.frame, self.request = wanted, frame, request
        self.doing = "A view is being synthesized" if len(wanted) == 1 else f"{len(wanted)} views are being synthesized"
        self.is_cancelled = False
        self._pngs: list[Future[bytes]] = []

    @property
    def progress(self) -> Progress:
        return self.request.progress

    def poll(self) -> bool:
        """Go on without blocking. True when pngs() has something to say."""
        if self.is_cancelled:
            return True
        if not self.request.poll():
            return False
        if not self._pngs:
            answer = self.request.result()
            told = results.told_in_files(answer)
            self._pngs = [encoder.submit(_encoded, image, told) for image in answer["images"]]
        return all(png.done() for png in self._pngs)

    def cancel(self) -> None:
        self.is_cancelled = True
        self.request.cancel()

    def pngs(self) -> list[bytes]:
        """The pictures as the bytes of PNG files. Raises LvsmError."""
        if self.is_cancelled or not self._pngs:
            raise Cancelled
        return [png.result() for png in self._pngs]


def _encoded(image: np.ndarray, told: dict[str, str]) -> bytes:
    return results.encode_png(results.quantized(image), told)


def obstacle(scene: bpy.types.Scene) -> str:
    """Why no view can be synthesized now, for a person; empty where one can."""
    if followed.job is not None:
        return followed.obstacle
    if target.target_camera(scene) is None:
        return "Add a camera to the scene"
    if not input_views.has_photos():
        return "Add a photo to at least one camera"
    is_elsewhere = len(bpy.data.scenes) > 1 and not any(map(input_views.is_input_view, scene.objects))
    return "Only another scene has cameras with photos" if is_elsewhere else ""


def start(context: bpy.types.Context, camera_objects: Sequence[bpy.types.Object]) -> Job:
    """Send cameras and the input views to the engine. Returns at once. Raises LvsmError."""
    last_outcome.forget()
    scene, depsgraph = context.scene, context.evaluated_depsgraph_get()
    cameras = [scene_cameras.camera_from_blender(item, depsgraph) for item in camera_objects]
    wanted = [Wanted(item.name, item.session_uid, target.ingredients(scene, item)) for item in camera_objects]
    return Job(wanted, scene.frame_current, worker.render(scene, depsgraph, cameras))


def finish(job: Job) -> list[bpy.types.Image]:
    """Keep a job's results as images, and behind their cameras where these are still there. Raises LvsmError."""
    pngs, answer = job.pngs(), job.request.result()
    seconds = answer["seconds"] / len(pngs)
    origin = results.Origin(job.frame, answer["model"], seconds, answer["model_sha256"], answer["licence"])
    images = []
    for wanted, png in zip(job.wanted, pngs, strict=True):
        images.append(results.keep_result(wanted.camera_name, png, wanted.made_of, origin))
        camera_object = next((found for found in bpy.data.objects if found.session_uid == wanted.camera_uid), None)
        if camera_object is not None and camera_object.type == "CAMERA":
            results.show_as_background(camera_object.data, images[-1])
    return images


class SynthesizesViews(FollowsJob[Job]):
    """What an operator inherits that synthesizes what some cameras see."""

    bl_options = {"UNDO"}

    def cameras(self, context: bpy.types.Context) -> list[bpy.types.Object]:
        raise NotImplementedError

    def begin(self, context) -> Job:
        return start(context, self.cameras(context))

    def finish(self, context, job: Job) -> None:
        self._images = finish(job)
        report = self.report  # type: ignore[attr-defined]  # an operator's
        for warning in last_outcome.warn(job.request.result()["warnings"]):
            report({"WARNING"}, warning)
        what = self._images[0].name if len(self._images) == 1 else f"{len(self._images)} pictures"
        report({"INFO"}, f"Synthesized {what} in {job.request.result()['seconds']:.1f} s")

    def show(self, context) -> None:
        results.show(context, self._images[-1])


class LVSM_OT_synthesize_view(SynthesizesViews, bpy.types.Operator):
    """Synthesize what the target camera sees from the photos of the input views"""

    bl_idname = "lvsm.synthesize_view"
    bl_label = "Synthesize View"

    @classmethod
    def poll(cls, context):
        reason = obstacle(context.scene)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def cameras(self, context) -> list[bpy.types.Object]:
        return [target.target_of(context.scene)]


class LVSM_OT_synthesize_selected(SynthesizesViews, bpy.types.Operator):
    """Synthesize what each of the selected cameras sees from the photos of the input views"""

    bl_idname = "lvsm.synthesize_selected"
    bl_label = "Synthesize Selected"

    @classmethod
    def poll(cls, context):
        reason = obstacle(context.scene)
        if not reason and not target.selected_cameras(context):
            reason = "Select the cameras whose views are wanted"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def cameras(self, context) -> list[bpy.types.Object]:
        return target.selected_cameras(context)


class LVSM_OT_camera_from_view(bpy.types.Operator):
    """Add a camera where this 3D view looks from, and make it the one whose view is synthesized"""

    bl_idname = "lvsm.camera_from_view"
    bl_label = "Camera from View"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        view_3d = context.region_data
        if not isinstance(view_3d, bpy.types.RegionView3D) or not view_3d.is_perspective:
            cls.poll_message_set("Look at the scene in perspective first (Numpad 5)")
            return False
        return True

    def execute(self, context):
        scene = context.scene
        width, height, _, _ = scene_cameras.render_size(scene.render)
        region = next(region for region in context.area.regions if region.type == "WINDOW")
        seen = framed(camera_of_view(region, context.region_data), width, height)
        camera_object = bpy.data.objects.new("View", bpy.data.cameras.new("View"))
        scene_cameras.set_lens(camera_object.data, seen)
        scene_cameras.set_pose(camera_object, seen.camera_to_world)
        scene.collection.objects.link(camera_object)
        scene.lvsm.target_camera = camera_object
        return {"FINISHED"}


def framed(camera: Camera, width: int, height: int) -> Camera:
    """What a camera of this size sees that shows as much as fits into the camera's picture, from the same place."""
    scale = max(width / camera.width, height / camera.height)
    return replace(
        camera, fx=camera.fx * scale, fy=camera.fy * scale, cx=width / 2, cy=height / 2, width=width, height=height
    )


class LVSM_OT_keep_result(bpy.types.Operator):
    """Keep the target camera's last picture: the next one becomes an image of its own"""

    bl_idname = "lvsm.keep_result"
    bl_label = "Keep Picture"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context):
        camera_object = target.target_camera(context.scene)
        return camera_object is not None and results.result_of(camera_object.name) is not None

    def execute(self, context):
        image = results.result_of(target.target_of(context.scene).name)
        assert image is not None  # poll
        results.keep(image)
        self.report({"INFO"}, f"{image.name} is kept")
        return {"FINISHED"}


class LVSM_OT_use_photo_size(bpy.types.Operator):
    """Render at the size of the target camera's photo"""

    bl_idname = "lvsm.use_photo_size"
    bl_label = "Use Photo Size"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        camera_object = target.target_camera(context.scene)
        if camera_object is None or camera_object.data.lvsm.photo is None:
            cls.poll_message_set("The target camera has no photo")
            return False
        return True

    def execute(self, context):
        try:
            width, height = input_views.photo_frame(target.target_of(context.scene))
        except LvsmError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        render = context.scene.render
        render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
        render.pixel_aspect_x = render.pixel_aspect_y = 1
        return {"FINISHED"}


class LVSM_OT_use_fewer_views(bpy.types.Operator):
    """Have fewer photos feed the model, spread over the scene: it takes less memory. Detail comes from all of them still"""

    bl_idname = "lvsm.use_fewer_views"
    bl_label = "Use Fewer Views"
    bl_options = {"REGISTER", "UNDO"}

    count: bpy.props.IntProperty(name="Views", default=4, min=1)

    def execute(self, context):
        context.scene.lvsm.max_model_views = self.count
        last_outcome.forget()
        return {"FINISHED"}


classes = (
    LVSM_OT_synthesize_view,
    LVSM_OT_synthesize_selected,
    LVSM_OT_camera_from_view,
    LVSM_OT_keep_result,
    LVSM_OT_use_photo_size,
    LVSM_OT_use_fewer_views,
)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def register():
    register_classes()


def unregister():
    unregister_classes()
