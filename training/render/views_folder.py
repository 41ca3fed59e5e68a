"""The folder that finished views arrive in: what is there is whole, what failed is listed. Knows nothing of rendering."""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from lvsm_engine.errors import LvsmError
from lvsm_engine.whole_files import PART, write_bytes

from ..json_lines import append_lines, read_lines
from ..left_out import LEFT_OUT, LeftOut


class ViewsFolderError(LvsmError):
    """A folder cannot take views."""


class ViewsFolder:
    """One .npz an object, and FOLDER/left_out.jsonl, a JSON object a line. Used by one run at a time:

        with ViewsFolder(path) as folder:
            if "chair" not in folder: folder.deliver("chair", bytes)

    left_out: the objects that gave no views, those of earlier runs too. Raises ViewsFolderError where another run is at
    work in the folder, ListError where its list of left-out objects cannot be read.
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
        self.left_out = read_lines(path / LEFT_OUT, LeftOut)
        self._left_out_names = {one.name for one in self.left_out}

    def __contains__(self, name: str) -> bool:
        """Whether nothing is left to do for an object: its views are there, or it is left out."""
        return name in self._delivered or name in self._left_out_names

    def deliver(self, name: str, views: bytes) -> None:
        """Write the .npz of an object, whole or not at all. Raises OutputError."""
        write_bytes(self.path / f"{name}.npz", views)
        self._delivered.add(name)

    def leave_out(self, one: LeftOut) -> None:
        """Add to the list of left-out objects; it is on the disk when this returns."""
        append_lines(self.path / LEFT_OUT, [one])
        self.left_out.append(one)
        self._left_out_names.add(one.name)

    def __enter__(self) -> "ViewsFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.close()
