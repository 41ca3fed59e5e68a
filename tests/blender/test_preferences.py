"""The preferences."""

import sys


def test_the_engine_runs_on_the_chosen_python_else_on_the_environments(blender, tmp_path):
    blender.run("preferences.py", tmp_path / "Jos\u00e9 \u0434 a b", sys.executable)
