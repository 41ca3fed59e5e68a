"""Installs a newer zip over the enabled extension: update.py ZIP, whose scene_cameras has NEWER."""

import os
import sys

import bpy

PACKAGE = "bl_ext.user_default.lvsm"

assert not hasattr(sys.modules[f"{PACKAGE}.scene_cameras"], "NEWER")
bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
assert PACKAGE in bpy.context.preferences.addons
for name in ("scene_cameras", "bundled.lvsm_engine.errors"):
    assert hasattr(sys.modules[f"{PACKAGE}.{name}"], "NEWER"), f"{name} is still the old one"
assert bpy.context.scene.lvsm.model == ""
print("update: passed", flush=True)
# bpy 4.2 crashes at its end after an update of any extension with callbacks of properties, even an empty one.
os._exit(0)
