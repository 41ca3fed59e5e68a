"""An animation in Blender beside the bare engine: the same photos, cameras and files, the start of the engine in all.

    make demo
    python -m benchmarks.animation demo/demo.blend [--frames 48 --python PYTHON_WITH_BPY]

The render engine and the batch run in the bpy module, each with an engine's process of its own; the bare engine here, without
Blender and without a process between. Prints seconds, load, and each way's share of the bare engine's speed.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from .in_blender import measured

ROOT = Path(__file__).resolve().parents[1]
# Timed in a process of its own, as the others are: torch's import counts.
BARE = """
import json, sys
from pathlib import Path
from lvsm_engine.photos import save_image
from lvsm_engine.synthesizer import Synthesizer
from lvsm_engine.worker.messages import camera_from_fields, views_from_fields
folder = Path(sys.argv[1])
question = json.loads((folder / "question.json").read_text())
scene = Synthesizer.load("default").encode(views_from_fields(question["views"], {}))
for number, fields in enumerate(question["cameras"], 1):
    save_image(folder / f"bare_{number:04}.png", scene.render_detail([camera_from_fields(fields)]).images[0])
"""


@dataclass(frozen=True)
class Options:
    """Compare an animation in Blender with the bare engine."""

    blend: tyro.conf.Positional[Path]
    """With photos and a camera that moves."""
    frames: int = 48
    python: Path = ROOT / ".venv-bpy" / "5.0" / "bin" / "python"
    """A Python that has the bpy module."""


def main(options: Options) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        words = (options.blend.absolute(), scratch, options.frames)
        seconds = measured(options.python, "animation_in_blender.py", *words, resources=Path(scratch))
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", BARE, scratch], cwd=ROOT, check=True)
        bare = time.monotonic() - began
    print(f"{options.frames} frames, load {os.getloadavg()[0]:.1f}")
    for name, took in {**seconds, "bare engine": bare}.items():
        print(f"{name:20} {took:7.1f} s  {took / options.frames:5.2f} s a frame  {bare / took:4.0%} of the bare speed")


if __name__ == "__main__":
    main(tyro.cli(Options))
