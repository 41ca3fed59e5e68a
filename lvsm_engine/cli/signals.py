"""The end by a signal as an exception, so that what is half written is cleaned up on the way out."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

ENDING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
# Python sees a signal between two of its own steps only, and one of torch's may take minutes.
GRACE_SECONDS = 5.0


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
def ending_by_exception(grace_seconds: float = GRACE_SECONDS) -> Iterator[None]:
    """Within it SIGTERM and SIGHUP raise Ended; where that takes too long, the process ends all the same.

    A signal that is ignored (nohup) stays so. Does nothing but in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in ENDING}
    told = [number for number, handler in former.items() if handler != signal.SIG_IGN]
    with _ending_in_the_end(told, grace_seconds):
        for number in told:
            signal.signal(number, _raise)
        try:
            yield
        finally:
            for number in told:
                # None: set by no Python code, and cannot be set again.
                signal.signal(number, signal.SIG_DFL if former[number] is None else former[number])


def _raise(number: int, _frame: FrameType | None) -> None:
    raise Ended(number)


@contextlib.contextmanager
def _ending_in_the_end(numbers: list[signal.Signals], grace_seconds: float) -> Iterator[None]:
    """A thread that hears of a signal when it comes, and ends the process unless this context has been left in time."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)  # as set_wakeup_fd wants it
    left = threading.Event()

    def listen() -> None:
        while number := ours.recv(1):
            if number[0] in numbers and not left.wait(grace_seconds):
                os._exit(128 + number[0])

    listener = threading.Thread(target=listen, daemon=True, name="signals")
    listener.start()
    former = signal.set_wakeup_fd(theirs.fileno())
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(former)
        theirs.close()
        listener.join()
        ours.close()
