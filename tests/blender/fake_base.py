"""inside/fake_base_python.py as a program: a base Python, a venv and a pip that do as they are told."""

import shlex
import sys
from pathlib import Path

FAKE_BASE_PYTHON = Path(__file__).parent / "inside" / "fake_base_python.py"


def write_fake_base_python(folder: Path) -> Path:
    """A program in the folder that stands for a base Python; the head of fake_base_python.py lists what it is told."""
    program = folder / "base python"
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(FAKE_BASE_PYTHON))}"
    program.write_text(f'#!/bin/sh\nexec {command} "$0" "$@"\n')
    program.chmod(0o755)
    return program
