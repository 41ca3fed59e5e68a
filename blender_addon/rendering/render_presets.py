"""Presets of the render settings: saved under a name in the user's folder, as Cycles' are, and chosen again in any file."""

from typing import ClassVar

import bpy
from bl_operators.presets import AddPresetBase
from bl_ui.utils import PresetPanel

FOLDER = "lvsm/render"  # among the presets in Blender's user scripts


class LVSM_OT_add_preset(AddPresetBase, bpy.types.Operator):
    """Save the render settings under a name, or remove those of that name"""

    bl_idname = "lvsm.add_preset"
    bl_label = "Add Render Preset"
    preset_menu = "LVSM_PT_presets"
    preset_subdir = FOLDER
    preset_values: ClassVar = [
        "bpy.context.scene.lvsm.model",
        "bpy.context.scene.lvsm.use_detail",
        "bpy.context.scene.lvsm.max_model_views",
        "bpy.context.scene.render.film_transparent",
        "bpy.context.view_layer.use_pass_z",
        "bpy.context.view_layer.use_pass_mist",
        "bpy.context.view_layer.lvsm.use_pass_confidence",
        "bpy.context.view_layer.lvsm.use_pass_nearest_photo",
    ]


class LVSM_PT_presets(PresetPanel, bpy.types.Panel):
    bl_label = "LVSM Presets"
    preset_subdir = FOLDER
    preset_operator = "script.execute_preset"
    preset_add_operator = LVSM_OT_add_preset.bl_idname


classes = (LVSM_OT_add_preset, LVSM_PT_presets)
register, unregister = bpy.utils.register_classes_factory(classes)
