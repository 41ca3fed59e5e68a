"""Files that are whole or absent: written under a temporary name, flushed to the disk, then renamed.

Knows nothing of what is written. The standard library only, so Blender's own Python can import it.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from .errors import OutputError

# What a file's name ends with until it is whole. A killed process leaves one; none of them is ever read.
PART = ".part"
NO_FILE = "it is a device, a pipe or a socket"


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill the file at the temporary path that it gets, and give it its name when it is on the disk.

    What stood at `path` stays until then, and stays where writing fails; the temporary file, of a name that nobody else
    has, never does. Of several that write one path at once the last one's file stays. A symbolic link at `path` is
    replaced, and what it points to is not touched.
    Raises OutputError for what the disk refuses, and where a folder, a device or a pipe stands at `path`; whatever else
    `write` raises passes through.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}{PART}")
    try:
        _refuse_what_is_no_file(path)
        # Here and not by `write`: it must be a new file, and no link that someone has put in its place.
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        write(part)
        with open(part, "rb+") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}): free space or choose another folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # its folder may be none
            part.unlink(missing_ok=True)


def check_folder(path: Path) -> None:
    """Before long work whose results go into a folder, which is not made. Raises OutputError where it cannot be."""
    there = next(place for place in (path.absolute(), *path.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise OutputError(f"{path} cannot be written ({there} is no folder): choose another folder.")
    if not os.access(there, os.W_OK):
        raise OutputError(f"{path} cannot be written (Permission denied): choose another folder.")


def make_folder(path: Path) -> None:
    """Make the folder of what is to be written, and those above it. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be made ({error.strerror}): choose another folder.") from error


def refuse_pipe(path: str | Path) -> None:
    """Before a file is opened for reading. Raises OSError for a pipe, which would be waited for without end, a device and a
    socket; what is not there, and folders, raise when they are opened."""
    with contextlib.suppress(FileNotFoundError):
        kind = os.stat(path).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise OSError(errno.EINVAL, NO_FILE, str(path))


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file's whole content at once. Raises OutputError."""
    write_whole(path, lambda part: part.write_bytes(content))


def _refuse_what_is_no_file(path: Path) -> None:
    """A device that is replaced by a file is lost to the whole machine, and a pipe to its reader."""
    try:
        kind = os.stat(path).st_mode
    except OSError:  # nothing stands there, or a link to nothing
        return
    if not stat.S_ISREG(kind):
        what = "it is a folder" if stat.S_ISDIR(kind) else NO_FILE
        raise OutputError(f"{path}: {what} and would be replaced: choose another name.")
