"""Add Subject: an empty around what the photos look at, which the user moves and scales to what they are of."""

import bpy

from lvsm_engine.errors import LvsmError
from lvsm_engine.scene.subject_size import guessed_subject

from ..last_outcome import refused
from . import input_views, target

NAME = "Subject"


class LVSM_OT_add_subject(bpy.types.Operator):
    """Add an empty around what the photos look at, to be moved and scaled where that is not what they are of"""

    bl_idname = "lvsm.add_subject"
    bl_label = "Add Subject"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):  # noqa: ARG003 (Blender's signature)
        if not input_views.has_photos():
            cls.poll_message_set("Add a photo to at least one camera")
            return False
        return True

    def execute(self, context):
        scene = context.scene
        try:
            cameras = target.last_outlook.photo_cameras(scene, context.evaluated_depsgraph_get())
        except LvsmError as error:
            return refused(self, error)
        if not cameras:
            self.report({"WARNING"}, "Only another scene has cameras with photos")
            return {"CANCELLED"}
        guess = guessed_subject(list(cameras.values()))
        empty = bpy.data.objects.new(NAME, None)
        empty.empty_display_type, empty.empty_display_size = "CUBE", 1
        empty.location, empty.scale = guess.centre, [guess.half_side] * 3
        scene.collection.objects.link(empty)
        scene.lvsm.subject = empty
        context.view_layer.update()
        for item in context.view_layer.objects.selected:
            item.select_set(False)
        if empty.name in context.view_layer.objects:
            empty.select_set(True)
            context.view_layer.objects.active = empty
        return {"FINISHED"}


def register() -> None:
    bpy.utils.register_class(LVSM_OT_add_subject)


def unregister() -> None:
    bpy.utils.unregister_class(LVSM_OT_add_subject)
