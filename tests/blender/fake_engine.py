"""The fake engine of inside/fake_worker.py, as the Python that the add-on is told to start."""

import shlex
import sys
from pathlib import Path

import pytest

from .conftest import BLENDERS

# For what the bpy wheels do not have: a window, a command line.
in_programs = pytest.mark.parametrize("blender", BLENDERS, indirect=True, scope="session")

FAKE_WORKER = Path(__file__).parent / "inside" / "fake_worker.py"


def fake_environment(folder: Path, **settings: object) -> dict[str, str]:
    """LVSM_PYTHON as an executable in the folder that starts the fake, whatever module it is asked to run; and what
    the fake is told: hold=FILE, fault="die", record=FILE (see there)."""
    script = folder / "fake python"
    script.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(FAKE_WORKER))}\n")
    script.chmod(0o755)
    told = {f"LVSM_FAKE_{name.upper()}": str(value) for name, value in settings.items()}
    return {"LVSM_PYTHON": str(script), **told}
