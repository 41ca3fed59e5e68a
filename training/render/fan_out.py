"""Many objects over many studios, by Ray: every object's views arrive exactly once, whatever dies.

Each worker (a Ray actor) owns one studio process. It gets a job with the bytes of the GLB and gives back the bytes of
the .npz, so that a cluster needs no common disk; nodes need this package and the studio's Python at the same paths.
A worker has one object in hand, no more: what is in flight is bounded by the number of workers, and a worker or node
that dies costs one more run of that object. Only this process writes the results.

Knows nothing of Blender. Ray must be initialised (ray_session).
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvsm_engine.errors import LvsmError

from ..left_out import LeftOut
from .job import RenderJob
from .ray_session import Places
from .rejection import RejectedError
from .studio_process import StudioError, StudioProcess
from .views_folder import ViewsFolder

# Blender's memory creeps up with every imported object.
OBJECTS_PER_PROCESS = 50
MAX_TRIES = 2  # Studios that may fail at an object, the second a fresh one.
MAX_LOSSES = 3  # Workers that may die with an object in hand: mostly not its fault, but memory may be.
MAX_FAILED_STARTS = 3  # In a row; then a worker's place is given up.
SECONDS_OF_PATIENCE = 60.0
SECONDS_TO_CLOSE = 10.0

_log = logging.getLogger(__name__)


class FanOutError(LvsmError):
    """No studio can be started, so that nothing can be rendered."""


@dataclass(frozen=True, slots=True)
class Crew:
    """Who renders. command: starts a studio, as studio_process asks for. objects_per_process: then it is renewed.

    prepared: makes of an object's file what a studio gets; it raises RejectedError for one that no studio can use.
    """

    command: tuple[str, ...]
    places: Places
    objects_per_process: int = OBJECTS_PER_PROCESS
    prepared: Callable[[bytes], bytes] = bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker says of an object: its views (an .npz), or why there are none and whether to try again."""

    views: bytes = b""
    left_out: LeftOut | None = None
    is_final: bool = True


class Worker:
    """What runs on a node, as a Ray actor: one studio at a time."""

    def __init__(
        self, command: Sequence[str], objects_per_process: int, prepared: Callable[[bytes], bytes] = bytes
    ) -> None:
        self._command, self._objects_per_process, self._prepared = command, objects_per_process, prepared
        self._studio: StudioProcess | None = None

    def start(self) -> str:
        """Start the studio, and return what it says of itself. Raises StudioStartError."""
        if self._studio is None:
            self._studio = StudioProcess(self._command)
        return self._studio.description

    def render(self, job: RenderJob, glb: bytes) -> Outcome:
        """Render an object; after one that the studio died of, in a new studio. Raises StudioStartError."""
        try:
            glb = self._prepared(glb)
        except RejectedError as error:
            return _no_views(job, "read", str(error))
        if self._studio is not None and self._studio.jobs >= self._objects_per_process:
            self.close()
        self.start()
        assert self._studio is not None
        try:
            return Outcome(views=self._studio.render(job, glb))
        except RejectedError as error:
            return _no_views(job, self._studio.stage, str(error))
        except StudioError as error:
            self.close()
            return Outcome(
                left_out=LeftOut(name=job.name, stage=error.stage, reason=error.reason, stderr=error.stderr),
                is_final=False,
            )

    def close(self) -> None:
        """End the studio, if there is one."""
        if self._studio is not None:
            self._studio.close()
            self._studio = None


@dataclass(slots=True)
class _Order:
    """A job on its way, and what went wrong with it."""

    job: RenderJob
    tries: int = 0
    losses: int = 0


@dataclass(slots=True)
class _Place:
    """Where a worker is: starting, at work on an order, or idle."""

    actor: Any = None
    order: _Order | None = None
    failed_starts: int = 0


def render_all(
    jobs: Sequence[RenderJob], crew: Crew, folder: ViewsFolder, on_done: Callable[[], object] = lambda: None
) -> None:
    """Render all objects that `folder` does not have yet; each ends there, as a file or in the list of left-out objects.

    An object that kills its studio or exceeds its time is tried once more in a fresh process, one that is rejected is
    not. `on_done` is called after each object. Raises FanOutError where no studio can be started.
    """
    missing = [job for job in jobs if job.name not in folder]
    if missing:
        _FanOut(missing, crew, folder, on_done).run()


