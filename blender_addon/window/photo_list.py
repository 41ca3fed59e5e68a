"""The list of the scene's cameras: which photos are used, which the target is made from, and what each is worth to it."""

from collections.abc import Iterator

import bpy
from bpy.props import EnumProperty, StringProperty

from ..rendering import synthesize
from ..scene import input_views, target
from ..scene.camera_list import camera_list, places
from .panel import SideBarPanel, photos_in_use
from .thumbnails import thumbnails

THUMBNAIL_LINES = 6  # of the panel, that the selected photo is high
LAST = float("inf")  # the rank of what has no number to be sorted by

ORDERS = [
    ("NAME", "Name", "By the cameras' names"),
    ("ANGLE", "Angle", "Those first that see the subject most as the target camera does"),
    ("PSNR", "PSNR", "Those first that Check Capture found worst"),
]
SWITCHES: dict[str, tuple[str, str]] = {
    "ALL": ("All", "Use all photos"),
    "NONE": ("None", "Use no photo"),
    "INVERT": ("Invert", "Use those that are not used"),
    "USED": (
        "Used",
        "Use only those that the target camera's picture is made from, of those that are switched on",
    ),
}


def outlook_of(context: bpy.types.Context) -> target.Outlook:
    """What the photos can tell of the target; of nothing where no picture can be made."""
    scene = context.scene
    if target.target_camera(scene) is None or not input_views.has_photos():
        return target.last_outlook.forget()
    return target.last_outlook.now(scene, context.evaluated_depsgraph_get(), target.ingredients(scene))


def ranks(scene: bpy.types.Scene, outlook: target.Outlook, order: str) -> list[float]:
    """What each of the scene's objects is sorted by, the smallest first; what is no camera comes last."""
    found = [LAST] * len(camera_list.of(scene).is_camera)
    cameras = list(_numbered(scene))
    if order == "NAME":
        cameras.sort(key=lambda each: each[1].name.casefold())
    for place, (number, item) in enumerate(cameras):
        checked = item.data.lvsm.checked
        psnr = checked.psnr if checked.made_of else LAST
        found[number] = {"NAME": float(place), "ANGLE": outlook.angles.get(item.name, LAST), "PSNR": psnr}[order]
    return found


def _numbered(scene: bpy.types.Scene) -> Iterator[tuple[int, bpy.types.Object]]:
    """The cameras, each with its position among the scene's objects."""
    cameras = camera_list.of(scene)
    numbers = (number for number, is_camera in enumerate(cameras.is_camera) if is_camera)
    return zip(numbers, cameras.objects, strict=True)


class LVSM_UL_input_views(bpy.types.UIList):
    """The scene's cameras: which of them have a photo, which photos are used, and which for the target."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property):
        camera, outlook = item.data.lvsm, target.last_outlook.shown
        row = layout.row(align=True)
        row.active = camera.photo is not None
        box = row.row()
        box.enabled = camera.photo is not None
        box.prop(camera, "use_as_input", text="")
        row.label(text="", icon=_mark(item.name, outlook))
        row.label(text="", icon_value=thumbnails.icon_of(camera.photo))
        row.prop(item, "name", text="", emboss=False)
        facts = row.row()
        facts.alignment = "RIGHT"
        facts.label(text=_facts(item, outlook))
        row.operator("lvsm.look_through", text="", icon="HIDE_OFF", emboss=False).camera_name = item.name

    def filter_items(self, context, data, property_name):
        flags = [self.bitflag_filter_item if shown else 0 for shown in camera_list.of(data).is_camera]
        if self.filter_name:
            for number, item in _numbered(data):
                if self.filter_name.casefold() not in item.name.casefold():
                    flags[number] = 0
        return flags, places(ranks(data, target.last_outlook.shown, data.lvsm.photo_order))


def _mark(name: str, outlook: target.Outlook) -> str:
    if name in outlook.for_detail:
        return "RADIOBUT_ON"
    return "RADIOBUT_OFF" if name in outlook.for_model else "BLANK1"


def _facts(camera_object: bpy.types.Object, outlook: target.Outlook) -> str:
    """What to say of a photo beside its camera's name, which an imported camera has from its photo."""
    settings, angle = camera_object.data.lvsm, outlook.angles.get(camera_object.name)
    if settings.photo is None:
        return "No photo"
    parts = [settings.photo.name] if settings.photo.name != camera_object.name else []
    if angle is not None:
        parts.append(f"{angle:.0f}\N{DEGREE SIGN}")
    if settings.checked.made_of:
        parts.append(f"{settings.checked.psnr:.1f} dB")
    return "  ".join(parts)


