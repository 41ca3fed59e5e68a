"""The gallery: the pictures that were synthesized, what they were made of, and what becomes of them."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from lvsm_engine.errors import LvsmError
from lvsm_engine.whole_files import write_bytes

from ..last_outcome import refused
from ..scene import input_views, results
from .panel import SideBarPanel

SHOWN_DIGITS = 12  # of a model's sha256


def selected_result(scene: bpy.types.Scene) -> bpy.types.Image | None:
    """The result that is selected in the gallery."""
    index = scene.lvsm.active_result_index
    image = bpy.data.images[index] if 0 <= index < len(bpy.data.images) else None
    return image if results.is_picture_of_camera(image) else None


def _show_selected(settings: "input_views.LVSM_SceneSettings", context: bpy.types.Context) -> None:
    """A click in the gallery shows the picture, in an Image Editor that is open."""
    image = selected_result(settings.id_data)
    if image is not None:
        results.show_in_image_editor(context, image)


def description(image: bpy.types.Image) -> str:
    """What a result was made of, for a person."""
    if results.MODEL not in image:
        return ""
    width, height = image.size
    seconds = image[results.SECONDS]
    made = f"{width} x {height} px, frame {image[results.FRAME]}, {image[results.MODEL]}, {seconds:.1f} s a picture"
    if not image.get(results.MODEL_HASH):  # of before they were kept
        return made
    return f"{made}; sha256 {image[results.MODEL_HASH][:SHOWN_DIGITS]}, {image[results.LICENCE]}"


class NeedsSelection:
    """What operators of the gallery inherit."""

    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context):
        if selected_result(context.scene) is None:
            cls.poll_message_set("Select a picture in the list")  # type: ignore[attr-defined]  # an operator's
            return False
        return True

    def selected(self, context) -> bpy.types.Image:
        image = selected_result(context.scene)
        assert image is not None  # poll
        return image


class LVSM_OT_show_result(NeedsSelection, bpy.types.Operator):
    """Show the selected picture in an Image Editor"""

    bl_idname = "lvsm.show_result"
    bl_label = "Show Picture"

    def execute(self, context):
        results.show(context, self.selected(context))
        return {"FINISHED"}


class LVSM_OT_save_result(NeedsSelection, bpy.types.Operator, ExportHelper):
    """Save the selected picture as a PNG file"""

    bl_idname = "lvsm.save_result"
    bl_label = "Save Picture"

    filename_ext = ".png"
    filter_glob: StringProperty(default="*.png", options={"HIDDEN"})

    def invoke(self, context, event):
        self.filepath = bpy.path.clean_name(self.selected(context).name) + self.filename_ext
        return super().invoke(context, event)

    def execute(self, context):
        path = Path(bpy.path.abspath(self.filepath))
        try:
            write_bytes(path, self.selected(context).packed_file.data)
        except LvsmError as error:
            return refused(self, error)
        self.report({"INFO"}, f"Saved {path}")
        return {"FINISHED"}


class LVSM_OT_pin_result(bpy.types.Operator):
    """Keep this picture when its camera gets another one, or no longer"""

    bl_idname = "lvsm.pin_result"
    bl_label = "Pin Picture"
    bl_options = {"UNDO", "INTERNAL"}

    name: StringProperty()

    def execute(self, context):
        image = bpy.data.images.get(self.name)
        if not results.is_picture_of_camera(image):
            return {"CANCELLED"}
        results.keep(image, results.KEPT not in image)
        return {"FINISHED"}


class LVSM_OT_remove_result(NeedsSelection, bpy.types.Operator):
    """Remove the selected picture from the file"""

    bl_idname = "lvsm.remove_result"
    bl_label = "Remove Picture"

    def execute(self, context):
        bpy.data.images.remove(self.selected(context))
        return {"FINISHED"}


class LVSM_OT_purge_results(bpy.types.Operator):
    """Remove the pictures that are not kept from the file"""

    bl_idname = "lvsm.purge_results"
    bl_label = "Purge Pictures"
    bl_options = {"UNDO"}

    has_kept: BoolProperty(name="Kept Ones Too", description="Remove also the pictures that are kept")

    @classmethod
    def poll(cls, context):  # noqa: ARG003 (Blender's signature)
        if not any(map(results.is_result, bpy.data.images)):
            cls.poll_message_set("There are no pictures")
            return False
        return True

    def execute(self, context):
        gone = [image for image in bpy.data.images if results.is_result(image)]
        gone = [image for image in gone if self.has_kept or results.KEPT not in image]
        bpy.data.batch_remove(gone)
        self.report({"INFO"}, f"{len(gone)} pictures removed")
        return {"FINISHED"}


class LVSM_UL_results(bpy.types.UIList):
    """The pictures of cameras; one that is kept has a pin."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property):
        row = layout.row(align=True)
        row.prop(item, "name", text="", emboss=False, icon="IMAGE_DATA")
        icon_of_pin = "PINNED" if results.KEPT in item else "UNPINNED"
        row.operator("lvsm.pin_result", text="", icon=icon_of_pin, emboss=False).name = item.name

    def filter_items(self, context, data, property_name):
        pictures = map(results.is_picture_of_camera, data.images)
        return [self.bitflag_filter_item if shown else 0 for shown in pictures], []


class LVSM_PT_gallery(SideBarPanel, bpy.types.Panel):
    bl_label = "Pictures"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context):
        layout, scene = self.layout, context.scene
        column = layout.column()
        column.operator("lvsm.synthesize_selected", icon="OUTLINER_OB_CAMERA")
        column.operator("lvsm.camera_from_view", icon="CAMERA_DATA")
        layout.template_list("LVSM_UL_results", "", bpy.data, "images", scene.lvsm, "active_result_index", rows=3)
        image = selected_result(scene)
        if image is not None and (text := description(image)):
            layout.label(text=text)
        row = layout.row(align=True)
        row.operator("lvsm.show_result", text="Show")
        row.operator("lvsm.save_result", text="Save")
        row.operator("lvsm.remove_result", text="", icon="TRASH")
        layout.operator("lvsm.purge_results")


classes = (
    LVSM_OT_show_result,
    LVSM_OT_save_result,
    LVSM_OT_pin_result,
    LVSM_OT_remove_result,
    LVSM_OT_purge_results,
    LVSM_UL_results,
    LVSM_PT_gallery,
)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def register() -> None:
    register_classes()
    input_views.LVSM_SceneSettings.active_result_index = IntProperty(
        name="Selected Picture", update=_show_selected, options={"HIDDEN", "SKIP_SAVE"}
    )


def unregister() -> None:
    del input_views.LVSM_SceneSettings.active_result_index
    unregister_classes()
