"""lvsm bench: how long a model takes here."""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..scene.camera import Camera, View
from ..worker.client import Client
from .terminal import say

ROUNDS = 10
PYTHONPATH = Path(__file__).resolve().parents[2]

Result = TypeVar("Result")


@dataclass
class Bench:
    """Time a model: load, encode, a view; and what a worker process adds to it."""

    model: str = "default"
    """A model's file, or a known one by its name (lvsm models)."""
    views: int = 4
    """Input views."""
    device: str = "auto"
    """auto, cuda or cpu."""

    def run(self) -> int:
        """Raises CheckpointError, DeviceError, WorkerError."""
        from ..model.checkpoint import find_model_file
        from ..synthesizer import Synthesizer

        *cameras, between = ring_of_cameras(self.views)
        views = [grey_view(camera) for camera in cameras]
        seconds_to_load, synthesizer = timed(lambda: Synthesizer.load(self.model, self.device))
        seconds_to_encode = median_seconds(lambda: synthesizer.encode(views))
        scene = synthesizer.encode(views)
        seconds_to_render = median_seconds(lambda: scene.render([between]))
        name = find_model_file(self.model).name
        say(f"{name}, {synthesizer.device}, {synthesizer.precision}, {self.views} input views")
        say(f"load    {1000 * seconds_to_load:9.1f} ms")
        say(f"encode  {1000 * seconds_to_encode:9.1f} ms (median of {ROUNDS})")
        say(f"view    {1000 * seconds_to_render:9.1f} ms (median of {ROUNDS})")
        self._time_worker(views, between)
        return 0

    def _time_worker(self, views: Sequence[View], camera: Camera) -> None:
        with tempfile.TemporaryDirectory() as folder:
            client = Client(sys.executable, PYTHONPATH, Path(folder) / "log.txt", self.device)
            first, _ = timed(lambda: client.render(self.model, views, [camera]).wait())
            later = median_seconds(lambda: client.render(self.model, views, [camera]).wait())
            client.stop()
        say(f"worker  {1000 * first:9.1f} ms to the first view, {1000 * later:.1f} ms to each later one")


def ring_of_cameras(count: int) -> list[Camera]:
    """`count` cameras around the origin, and one between two of them."""

    def camera(angle: float) -> Camera:
        forward = -np.array([np.cos(angle), np.sin(angle), 0.0])
        right = np.array([-np.sin(angle), np.cos(angle), 0.0])
        pose = np.eye(4)
        pose[:3] = np.stack([right, np.cross(forward, right), forward, -2 * forward], axis=1)
        return Camera(pose, 280, 280, 128, 128, 256, 256)

    return [camera(angle) for angle in (*(2 * np.pi * np.arange(count) / count), 0.3)]


def grey_view(camera: Camera) -> View:
    """A camera with a grey photo."""
    return View(camera, np.full((camera.height, camera.width, 3), 128, np.uint8), "grey")


def median_seconds(work: Callable[[], object]) -> float:
    """Of some rounds of the work."""
    return statistics.median(timed(work)[0] for _ in range(ROUNDS))


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds, and the work's result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result
