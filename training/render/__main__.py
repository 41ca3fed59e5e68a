"""Render a folder of GLB objects into a folder of posed views, one .npz an object.

    python -m training.render --source OBJECTS --out data/views/train --python PYTHON_WITH_BPY
    python -m training.render --source OBJECTS --out data/views/robust --sampling robust ...
    python -m training.render --source OBJECTS --out data/views/val --sampling protocol --samples 64 ...

On a cluster (each node has this checkout and PYTHON_WITH_BPY at the same paths; objects and views are here only):

    ray start --head                    # on one node; then on the others what it says
    python -m training.render --address auto --source OBJECTS --out data/views/train --python PYTHON_WITH_BPY

Run it again after any interruption: objects that have their file are skipped, as are those in OUT/left_out.jsonl,
which names what was left out, the stage, the reason and the studio's last words. To try them again, delete that file.
"""

import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from lvsm_engine.errors import LvsmError

from ..exit_status import exit_status
from .devices import Device
from .fan_out import Crew, render_all
from .job import RenderJob, time_limit
from .photographable import photographable
from .ray_session import plan_places, ray_session
from .views_folder import ViewsFolder


@dataclass(frozen=True)
class Options:
    """Render a folder of GLB objects into posed views."""

    source: Path
    """Folder of .glb files."""
    out: Path
    """Folder for one .npz an object."""
    python: Path
    """A Python that has the bpy module."""
    sampling: Literal["published", "robust", "protocol"] = "published"
    """Where the cameras stand, and in what light."""
    views: int = 32
    """A view count; "protocol" has its own."""
    field_of_view: tuple[float, float] | None = None
    """Horizontal, degrees, drawn between these; else the sampling's."""
    size: int = 512
    """Pixels a side."""
    samples: int = 16
    """Cycles samples a pixel; 16 to 32."""
    denoise: bool = False
    """On a CPU it takes longer than four times the samples."""
    device: Device = "auto"
    """OptiX or CUDA where there is a card, else the CPU."""
    processes: int | None = None
    """Studios at once; else one for each CPU. On a card they share it."""
    address: str | None = None
    """Of a Ray cluster ("auto", HOST:6379); else Ray is started here, on loopback."""
    seconds: float | None = None
    """An object's time limit; else ten times what one core of 2020 takes."""
    limit: int | None = None
    """Only the first objects, in the order of their names."""


class RenderError(LvsmError):
    """What is asked for cannot be rendered."""


def main(options: Options) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return exit_status(lambda: render(options))


def render(options: Options) -> None:
    """Render what is left to do, and tell what was left out for good. Raises LvsmError."""
    objects = _objects(options)
    _check(options)
    with ViewsFolder(options.out) as folder:
        jobs = [_job(options, path) for path in objects]
        _render(options, [job for job in jobs if job.name not in folder], len(jobs), folder)
        for one in folder.left_out:
            print(f"left out: {one.name}: {one.stage}: {one.reason}", file=sys.stderr)


def _objects(options: Options) -> list[Path]:
    objects = sorted(options.source.glob("*.glb"))[: options.limit]
    if not objects:
        raise RenderError(f"{options.source} has no .glb files: give the folder that holds them.")
    return objects


def _check(options: Options) -> None:
    """Raises RenderError for options that cannot be, and for a Python without bpy."""
    if options.field_of_view is not None:
        low, high = options.field_of_view
        if options.sampling == "protocol" or not 1 <= low <= high <= 170:
            raise RenderError(
                "--field-of-view takes two angles between 1 and 170 degrees, the lesser one first, and not with"
                " --sampling protocol, which has its own."
            )
    try:
        has_bpy = subprocess.run([options.python, "-c", "import bpy"], capture_output=True).returncode == 0
    except OSError:
        has_bpy = False
    if not has_bpy:
        raise RenderError(f"{options.python} cannot import bpy: give a Python that has it (pip install bpy).")


def _render(options: Options, jobs: Sequence[RenderJob], total: int, folder: ViewsFolder) -> None:
    """Render what is left of `total` objects."""
    if not jobs:
        return
    # Not resolved: a virtual environment's python is a link, and is found by the link's place.
    command = (str(options.python.absolute()), "-m", "training.render.studio", "--device", options.device)
    with ray_session(options.address, options.processes):
        import ray

        resources = ray.cluster_resources()
        places = plan_places(options.processes, options.device, resources["CPU"], resources.get("GPU", 0))
        with logging_redirect_tqdm(), tqdm(total=total, initial=total - len(jobs), unit="object") as bar:
            render_all(jobs, Crew(command, places, prepared=photographable), folder, bar.update)


def _job(options: Options, path: Path) -> RenderJob:
    return RenderJob(
        name=path.stem,
        source=str(path.resolve()),
        output=str((options.out / f"{path.stem}.npz").resolve()),
        sampling=options.sampling,
        views=options.views,
        size=options.size,
        samples=options.samples,
        denoise=options.denoise,
        field_of_view=options.field_of_view,
        seconds=options.seconds or time_limit(options.views, options.size, options.samples),
    )


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
