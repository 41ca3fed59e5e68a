"""Render a folder of GLB objects into a folder of posed views, one .npz an object.

    python -m training.render --source OBJECTS --out data/views/train --python PYTHON_WITH_BPY
    python -m training.render --source OBJECTS --out data/views/val --sampling protocol --samples 64 ...

Run it again after any interruption: objects that have their file are skipped, as are those in OUT/failures.json.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from tqdm import tqdm

from . import fan_out

# The slowest of 490 objects took well under a minute at 128 px on a busy core.
SECONDS_PER_VIEW = 15.0


@dataclass(frozen=True)
class Options:
    """Render a folder of GLB objects into posed views."""

    source: Path  # Folder of .glb files.
    out: Path  # Folder for one .npz an object.
    python: Path  # A Python that has the bpy module.
    sampling: Literal["published", "varied", "protocol"] = "published"  # Where the cameras stand.
    views: int = 24  # A view count; "protocol" has its own 26.
    size: int = 128  # Pixels a side.
    samples: int = 16  # Cycles samples a pixel.
    processes: int = 2  # One thread each.
    limit: int | None = None  # Only the first objects, in the order of their names.


def main(options: Options) -> int:
    objects = sorted(options.source.glob("*.glb"))[: options.limit]
    if not objects:
        print(f"{options.source} has no .glb files: give the folder that holds them.", file=sys.stderr)
        return 2
    if subprocess.run([options.python, "-c", "import bpy"], capture_output=True).returncode != 0:
        print(f"{options.python} cannot import bpy: give a Python that has it (pip install bpy).", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    jobs = [
        fan_out.RenderJob(
            source=str(path.resolve()),
            output=str((options.out / f"{path.stem}.npz").resolve()),
            sampling=options.sampling,
            views=options.views,
            size=options.size,
            samples=options.samples,
        )
        for path in objects
    ]
    # Not resolved: a virtual environment's python is a link, and is found by the link's place.
    command = [str(options.python.absolute()), "-m", "training.render.studio"]
    with tqdm(total=len(jobs), unit="object") as bar:
        bar.update(sum(Path(job.output).exists() for job in jobs))
        seconds = options.views * SECONDS_PER_VIEW
        failures = fan_out.run(jobs, command, options.out, options.processes, seconds, bar.update)
    for failure in failures:
        print(f"left out: {failure.name}: {failure.reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
