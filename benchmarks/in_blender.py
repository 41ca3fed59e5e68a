"""A script that measures inside Blender, and what it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path


def measured(python: Path, script: str, *words: object, resources: Path, **environment: str) -> dict[str, float]:
    """The JSON object that a script beside this file prints, run by a Python that has the bpy module.

    words: its arguments. resources: an empty folder for Blender's settings. The engine's Python is this one.
    """
    command = [str(word) for word in (python.absolute(), Path(__file__).with_name(script), *words)]
    settings = {"BLENDER_USER_RESOURCES": str(resources), "LVSM_PYTHON": sys.executable, **environment}
    done = subprocess.run(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True, check=True)
    return next(json.loads(line) for line in reversed(done.stdout.splitlines()) if line.startswith("{"))
