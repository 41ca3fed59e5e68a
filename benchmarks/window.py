"""How long the add-on keeps Blender's window waiting, with many cameras that each have a large photo.

    python -m benchmarks.window [--blender blender] [--photos 200 --width 4000 --height 3000]

Blender opens a window, imports the photos, and draws the tab while the view, the target camera and the list are moved about and
the engine is asked. Prints the longest that each of the add-on's functions took that Blender itself called, the slowest first.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from lvsm_engine.photos import save_image
from lvsm_engine.scene.camera import View, camera_of
from lvsm_engine.scene.captures import Capture, write_transforms

SHOWN = 12  # lines
FORWARD, DOWN = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])


@dataclass(frozen=True)
class Options:
    """Measure how long the add-on keeps Blender's window waiting."""

    blender: str = "blender"
    """The command that starts Blender, with options of its own where it needs any."""
    photos: int = 200
    width: int = 4000
    height: int = 3000


def main(options: Options) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_capture(options, folder)
        script = Path(__file__).with_name("window_in_blender.py")
        command = [*shlex.split(options.blender), "--python-exit-code", "1", "--python", str(script), "--", scratch]
        environment = {**os.environ, "BLENDER_USER_RESOURCES": scratch, "LVSM_PYTHON": sys.executable}
        subprocess.run(command, env=environment, check=True)
        waits = json.loads((folder / "waits.json").read_text())
    print(f"{options.photos} photos of {options.width} x {options.height} pixels, load {os.getloadavg()[0]:.1f}")
    for name, (milliseconds, calls) in sorted(waits.items(), key=lambda entry: -entry[1][0])[:SHOWN]:
        print(f"{milliseconds:8.1f} ms  {calls:6} calls  {name}")


def _write_capture(options: Options, folder: Path) -> None:
    """Photos along a wall, each its own file of one picture's bytes."""
    rows, columns = np.mgrid[: options.height, : options.width] // 100
    picture = np.stack([rows * 7 % 256, columns * 5 % 256, (rows + columns) * 3 % 256], axis=-1).astype(np.uint8)
    first = folder / "photo_000.jpg"
    save_image(first, picture)
    views = []
    for number in range(options.photos):
        photo = folder / f"photo_{number:03}.jpg"
        photo.write_bytes(first.read_bytes())
        pose = np.eye(4)
        position = np.array([number / options.photos * 4 - 2, -4.0, 0.0])
        pose[:3] = np.stack([np.cross(DOWN, FORWARD), DOWN, FORWARD, position], axis=1)
        lens = np.array([options.width, options.width, options.width / 2, options.height / 2], dtype=np.float64)
        views.append(View(camera_of(pose, lens, options.width, options.height), photo, photo.name))
    write_transforms(Capture("wall", tuple(views)), folder / "transforms.json")


if __name__ == "__main__":
    main(tyro.cli(Options))
