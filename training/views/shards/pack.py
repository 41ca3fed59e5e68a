"""Packing .npz views into shards: idempotent, resumable, whole files only. Knows nothing of reading them back."""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from array_record.python.array_record_module import ArrayRecordWriter
from tqdm import tqdm

from lvsm_engine.errors import OutputError
from lvsm_engine.whole_files import write_bytes, write_whole

from ...objects.manifest import Origin
from ..stored import StoredScene, ViewsError, read_file, scene_names, stored_shape, view_files
from .folder import ENDING, Entry, entry_of, read_index, shard_files
from .record import encode_record

# One record a chunk: reading one reads no other. The views are compressed already.
WRITER_OPTIONS = "group_size:1,uncompressed"


def pack(
    views: Path,
    out: Path,
    origins: Mapping[str, Origin] | None = None,
    objects_per_shard: int = 64,
    whole_shards_only: bool = False,
    threads: int = 1,
) -> int:
    """Pack the scenes of a folder of .npz that are in no shard of `out` yet; returns how many that were.

    origins: by the scenes' names; None where nothing is known of any. whole_shards_only: leave what fills no shard.
    Raises ViewsError for views that cannot be read, or that the origins do not list.
    """
    out.mkdir(parents=True, exist_ok=True)
    waiting = _waiting(views, {entry.name for shard in shard_files(out) for entry in read_index(shard)})
    _check_origins(waiting, origins)
    count = sum(len(names) for _, names in waiting)
    if whole_shards_only:
        count -= count % objects_per_shard
    scenes = islice(_scenes(waiting), count)
    with ThreadPoolExecutor(threads) as pool, tqdm(total=count, unit="object") as bar:
        for first in range(0, count, objects_per_shard):
            few = islice(scenes, min(objects_per_shard, count - first))
            records = (encode_record(scene, _origin_of(scene.name, origins), pool) for scene in few)
            write_shard(_free_name(out), records, bar)
    return count


def _waiting(views: Path, packed: set[str]) -> list[tuple[Path, list[str]]]:
    """The .npz files with scenes that are not packed yet, and the names of those."""
    waiting = []
    for path in view_files(views):
        if path.stem not in packed:  # One that is: a file of one scene, known without a look inside.
            names = [name for name in scene_names(path, stored_shape(path)[0]) if name not in packed]
            if names:
                waiting.append((path, names))
    return waiting


def _origin_of(name: str, origins: Mapping[str, Origin] | None) -> Origin:
    return Origin(name=name) if origins is None else origins[name]


def _check_origins(waiting: Iterable[tuple[Path, list[str]]], origins: Mapping[str, Origin] | None) -> None:
    for path, names in waiting:
        for name in names:
            if origins is not None and name not in origins:
                raise ViewsError(f"{path}: the manifest does not list {name}: add it, or take the file out.")


def _scenes(waiting: Iterable[tuple[Path, list[str]]]) -> Iterator[StoredScene]:
    for path, names in waiting:
        wanted = set(names)
        yield from (scene for scene in read_file(path) if scene.name in wanted)


def _free_name(folder: Path) -> Path:
    """The shard with the lowest number that is not there."""
    taken = {shard.stem for shard in shard_files(folder)}
    return next(folder / f"{number:05d}{ENDING}" for number in range(len(taken) + 1) if f"{number:05d}" not in taken)


def write_shard(shard: Path, records: Iterable[bytes], bar: tqdm) -> None:
    """Write a shard and its index; the shard gets its name last, so that one that exists is whole.

    Raises OutputError where it cannot be written.
    """

    def write(part: Path) -> None:
        entries = []
        writer = ArrayRecordWriter(str(part), WRITER_OPTIONS)
        for position, record in enumerate(records):
            writer.write(record)
            entries.append(entry_of(record, shard.name, position))
            bar.update()
        writer.close()
        _write_index(shard.with_suffix(".json"), entries)

    try:
        write_whole(shard, write)
        _sync_names(shard.parent)
    except RuntimeError as error:  # the writer's, for a full disk
        raise OutputError(f"{shard} cannot be written ({error}): free space or choose another folder.") from error


def _write_index(path: Path, entries: Sequence[Entry]) -> None:
    """A record a line, so that it can be searched as text."""
    lines = ",\n".join(json.dumps(dataclasses.asdict(entry)) for entry in entries)
    write_bytes(path, f'{{"records": [\n{lines}\n]}}\n'.encode())


def _sync_names(folder: Path) -> None:
    """Have the names in a folder on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
