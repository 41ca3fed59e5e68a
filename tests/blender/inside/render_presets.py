"""Presets of the render settings: saved, chosen in another file, removed."""

import sys
from pathlib import Path

import bpy
import stage

folder = Path(sys.argv[1])
presets = stage.addon("rendering.render_presets")


def files():
    places = bpy.utils.preset_paths(presets.FOLDER)
    return [path for place in places for path in Path(place).glob("*.py") if path.stem.casefold() == "quick"]


def test_a_preset_brings_all_settings_into_another_file():
    scene = stage.build(folder)
    scene.lvsm.model, scene.lvsm.use_detail, scene.lvsm.max_model_views = "lact-object-256", False, 3
    scene.render.film_transparent = bpy.context.view_layer.use_pass_z = True
    bpy.context.view_layer.lvsm.use_pass_nearest_photo = True
    assert bpy.ops.lvsm.add_preset(name="Quick") == {"FINISHED"}
    (path,) = files()
    scene = stage.build(folder)
    assert scene.lvsm.use_detail and not scene.lvsm.model
    assert bpy.ops.script.execute_preset(filepath=str(path), menu_idname="LVSM_PT_presets") == {"FINISHED"}
    assert (scene.lvsm.model, scene.lvsm.use_detail, scene.lvsm.max_model_views) == ("lact-object-256", False, 3)
    assert scene.render.film_transparent and bpy.context.view_layer.use_pass_z
    assert bpy.context.view_layer.lvsm.use_pass_nearest_photo and not bpy.context.view_layer.use_pass_mist


def test_a_preset_is_removed_by_its_name():
    stage.build(folder)
    bpy.ops.lvsm.add_preset(name="Quick")
    assert files()
    bpy.ops.lvsm.add_preset(name="Quick", remove_name=True)
    assert not files()