class _FanOut:
    def __init__(
        self, jobs: Sequence[RenderJob], crew: Crew, folder: ViewsFolder, on_done: Callable[[], object]
    ) -> None:
        import ray  # Here, since ray_session sets what it reads at its import.

        self._ray = ray
        places = crew.places
        self._actors = ray.remote(Worker).options(num_cpus=places.cpus, num_gpus=places.gpus, max_restarts=0)
        self._crew, self._folder, self._on_done = crew, folder, on_done
        self._queue = deque(_Order(job) for job in jobs)
        self._left = len(jobs)
        self._places = [_Place() for _ in range(min(places.studios, len(jobs)))]
        self._idle: list[_Place] = []
        self._pending: dict[Any, _Place] = {}  # What is awaited of whom.
        self._described = False

    def run(self) -> None:
        try:
            for place in self._places:
                self._hire(place)
            while self._left:
                ready, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=SECONDS_OF_PATIENCE)
                for reference in ready:
                    self._take(reference)
                if not ready and not any(place.order for place in self._pending.values()):
                    _log.warning("no studio has started for %g s: Ray has no free place for one.", SECONDS_OF_PATIENCE)
            closed = [place.actor.close.remote() for place in self._idle]
            self._ray.wait(closed, num_returns=len(closed), timeout=SECONDS_TO_CLOSE)
        finally:
            for place in self._places:
                if place.actor is not None:
                    self._ray.kill(place.actor)

    def _hire(self, place: _Place) -> None:
        place.actor = self._actors.remote(self._crew.command, self._crew.objects_per_process, self._crew.prepared)
        self._pending[place.actor.start.remote()] = place

    def _take(self, reference: Any) -> None:
        """Take what a worker gives back, and only then give it the next object: an end costs a studio one at most."""
        place = self._pending.pop(reference)
        order, place.order = place.order, None
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._lose(place, order, error)
            return
        place.failed_starts = 0
        if order is None:
            self._introduce(answer)
            self._occupy(place)
        elif answer.left_out is not None and not answer.is_final and order.tries + 1 < MAX_TRIES:
            order.tries += 1
            self._queue.appendleft(order)  # For this worker, whose studio is gone: the next one is fresh.
            self._occupy(place)
        else:
            self._finish(order, answer)
            self._occupy(place)

    def _lose(self, place: _Place, order: _Order | None, error: Exception) -> None:
        """A worker died, or has no studio: what it had in hand is done again, and another worker takes its place."""
        self._ray.kill(place.actor)
        place.actor = None
        if order is None:
            place.failed_starts += 1
        else:
            order.losses += 1
            if order.losses > MAX_LOSSES:
                self._finish(order, _no_views(order.job, "worker", _first_line(error)))
            else:
                self._requeue(order)
        if place.failed_starts < MAX_FAILED_STARTS:
            self._hire(place)
        elif not self._pending and not self._idle:
            raise FanOutError(f"no studio can be started: {_cause_of(error)}")

    def _requeue(self, order: _Order) -> None:
        self._queue.appendleft(order)
        if self._idle:
            self._occupy(self._idle.pop())

    def _occupy(self, place: _Place) -> None:
        """Give a worker the next object, or nothing to do."""
        while self._queue:
            order = self._queue.popleft()
            try:
                glb = Path(order.job.source).read_bytes()
            except OSError as error:
                self._finish(order, _no_views(order.job, "read", str(error)))
                continue
            place.order = order
            self._pending[place.actor.render.remote(order.job, glb)] = place
            return
        self._idle.append(place)

    def _finish(self, order: _Order, outcome: Outcome) -> None:
        if outcome.left_out is not None:
            self._folder.leave_out(outcome.left_out)
        else:
            self._folder.deliver(order.job.name, outcome.views)
        self._left -= 1
        self._on_done()

    def _introduce(self, description: str) -> None:
        """Say once what the studios are and on what they render."""
        if not self._described:
            _log.info("%d studios: %s", len(self._places), description)
            self._described = True


def _no_views(job: RenderJob, stage: str, reason: str) -> Outcome:
    return Outcome(left_out=LeftOut(name=job.name, stage=stage, reason=reason))


def _cause_of(error: Exception) -> str:
    """What a worker raised, without Ray's own words around it."""
    return str(getattr(error, "cause", error))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
