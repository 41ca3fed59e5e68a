"""extension_update.py ZIP: installs a newer zip, two of whose modules have NEWER, over the enabled extension."""

import atexit
import os
import sys

import bpy

PACKAGE = "bl_ext.user_default.lvsm"
zip_file = sys.argv[1]

# bpy 4.2 crashes at its end after an update of any extension with callbacks of properties, even an empty one.
atexit.register(os._exit, 0)


def test_it_begins_with_the_old_modules():
    assert not hasattr(sys.modules[f"{PACKAGE}.scene.scene_cameras"], "NEWER")


def test_an_update_takes_effect_at_once():
    bpy.ops.extensions.package_install_files(filepath=zip_file, repo="user_default", enable_on_install=True)
    assert PACKAGE in bpy.context.preferences.addons
    for name in ("scene.scene_cameras", "bundled.lvsm_engine.errors"):
        assert hasattr(sys.modules[f"{PACKAGE}.{name}"], "NEWER"), f"{name} is still the old one"


def test_the_scenes_properties_are_there_after_it():
    assert bpy.context.scene.lvsm.model == ""
