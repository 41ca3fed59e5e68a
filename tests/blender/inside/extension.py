"""The extension as it is enabled, disabled and enabled again."""

import sys

import bpy  # isort: skip  # before addon_utils, which it makes importable
import addon_utils

MODULE = "bl_ext.user_default.lvsm"


def has_properties(kind):
    return kind.bl_rna.properties.get("lvsm") is not None


def test_it_is_enabled_without_a_warning():
    assert has_properties(bpy.types.Scene) and has_properties(bpy.types.Camera)
    assert addon_utils._extensions_warnings_get().get(MODULE) is None


def test_the_engine_is_no_top_level_module_and_its_libraries_are_not_loaded():
    assert "lvsm_engine" not in sys.modules
    assert not {"torch", "PIL", "cv2", "pycolmap"} & set(sys.modules)


def test_disabled_it_is_gone_without_a_trace_and_comes_back_as_often_as_one_likes():
    for _ in range(2):
        addon_utils.disable(MODULE, default_set=False)
        assert not has_properties(bpy.types.Scene) and not has_properties(bpy.types.Camera)
        assert not [name for name in dir(bpy.types) if name.startswith("LVSM_")]
        assert addon_utils.enable(MODULE, default_set=False) is not None
        assert has_properties(bpy.types.Scene)
