"""What the commands say to a terminal, a pipe or a file. The standard library only.

Names and texts come from anyone's files: a control character in them is shown by its number and steers no terminal.
"""

import contextlib
import io
import os
import sys
import unicodedata
from collections.abc import Iterator

from ..errors import OutputError


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
        print(without_control_characters(text))


def finish() -> None:
    """Hand on what has been said. Raises as say()."""
    with writing():
        sys.stdout.flush()


def complain(text: str) -> None:
    """Print a sentence on stderr, if there is anyone to read it."""
    with contextlib.suppress(OSError):
        print(without_control_characters(text), file=sys.stderr)


def without_control_characters(text: str, kept: str = "\n\t") -> str:
    """The text with escapes such as \\x1b in the place of control characters other than those kept."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) == "Cc" and character not in kept
        else character
        for character in text
    )


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
