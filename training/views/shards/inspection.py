"""Looking at shards: which records are damaged, and what is on them. Changes nothing."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader

from lvsm_engine.photos import contact_sheet

from ..stored import ViewsError, at_size
from .folder import DAMAGE, ENDING, Entry, entry_of, open_shard, read_index, shard_files
from .record import decode_record

SHEET_VIEWS = 8
SHEET_PIXELS = 160


def known_shards(folder: Path) -> list[Path]:
    """The shards that are there, and those of which only the index is. Raises ViewsError where there is none."""
    shards = {*shard_files(folder), *(index.with_suffix(ENDING) for index in folder.glob("*.json"))}
    if not shards:
        raise ViewsError(f"{folder} has no shards: pack views into it with python -m training.views.shards pack.")
    return sorted(shards)


def find_damage(shard: Path) -> Iterator[str]:
    """A sentence for each record of a shard that is damaged, missing, or not as the index says."""
    try:
        entries = read_index(shard)
        if not shard.exists():
            names = ", ".join(entry.name for entry in entries)
            raise ViewsError(f"{shard} is missing, and with it {names}: delete its index and pack again.")
        reader = open_shard(shard)
    except ViewsError as error:
        yield str(error)
        return
    held = reader.num_records()  # 0 for a file whose end is cut off, since the table of its records lies there
    for position, entry in enumerate(entries):
        damage = _damage(reader, position, held, entry)
        if damage:
            yield f"{shard}, record {position} ({entry.name}): {damage}."
    for position in range(len(entries), held):
        yield f"{shard}, record {position}: it is missing from the index."


def _damage(reader: ArrayRecordReader, position: int, held: int, entry: Entry) -> str:
    """What is wrong with a record, or nothing."""
    if position >= held:
        return "it is not in the shard, which is cut short or overwritten"
    try:
        found = entry_of(reader.read([position])[0], entry.shard, position)
    except DAMAGE as error:
        return str(error)
    wrong = [one.name for one in dataclasses.fields(Entry) if getattr(found, one.name) != getattr(entry, one.name)]
    return f"the index has another {', '.join(wrong)}" if wrong else ""


def draw_sheet(shard: Path, picture: Path) -> None:
    """Evenly spread views of each object of a shard, a row an object. Raises ViewsError."""
    reader = open_shard(shard)
    rows, labels = [], []
    for entry in read_index(shard):
        spread = np.linspace(0, entry.views - 1, min(SHEET_VIEWS, entry.views)).round().astype(int)
        try:
            scene = decode_record(reader.read([entry.position])[0], spread)
        except DAMAGE as error:
            raise ViewsError(f"{shard}, record {entry.position} ({entry.name}) is damaged ({error}).") from error
        rows.append(list(at_size(scene, _divisor_above(entry.size, SHEET_PIXELS)).images))
        labels.append(f"{entry.name}   {entry.views} x {entry.size} px   {entry.licence}")
    contact_sheet(rows, labels, picture)


def _divisor_above(stored: int, wanted: int) -> int:
    """The smallest divisor of the stored size that is not below the wanted one; the stored size where none is."""
    return next((size for size in range(wanted, stored) if stored % size == 0), stored)
