"""Synthesize View: what the target camera would see, as an image. At once for scripts, in steps for a window."""

from concurrent.futures import Future, ThreadPoolExecutor

import bpy

from lvsm_engine.errors import Cancelled, LvsmError
from lvsm_engine.progress import Progress
from lvsm_engine.scene.selection import spread_views
from lvsm_engine.worker.client import Request

from . import input_views, results, scene_cameras, target
from .followed_job import FollowsJob, followed
from .last_outcome import last_outcome
from .worker_owner import worker

encoder = ThreadPoolExecutor(1, "lvsm_encoder")
"""Makes PNG files of pictures, for which a window does not wait."""


class Job:
    """One view under way. It holds a name and a number: the camera itself may be gone before the picture comes."""

    doing = "A view is being synthesized"

    def __init__(self, camera_object: bpy.types.Object, request: Request, made_of: str) -> None:
        self.camera_name, self.made_of = camera_object.name, made_of
        self.camera_uid = camera_object.session_uid
        self.request = request
        self.is_cancelled = False
        self._png: Future[bytes] | None = None

    @property
    def progress(self) -> Progress:
        return self.request.progress

    def poll(self) -> bool:
        """Go on without blocking. True when result() has something to say."""
        if self.is_cancelled:
            return True
        if not self.request.poll():
            return False
        if self._png is None:
            image = self.request.result()["images"][0]
            self._png = encoder.submit(lambda: results.encode_png(results.quantized(image)))
        return self._png.done()

    def cancel(self) -> None:
        self.is_cancelled = True
        self.request.cancel()

    def result(self) -> bytes:
        """The picture as a PNG file's bytes. Raises LvsmError."""
        if self.is_cancelled or self._png is None:
            raise Cancelled
        return self._png.result()


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


def start(context: bpy.types.Context) -> Job:
    """Send the target camera and the input views to the engine. Returns at once. Raises LvsmError."""
    last_outcome.forget()
    camera_object = target.target_camera(context.scene)
    depsgraph = context.evaluated_depsgraph_get()
    camera = scene_cameras.camera_from_blender(camera_object, depsgraph)
    made_of = target.ingredients(context.scene)
    return Job(camera_object, worker.render(context.scene, depsgraph, [camera]), made_of)


def finish(job: Job) -> bpy.types.Image:
    """Keep a job's result as an image, and behind its camera if that is still there. Raises LvsmError."""
    image = results.keep_result(job.camera_name, job.result(), job.made_of)
    camera_object = next((found for found in bpy.data.objects if found.session_uid == job.camera_uid), None)
    if camera_object is not None and camera_object.type == "CAMERA":
        results.show_as_background(camera_object.data, image)
    return image


class LVSM_OT_synthesize_view(FollowsJob[Job], bpy.types.Operator):
    """Synthesize what the target camera sees from the photos of the input views"""

    bl_idname = "lvsm.synthesize_view"
    bl_label = "Synthesize View"
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
        self._image = finish(job)
        for warning in last_outcome.warn(job.request.result()["warnings"]):
            self.report({"WARNING"}, warning)
        self.report({"INFO"}, f"Synthesized {self._image.name} in {job.request.result()['seconds']:.1f} s")

    def show(self, context) -> None:
        if not results.show_in_image_editor(context, self._image):
            results.open_image_editor(self._image)


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
        image[results.KEPT] = True
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
    """Switch input views off until a few are left, spread over the scene"""

    bl_idname = "lvsm.use_fewer_views"
    bl_label = "Use Fewer Views"
    bl_options = {"REGISTER", "UNDO"}

    count: bpy.props.IntProperty(name="Views", default=4, min=1)

    def execute(self, context):
        depsgraph = context.evaluated_depsgraph_get()
        used = [item for item in context.scene.objects if input_views.is_input_view(item)]
        try:
            kept = spread_views([scene_cameras.camera_from_blender(item, depsgraph) for item in used], self.count)
        except LvsmError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for position, item in enumerate(used):
            item.data.lvsm.use_as_input = position in kept
        last_outcome.forget()
        return {"FINISHED"}


classes = (
    LVSM_OT_synthesize_view,
    LVSM_OT_keep_result,
    LVSM_OT_use_photo_size,
    LVSM_OT_use_fewer_views,
)


def register():
    for cls in classes:
        bpy.utils.register_class(cls)


def unregister():
    for cls in reversed(classes):
        bpy.utils.unregister_class(cls)