class LVSM_PT_input_views(SideBarPanel, bpy.types.Panel):
    bl_label = "Input Views"
    bl_order = 1

    def draw(self, context):
        layout, scene = self.layout, context.scene
        layout.label(text=f"Photos in use: {photos_in_use(scene)}")
        outlook = outlook_of(context)
        layout.row().prop(scene.lvsm, "photo_order", expand=True)
        layout.template_list("LVSM_UL_input_views", "", scene, "objects", scene.lvsm, "active_object_index", rows=4)
        row = layout.row(align=True)
        for action, (label, _) in SWITCHES.items():
            row.operator("lvsm.switch_photos", text=label).action = action
        if outlook.for_model:
            row = layout.row()
            row.active = False
            if outlook.for_detail:
                row.label(text=f"Detail: {len(outlook.for_detail)}", icon="RADIOBUT_ON")
            row.label(text=f"Model: {len(outlook.for_model)}", icon="RADIOBUT_OFF")
        selected = input_views.selected_camera(scene)
        if selected is not None:
            shown = thumbnails.icon_of(selected.data.lvsm.photo)
            if shown:
                layout.template_icon(shown, scale=THUMBNAIL_LINES)
            layout.template_ID(selected.data.lvsm, "photo", open="image.open", text="Photo")
            layout.template_ID(selected.data.lvsm, "mask", open="image.open", text="Mask")
        row = layout.row(align=True)
        row.prop(scene.lvsm, "subject")
        if input_views.subject_empty(scene) is None:
            row.operator("lvsm.add_subject", text="", icon="ADD")
        row = layout.row(align=True)
        row.operator("lvsm.import_capture", icon="IMPORT")
        row.operator("lvsm.solve_cameras")


class LVSM_OT_switch_photos(bpy.types.Operator):
    """Switch the photos on and off"""

    bl_idname = "lvsm.switch_photos"
    bl_label = "Switch Photos"
    bl_options = {"REGISTER", "UNDO"}

    action: EnumProperty(name="Action", items=[(name, *told) for name, told in SWITCHES.items()])

    @classmethod
    def description(cls, context, properties):  # noqa: ARG003 (Blender's signature)
        return SWITCHES[properties.action][1]

    def execute(self, context):
        used = outlook_of(context).used
        if self.action == "USED" and not used:
            self.report({"WARNING"}, synthesize.obstacle(context.scene) or "The target camera uses no photo")
            return {"CANCELLED"}
        for item in context.scene.objects:
            if item.type == "CAMERA" and item.data.lvsm.photo is not None:
                inverted = not item.data.lvsm.use_as_input
                wanted = {"ALL": True, "NONE": False, "INVERT": inverted, "USED": item.name in used}
                item.data.lvsm.use_as_input = wanted[self.action]
        return {"FINISHED"}


class LVSM_OT_look_through(bpy.types.Operator):
    """Select this camera and look through it, or leave it again; the scene's camera stays what it is"""

    bl_idname = "lvsm.look_through"
    bl_label = "Look Through Camera"
    bl_options = {"UNDO"}

    camera_name: StringProperty(name="Camera", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context):
        if context.space_data is None or context.space_data.type != "VIEW_3D":
            cls.poll_message_set("Only a 3D view looks through cameras")
            return False
        return True

    def execute(self, context):
        scene, space = context.scene, context.space_data
        number = scene.objects.find(self.camera_name)
        if number < 0 or scene.objects[number].type != "CAMERA":
            self.report({"ERROR"}, f"The scene has no camera {self.camera_name}")
            return {"CANCELLED"}
        camera_object = scene.objects[number]
        scene.lvsm.active_object_index = number
        is_looked_through = space.region_3d.view_perspective == "CAMERA" and space.camera == camera_object
        space.use_local_camera = not is_looked_through and camera_object != scene.camera
        if not is_looked_through:
            space.camera = camera_object
        space.region_3d.view_perspective = "PERSP" if is_looked_through else "CAMERA"
        return {"FINISHED"}


classes = (LVSM_UL_input_views, LVSM_PT_input_views, LVSM_OT_switch_photos, LVSM_OT_look_through)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def register() -> None:
    register_classes()
    input_views.LVSM_SceneSettings.photo_order = EnumProperty(name="Sort By", items=ORDERS)


def unregister() -> None:
    del input_views.LVSM_SceneSettings.photo_order
    unregister_classes()
