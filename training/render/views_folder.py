"""The folder that finished views arrive in: what is there is whole, what failed is listed. Knows nothing of rendering."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType

from lvsm_engine.errors import LvsmError
from lvsm_engine.whole_files import PART, write_bytes

FAILURES = "failures.jsonl"


class ViewsFolderError(LvsmError):
    """A folder cannot take views."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an object is left out: what the studio said, or how it ended.

    stage: what was being done. stderr: the studio's last words about this object.
    """

    name: str
    stage: str
    reason: str
    stderr: str = ""


class ViewsFolder:
    """One .npz an object, and FOLDER/failures.jsonl, a JSON object a line. Used by one run at a time:

        with ViewsFolder(path) as folder:
            if "chair" not in folder: folder.deliver("chair", bytes)

    Raises ViewsFolderError where another run is at work in the folder, or its list of failures cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._lock = (path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise ViewsFolderError(f"{path} is being filled by another run: wait for its end, or end it.") from error
        for leftover in path.glob(f"*{PART}"):
            leftover.unlink()
        self._delivered = {entry.name.removesuffix(".npz") for entry in os.scandir(path) if entry.name.endswith(".npz")}
        self.failures = _read_failures(path / FAILURES)
        self._failed = {failure.name for failure in self.failures}

    def __contains__(self, name: str) -> bool:
        """Whether nothing is left to do for an object: its views are there, or it is known to fail."""
        return name in self._delivered or name in self._failed

    def deliver(self, name: str, views: bytes) -> None:
        """Write the .npz of an object, whole or not at all. Raises OutputError."""
        write_bytes(self.path / f"{name}.npz", views)
        self._delivered.add(name)

    def fail(self, failure: Failure) -> None:
        """Add to the list of failures; it is on the disk when this returns."""
        with (self.path / FAILURES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(failure)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.failures.append(failure)
        self._failed.add(failure.name)

    def __enter__(self) -> "ViewsFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.close()


def _read_failures(path: Path) -> list[Failure]:
    """The failures of earlier runs. A last line without its end was being written at a crash: it is cut off."""
    if not path.exists():
        return []
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    if torn:
        os.truncate(path, len(whole) + 1 if whole else 0)
    failures = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            entry = json.loads(line)
            failures.append(Failure(**{field.name: entry[field.name] for field in fields(Failure)}))
        except (ValueError, KeyError, TypeError) as error:
            raise ViewsFolderError(f"{path}, line {number} is no failure ({error!r}): delete the line.") from error
    return failures
