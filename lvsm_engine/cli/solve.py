"""lvsm solve: the cameras of plain photos."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from .terminal import complain, progress_bar, say


@dataclass
class Solve:
    """Find where a folder's photos were taken from, and write a COLMAP model beside them, which all commands read."""

    folder: tyro.conf.Positional[Path]
    """The photos, or what holds them in a folder "images"."""

    def run(self) -> int:
        """Raises CaptureError, OutputError."""
        from ..camera_solver import solve_cameras

        with progress_bar() as follow:
            solved = solve_cameras(self.folder, follow)
        for warning in solved.warnings:
            complain(f"warning: {warning}")
        say(f"{solved.model}: {len(solved.placed)} photos placed")
        return 0
