"""Suggest a Photo: a camera without a photo appears where one more photo would help the target camera most."""

import bpy

from lvsm_engine.errors import LvsmError
from lvsm_engine.scene.suggestion import suggested_photo
from lvsm_engine.scene.trust import GOOD, trust

from ..last_outcome import refused
from ..rendering import synthesize
from ..scene import input_views, scene_cameras, target

NAME = "Suggested Photo"
TAG = "lvsm_suggested"
"""The custom property of a camera that was suggested. Once it has a photo it is one of the others."""


def suggested_camera(scene: bpy.types.Scene) -> bpy.types.Object:
    """The camera of the last suggestion, if it has no photo yet; else a new one in the scene."""
    for item in scene.objects:
        if item.type == "CAMERA" and TAG in item and item.data.lvsm.photo is None:
            return item
    camera_object = bpy.data.objects.new(NAME, bpy.data.cameras.new(NAME))
    camera_object[TAG] = True
    scene.collection.objects.link(camera_object)
    return camera_object


class LVSM_OT_suggest_photo(bpy.types.Operator):
    """Add a camera where one more photo would help the target camera most"""

    bl_idname = "lvsm.suggest_photo"
    bl_label = "Suggest a Photo"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        reason = synthesize.obstacle(context.scene)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context):
        scene, depsgraph = context.scene, context.evaluated_depsgraph_get()
        try:
            wanted = scene_cameras.camera_from_blender(target.target_of(scene), depsgraph)
            photos = list(target.last_outlook.photo_cameras(scene, depsgraph).values())
            subject = input_views.named_subject(scene, depsgraph)
            photo = suggested_photo(wanted, photos, subject)
        except LvsmError as error:
            return refused(self, error)
        if photo is None:
            self.report({"INFO"}, self._why_none(trust(wanted, photos, subject).level))
            return {"CANCELLED"}
        camera_object = suggested_camera(scene)
        scene_cameras.set_lens(camera_object.data, photo)
        scene_cameras.set_pose(camera_object, photo.camera_to_world)
        camera_object.data.display_size = target.target_of(scene).data.display_size
        context.view_layer.update()
        scene.lvsm.active_object_index = scene.objects.find(camera_object.name)
        after = trust(wanted, [*photos, photo], subject)
        left = "" if after.level == GOOD else f", though it {after.reasons[0]}"
        self.report({"INFO"}, f"With a photo from {camera_object.name} the target camera is trusted more{left}")
        return {"FINISHED"}

    def _why_none(self, level: str) -> str:
        if level == GOOD:
            return "The photos tell what the target camera sees: it needs no other"
        return "No photo would help: turn the target camera to what the photos show"


def register() -> None:
    bpy.utils.register_class(LVSM_OT_suggest_photo)


def unregister() -> None:
    bpy.utils.unregister_class(LVSM_OT_suggest_photo)
