"""How far some work is, and how it is stopped: what a person waiting for it wants to know."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import Cancelled


@dataclass(frozen=True, slots=True)
class Progress:
    """fraction: done, 0 to 1. stage: what is being done, for people. seconds_left: None while unknown."""

    fraction: float
    stage: str
    seconds_left: float | None = None


OnProgress = Callable[[Progress], None]
Cancel = Callable[[], bool]


class Tracker:
    """Tells of the steps of a stage, with the time left, and stops the work when it is cancelled."""

    def __init__(self, stage: str, steps: int, on_progress: OnProgress | None, cancel: Cancel | None) -> None:
        self._stage, self._steps = stage, max(steps, 1)
        self._on_progress, self._cancel = on_progress, cancel
        self._done, self._began = 0, time.monotonic()
        self._tell()

    def step(self, steps: int = 1) -> None:
        """So many steps more are done. Raises Cancelled."""
        self.check()
        self._done = min(self._done + steps, self._steps)
        self._tell()

    def check(self) -> None:
        """Raises Cancelled when the user wants to stop."""
        if self._cancel is not None and self._cancel():
            raise Cancelled

    def _tell(self) -> None:
        if self._on_progress is None:
            return
        fraction = self._done / self._steps
        elapsed = time.monotonic() - self._began
        seconds_left = elapsed * (1 - fraction) / fraction if fraction > 0 else None
        self._on_progress(Progress(fraction, self._stage, seconds_left))
