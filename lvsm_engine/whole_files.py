"""Files that are whole or absent: written under a temporary name, flushed to the disk, then renamed.

Knows nothing of what is written. The standard library only, so Blender's own Python can import it.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from .errors import OutputError

# What a file's name ends with until it is whole.
PART = ".part"


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` make the file at the temporary path that it gets, and give it its name when it is on the disk.

    What stood at `path` stays until then, and stays where writing fails; the temporary file never does.
    Raises OutputError for what the disk refuses; whatever else `write` raises passes through.
    """
    path = Path(path)
    part = path.with_name(path.name + PART)
    try:
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


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file's whole content at once. Raises OutputError."""
    write_whole(path, lambda part: part.write_bytes(content))
