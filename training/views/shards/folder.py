"""A folder of shards: the index, and reading any of its objects. Knows nothing of how they were made."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader

from lvsm_engine.whole_files import refuse_pipe

from ...json_lines import UNREADABLE_JSON, ListError, value_of
from ..stored import StoredScene, ViewsError
from .record import decode_header, decode_record

ENDING = ".array_record"
# Random access: nothing that follows a record is wanted.
READER_OPTIONS = "readahead_buffer_size:0"
# Files open at a time, well under the usual limit of 1024 a process.
MAX_OPEN_SHARDS = 256
# What ArrayRecord and decode_record raise for a record that is damaged or not there.
DAMAGE = (RuntimeError, ValueError, IndexError)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index says of a record. size: pixels a side of its views. sha256: of the record's bytes, in hex."""

    name: str
    shard: str
    position: int
    views: int
    size: int
    bytes: int
    sha256: str
    licence: str


def entry_of(record: bytes, shard: str, position: int) -> Entry:
    """What the index should say of a record. Raises ValueError for bytes that are no record."""
    header = decode_header(record)
    digest = hashlib.sha256(record).hexdigest()
    return Entry(header.name, shard, position, header.views, header.size, len(record), digest, header.origin.licence)


def shard_files(folder: Path) -> list[Path]:
    """The shards that are there; none where there are none."""
    return sorted(folder.glob(f"*{ENDING}"))


def read_index(shard: Path) -> list[Entry]:
    """The index beside a shard. Raises ViewsError."""
    path = shard.with_suffix(".json")
    try:
        refuse_pipe(path)
        entries = json.loads(path.read_text(encoding="utf-8"))["records"]
        return [value_of(entry, Entry, f"record {number}") for number, entry in enumerate(entries)]
    except FileNotFoundError as error:
        raise ViewsError(
            f"{shard} is missing from the index ({path.name} is not beside it): delete it and pack again."
        ) from error
    except (OSError, KeyError, TypeError, AttributeError, ListError, *UNREADABLE_JSON) as error:
        raise ViewsError(f"{path} cannot be read ({error}): delete it and {shard.name}, and pack again.") from error


def open_shard(shard: Path) -> ArrayRecordReader:
    """A reader of a shard's records. Raises ViewsError."""
    try:
        refuse_pipe(shard)
        return ArrayRecordReader(str(shard), READER_OPTIONS)
    except (OSError, RuntimeError) as error:
        raise ViewsError(f"{shard} cannot be opened ({error}): restore it, or pack again.") from error


class Shards:
    """The objects of a folder of shards, in the order of their names, however they were packed.

    names: of the objects. views: (N,) how many each has. sizes: (N,) pixels a side. Raises ViewsError for a folder
    without shards, or an index that cannot be read. Opens files as they are needed, at most max_open at a time, and
    anew after it was pickled.
    """

    def __init__(self, folder: Path, max_open: int = MAX_OPEN_SHARDS) -> None:
        self.folder = folder
        self._max_open = max_open
        self._files = shard_files(folder)
        if not self._files:
            raise ViewsError(f"{folder} has no shards: pack views into it with python -m training.views.shards pack.")
        entries = [(entry, number) for number, shard in enumerate(self._files) for entry in read_index(shard)]
        entries.sort(key=lambda pair: pair[0].name)
        # Columns: half a million entries as objects would be copied into every loading process.
        self.names = [entry.name for entry, _ in entries]
        self.views = np.array([entry.views for entry, _ in entries], dtype=np.int64)
        self.sizes = np.array([entry.size for entry, _ in entries], dtype=np.int64)
        self._shards = np.array([number for _, number in entries], dtype=np.int64)
        self._positions = np.array([entry.position for entry, _ in entries], dtype=np.int64)
        self._open: OrderedDict[int, ArrayRecordReader] = OrderedDict()

    def __len__(self) -> int:
        return len(self.names)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}

    def read(self, number: int, views: Sequence[int] | np.ndarray | None = None) -> StoredScene:
        """An object's views, or these of them, in this order. Raises ViewsError for a record that is damaged."""
        shard, position = int(self._shards[number]), int(self._positions[number])
        try:
            return decode_record(self._reader(shard).read([position])[0], views)
        except DAMAGE as error:
            raise ViewsError(
                f"{self._files[shard]}, record {position} ({self.names[number]}) is damaged ({error}):"
                f" run python -m training.views.shards verify {self.folder}."
            ) from error

    def _reader(self, shard: int) -> ArrayRecordReader:
        if shard in self._open:
            self._open.move_to_end(shard)
            return self._open[shard]
        if len(self._open) >= self._max_open:
            self._open.popitem(last=False)[1].close()
        self._open[shard] = open_shard(self._files[shard])
        return self._open[shard]
