"""Throughput of training.render beside a bare loop in bpy: the same objects, the same settings, in one run.

    python -m benchmarks.render_throughput --source OBJECTS --python PYTHON_WITH_BPY [--size 256 --objects 8 --rounds 2]

The bare loop is a studio that is given all its jobs at once and writes its files itself: no Ray, no time limits, no
bytes on their way. The arms take turns, the order swaps each round; start-up (bpy, Ray) counts in neither. Each arm
has as many processes, and prints objects a second and their ratio. Aim: 85 % of the bare loop.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import tyro

from training.render.fan_out import Crew, render_all
from training.render.job import RenderJob, time_limit
from training.render.ray_session import Places, ray_session
from training.render.views_folder import ViewsFolder

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Options:
    """Compare the fan-out with a bare loop."""

    source: Path  # Folder of .glb files.
    python: Path  # A Python that has the bpy module.
    objects: int = 8  # In each arm and round, the same ones; the first of each process is warm-up and not counted.
    rounds: int = 2
    views: int = 8
    size: int = 256
    samples: int = 16
    processes: int = 1


def main(options: Options) -> None:
    command = (str(options.python.absolute()), "-m", "training.render.studio", "--device", "cpu")
    seconds: dict[str, list[float]] = {"bare": [], "fan-out": []}
    with tempfile.TemporaryDirectory() as scratch, ray_session(None, options.processes):
        for number in range(options.rounds):
            for arm in ("bare", "fan-out") if number % 2 == 0 else ("fan-out", "bare"):
                jobs = _jobs(options, Path(scratch) / f"{arm} {number}")
                took = _bare(jobs, command, options) if arm == "bare" else _fan_out(jobs, command, options)
                seconds[arm].append(took)
                print(f"round {number} {arm:8} {took:7.2f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    counted = options.rounds * (options.objects - options.processes)
    speeds = {arm: counted / sum(took) for arm, took in seconds.items()}
    print(", ".join(f"{arm} {speed:.3f} objects/s" for arm, speed in speeds.items()))
    print(f"fan-out / bare = {speeds['fan-out'] / speeds['bare']:.1%}")


def _jobs(options: Options, out: Path) -> list[RenderJob]:
    out.mkdir()
    limit = time_limit(options.views, options.size, options.samples)
    job = RenderJob("", "", "", "published", options.views, options.size, options.samples, False, limit)
    paths = sorted(options.source.glob("*.glb"))[: options.objects]
    return [
        replace(job, name=path.stem, source=str(path.absolute()), output=str(out / f"{path.stem}.npz"))
        for path in paths
    ]


def _bare(jobs: list[RenderJob], command: tuple[str, ...], options: Options) -> float:
    """Seconds from the first objects' end to the last one's."""
    studios = [_studio(command) for _ in range(options.processes)]
    for number, studio in enumerate(studios):
        assert studio.stdin is not None
        studio.stdin.writelines(json.dumps(asdict(job)) + "\n" for job in jobs[number :: options.processes])
        studio.stdin.flush()
    started = 0.0
    for number, studio in enumerate(studios):
        assert studio.stdout is not None
        for count in range(len(jobs[number :: options.processes])):
            while "rejected" not in json.loads(studio.stdout.readline()):
                pass
            if number == count == 0:
                started = time.monotonic()
    took = time.monotonic() - started
    for studio in studios:
        assert studio.stdin is not None
        studio.stdin.close()
        studio.wait()
    return took


def _studio(command: tuple[str, ...]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)


def _fan_out(jobs: list[RenderJob], command: tuple[str, ...], options: Options) -> float:
    """Seconds from the first objects' arrival to the last one's."""
    arrivals: list[float] = []
    with ViewsFolder(Path(jobs[0].output).parent) as folder:
        places = Places(options.processes, cpus=1, gpus=0)
        render_all(jobs, Crew(command, places), folder, lambda: arrivals.append(time.monotonic()))
        for one in folder.left_out:
            print(f"left out: {one}", file=sys.stderr)
    return arrivals[-1] - arrivals[options.processes - 1]


if __name__ == "__main__":
    main(tyro.cli(Options))
