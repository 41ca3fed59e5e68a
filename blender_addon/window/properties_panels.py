"""The panels of the Properties editor, for the render engine: the same settings as in the side bar, and passes."""

from typing import ClassVar

import bpy

from .. import preferences
from ..rendering import render_engine
from ..rendering.render_presets import LVSM_PT_presets
from . import panel


class PropertiesPanel:
    """In the Properties editor, for the render engine."""

    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    COMPAT_ENGINES: ClassVar = {render_engine.LVSM_RenderEngine.bl_idname}

    @classmethod
    def poll(cls, context):
        return context.scene.render.engine in cls.COMPAT_ENGINES


class LVSM_PT_render(PropertiesPanel, bpy.types.Panel):
    bl_label = "LVSM"
    bl_context = "render"

    def draw_header_preset(self, context):
        LVSM_PT_presets.draw_panel_header(self.layout)

    def draw(self, context):
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        panel.draw_settings(layout.column(), context.scene)
        _draw_told(layout, "Photos", panel.photos_in_use(context.scene))
        row = _draw_told(layout, "Device", preferences.device_label())
        if preferences.is_enabled():
            row.operator("preferences.addon_show", text="", icon="PREFERENCES").module = preferences.ADDON


def _draw_told(layout, name: str, value: str):
    """Something that is set elsewhere. Returns its row."""
    split = layout.split(factor=0.4)
    left = split.column()
    left.alignment = "RIGHT"
    left.label(text=name)
    row = split.row()
    row.label(text=value)
    return row


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
        column.prop(view_layer, "use_pass_mist", text="Mist")
        column.prop(view_layer.lvsm, "use_pass_confidence")
        column.prop(view_layer.lvsm, "use_pass_nearest_photo")


class LVSM_PT_mist(PropertiesPanel, bpy.types.Panel):
    bl_label = "Mist Pass"
    bl_context = "world"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context):
        return super().poll(context) and context.scene.world is not None

    def draw(self, context):
        self.layout.use_property_split = True
        for name in ("start", "depth", "falloff"):
            self.layout.prop(context.scene.world.mist_settings, name)


classes = (LVSM_PT_render, LVSM_PT_film, LVSM_PT_passes, LVSM_PT_mist)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def register():
    register_classes()


def unregister():
    unregister_classes()
