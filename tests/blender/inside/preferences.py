"""Preferences: the Python that runs the engine, chosen by hand or by the environment."""

import os
import sys
from pathlib import Path

import bpy
from bl_ext.user_default.lvsm import engine, preferences
from bl_ext.user_default.lvsm.bundled.lvsm_engine.errors import CHOOSE_PYTHON, WorkerError

folder = Path(sys.argv[1])
(folder / "bin").mkdir(parents=True)
python = folder / "bin" / "python"
python.symlink_to(Path(sys.argv[2]))

os.environ.pop("LVSM_PYTHON", None)
try:
    preferences.python_path()
except WorkerError as error:
    assert error.remedy == CHOOSE_PYTHON
    engine.keep_failure(error)
else:
    raise AssertionError("there is no Python to run the engine")
os.environ["LVSM_PYTHON"] = "from the environment"
assert preferences.python_path() == "from the environment"

# A virtual environment's folder stands for its Python, which stays the link that it is.
for chosen in (folder, python):
    assert bpy.ops.lvsm.choose_python(filepath=str(chosen)) == {"FINISHED"}
    assert preferences.python_path() == str(python)
assert engine.failure is None, "the panel still asks for what was done"
try:
    bpy.ops.lvsm.choose_python(filepath=str(folder / "absent"))
except RuntimeError as error:
    assert "absent is no program" in str(error)
else:
    raise AssertionError("a file that does not exist was chosen")
assert preferences.python_path() == str(python)
assert preferences.device() == "auto"
