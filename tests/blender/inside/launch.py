"""Runs a script with the extension enabled, in Blender's Python: launch.py SCRIPT ARGUMENT...

In Blender itself, where it was enabled at the installation, after `--`. What the script does as it is run comes first,
then its functions test_..., one by one.
"""

import runpy
import sys
from pathlib import Path

import bpy  # isort: skip  # before addon_utils, which it makes importable
import addon_utils

sys.path.insert(0, str(Path(__file__).parent))
import one_by_one

MODULE = "bl_ext.user_default.lvsm"

arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
if MODULE not in bpy.context.preferences.addons:
    assert addon_utils.enable(MODULE, default_set=True) is not None, "the extension cannot be enabled"
sys.argv = arguments
one_by_one.run(runpy.run_path(arguments[0], run_name="__main__"))
