"""Many objects over a few studio processes: time limits, retries, and a record of what failed.

Knows nothing of Blender: a studio is any command that reads one job a line (JSON) on stdin and
answers each with one line {"rejected": reason or null} on stdout. A job is done when its output file exists, and
a studio gives it that name last, so that a run that was killed goes on where it stopped.
"""

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

# Blender's memory creeps up with every imported object.
OBJECTS_PER_PROCESS = 50
FAILURES = "failures.json"


@dataclass(frozen=True, slots=True)
class RenderJob:
    """One object to render: a GLB file, the file to write, and what its views shall be.

    sampling: a name that training.render.cameras.cameras_for knows. size: pixels a side. samples: of Cycles, a pixel.
    """

    source: str
    output: str
    sampling: str
    views: int
    size: int
    samples: int

    @property
    def name(self) -> str:
        return Path(self.source).stem


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an object is left out: what the studio said, or how it ended."""

    name: str
    reason: str


def run(
    jobs: Sequence[RenderJob],
    command: Sequence[str],
    folder: Path,
    processes: int,
    seconds_per_job: float,
    on_done: Callable[[], object] = lambda: None,
) -> list[Failure]:
    """Do all jobs that have no output yet and are not in FOLDER/failures.json; return all failures of that file.

    A job that kills its studio or exceeds its time is tried once more in a fresh process. A job that the studio
    rejects (a blank render) is not. `on_done` is called after each job.
    """
    record = FailureRecord(folder / FAILURES)
    queue: SimpleQueue[RenderJob] = SimpleQueue()
    for job in jobs:
        if not Path(job.output).exists() and job.name not in record.names():
            queue.put(job)
    with ThreadPoolExecutor(processes) as pool:
        workers = [pool.submit(_work, queue, command, seconds_per_job, record, on_done) for _ in range(processes)]
        try:
            for worker in workers:
                worker.result()
        except KeyboardInterrupt:
            _drain(queue)  # The pool's exit waits for the objects in hand.
            raise
    return record.failures


class FailureRecord:
    """The file of failures, kept whole at every moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.failures = [Failure(**entry) for entry in json.loads(path.read_text())] if path.exists() else []

    def names(self) -> set[str]:
        return {failure.name for failure in self.failures}

    def add(self, failure: Failure) -> None:
        with self._lock:
            self.failures.append(failure)
            partial = self._path.with_suffix(".partial")
            partial.write_text(json.dumps([asdict(entry) for entry in self.failures], indent=1))
            os.replace(partial, self._path)


class Studio:
    """One process that does jobs one after the other."""

    def __init__(self, command: Sequence[str]) -> None:
        self.jobs = 0
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        # In a session of its own: Ctrl-C is for the fan-out, which lets the object in hand be finished.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )

    def do(self, job: RenderJob, seconds: float) -> str | None:
        """None when the job is done, else why it is rejected. Raises StudioError when the process dies or dawdles."""
        self.jobs += 1
        assert self._process.stdin is not None and self._process.stdout is not None
        alarm = threading.Timer(seconds, self._process.kill)
        started = time.monotonic()
        alarm.start()
        try:
            self._process.stdin.write(json.dumps(asdict(job)) + "\n")
            self._process.stdin.flush()
            reply = self._process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        finally:
            alarm.cancel()
        if not reply:
            status = self._process.wait()
            if time.monotonic() - started >= seconds:
                raise StudioError(f"took longer than {seconds:g} s")
            raise StudioError(f"the studio ended with status {status}: {self._last_words()}")
        return json.loads(reply)["rejected"]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=10)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace").strip()[-500:]


class StudioError(Exception):
    """A studio process that died or had to be killed."""


def _next(queue: SimpleQueue[RenderJob]) -> RenderJob | None:
    try:
        return queue.get_nowait()
    except Empty:
        return None


def _drain(queue: SimpleQueue[RenderJob]) -> None:
    while _next(queue):
        pass


def _work(
    queue: SimpleQueue[RenderJob],
    command: Sequence[str],
    seconds: float,
    record: FailureRecord,
    on_done: Callable[[], object],
) -> None:
    studio = None
    while job := _next(queue):
        for attempt in (1, 2):
            if studio is None:
                studio = Studio(command)
            try:
                reason = studio.do(job, seconds)
                break
            except StudioError as error:
                reason = f"{error} (attempt {attempt})"
                studio.close()
                studio = None
        if reason is not None:
            record.add(Failure(job.name, reason))
        if studio is not None and studio.jobs >= OBJECTS_PER_PROCESS:
            studio.close()
            studio = None
        on_done()
    if studio is not None:
        studio.close()
