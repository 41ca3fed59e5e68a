"""What the commands say to a terminal, a pipe or a file. The standard library only at import."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from ..errors import OutputError
from ..plain_text import plain
from ..progress import OnProgress, Progress


class NobodyReads(Exception):
    """The other end of stdout's pipe is closed."""


def prepare() -> None:
    """A terminal that lacks a name's letters shows their numbers."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print a result. Raises OutputError where stdout takes no more, NobodyReads where its other end is closed."""
    with writing():
        print(plain(text, kept="\n\t"))


def finish() -> None:
    """Hand on what has been said. Raises as say()."""
    with writing():
        sys.stdout.flush()


def complain(text: str) -> None:
    """Print a sentence on stderr, if there is anyone to read it."""
    with contextlib.suppress(OSError):
        print(plain(text, kept="\n\t"), file=sys.stderr)


@contextlib.contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """Follows some work with a bar and the time left, where stderr is a terminal."""
    from tqdm import tqdm

    form = "{desc} {percentage:3.0f}% [{remaining} left]"
    with tqdm(total=100, leave=False, disable=None, bar_format=form) as bar:

        def follow(progress: Progress) -> None:
            bar.set_description_str(progress.stage, refresh=False)
            bar.n = round(100 * progress.fraction)
            bar.refresh()

        yield follow


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """For whoever else prints to stdout. Raises as say()."""
    try:
        yield
    except BrokenPipeError as error:
        _discard_the_rest()
        raise NobodyReads from error
    except OSError as error:
        _discard_the_rest()
        raise OutputError(f"The output cannot be written ({error.strerror}): free space or print elsewhere.") from error


def _discard_the_rest() -> None:
    """Else Python would fail once more, with a traceback, when it flushes stdout at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
