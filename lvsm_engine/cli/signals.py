"""The end by a signal as an exception, so that what is half written is cleaned up on the way out."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

ENDING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


class Ended(BaseException):
    """A signal that asks the process to end has come. Like KeyboardInterrupt no Exception, so that nothing swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)

    @property
    def status(self) -> int:
        """The exit status that shells give to a process that a signal ended."""
        return 128 + self.signal


@contextlib.contextmanager
def ending_by_exception() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP raise Ended. One that is ignored (nohup) stays so."""
    former = {}
    if threading.current_thread() is threading.main_thread():
        former = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in former.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in former.items():
            if handler is not None:  # None: set by no Python code, and cannot be set again
                signal.signal(number, handler)


def _raise(number: int, _frame: FrameType | None) -> None:
    raise Ended(number)
