import sys

import bpy  # isort: skip  # before addon_utils, which it makes importable
import addon_utils

MODULE = "bl_ext.user_default.lvsm"

assert bpy.types.Scene.bl_rna.properties.get("lvsm") is not None
assert "lvsm_engine" not in sys.modules, "the engine is a top-level module"
assert addon_utils._extensions_warnings_get().get(MODULE) is None
assert not {"torch", "PIL", "cv2", "pycolmap"} & set(sys.modules)

for _ in range(2):
    addon_utils.disable(MODULE, default_set=False)
    assert bpy.types.Scene.bl_rna.properties.get("lvsm") is None
    assert bpy.types.Camera.bl_rna.properties.get("lvsm") is None
    assert not [name for name in dir(bpy.types) if name.startswith("LVSM_")]
    assert addon_utils.enable(MODULE, default_set=False) is not None
    assert bpy.types.Scene.bl_rna.properties.get("lvsm") is not None
