"""Installs the extension into a bpy wheel: install.py ZIP"""

import sys

import bpy

bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
assert "bl_ext.user_default.lvsm" in bpy.context.preferences.addons, "the extension was not enabled"
