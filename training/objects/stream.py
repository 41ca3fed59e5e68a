"""Work through a selection of any size on a small disk: fetch some objects, render, pack into shards, delete, go on.

    python -m training.objects.stream --selection data/selection.jsonl --out data/shards --cap-gb 100

The next chunk of objects is fetched while one is rendered. Killed at any moment, the same command goes on: a chunk is
done when OUT/chunks/SPLIT-NUMBER.jsonl exists, which is written last and lists the objects of it that are in the shards
(OUT/train and OUT/val); those that are not are in OUT/left_out/SPLIT-NUMBER.jsonl, with the reason. What the commands
say is in OUT/stream.log.

Knows nothing of rendering and shards: both are commands that take files from one folder to another, skip what is done,
and end with status 0. In them, these words stand for paths: {objects} a folder of NAME.glb, {views} where NAME.npz shall
come, or else a line with name, stage and reason in left_out.jsonl; {manifest} what is known of the objects, {shards} the
folder of the shards, {split} train or val.
"""

import fcntl
import itertools
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import tyro
from tqdm import tqdm

from ..exit_status import exit_status, tell_missing
from ..json_lines import read_lines, write_lines
from ..left_out import LEFT_OUT, LeftOut
from .candidates import Candidate
from .download import SPLITS, Arrivals, Fetcher, Store, read_selection, store_of
from .hub import FileFacts, sweep
from .manifest import MANIFEST, ObjectsError, Origin, Split, read_manifest

PYTHON = shlex.quote(sys.executable)
BPY_PYTHON = ".venv-bpy/5.0/bin/python"
RENDER = f"{PYTHON} -m training.render --source {{objects}} --out {{views}} --python {BPY_PYTHON}"
PACK = f"{PYTHON} -m training.views.shards pack --views {{views}} --manifest {{manifest}} --out {{shards}}"


@dataclass(frozen=True)
class Options:
    """Fetch, render, pack and delete the objects of a selection, chunk by chunk."""

    selection: Path
    """Made by training.objects.select."""
    out: Path
    """Folder for the shards, and the list of what is in them."""
    work: Path | None = None
    """Folder for objects and views on their way; none given: OUT/work."""
    cap_gb: float = 100.0
    """What objects and views may take there, the chunk that is being fetched included."""
    views_mb: float = 34.0
    """An object's views until they are packed: 32 of 512 x 512 RGBA. More is found out."""
    chunk: int = 200
    """Objects at a time, where the cap allows it."""
    workers: int = 16
    """Files on their way at once."""
    render: str = RENDER
    """The command that renders."""
    render_val: str | None = None
    """The same for the validation split, where it is another one."""
    pack: str = PACK
    """The command that packs."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Objects that go through all stages together. name: its split and number; its folder holds what is on its way."""

    name: str
    split: Split
    folder: Path
    candidates: list[Candidate]

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    @property
    def views(self) -> Path:
        return self.folder / "views"

    @property
    def manifest(self) -> Path:
        return self.folder / MANIFEST


class Ledger:
    """OUT/chunks and OUT/left_out: which chunks are done, and what became of their objects."""

    def __init__(self, out: Path) -> None:
        self._chunks, self._left_out = out / "chunks", out / "left_out"
        self.seen: dict[str, str] = {}  # names by sha256
        self.settled: set[str] = set()
        for chunk in self.done():
            records = read_manifest(self._chunks / f"{chunk}.jsonl")
            self.seen |= {record.sha256: record.name for record in records}
            self.settled |= {record.name for record in records}
            self.settled |= {entry.name for entry in read_lines(self._left_out / f"{chunk}.jsonl", LeftOut)}

    def done(self) -> list[str]:
        """The names of the chunks that are done."""
        return sorted(path.stem for path in self._chunks.glob("*.jsonl"))

    def close(self, chunk: str, records: Sequence[Origin], left_out: Sequence[LeftOut]) -> None:
        """The chunk is done: the marker is written last."""
        write_lines(self._left_out / f"{chunk}.jsonl", left_out)
        write_lines(self._chunks / f"{chunk}.jsonl", records)


class Supply:
    """Chunks whose objects have arrived, one after the other; the next one may be asked for in another thread.

    missing: why objects did not arrive this time, by name; they are no part of a chunk that is done.
    """

    def __init__(self, options: Options, ledger: Ledger, fetcher: Fetcher) -> None:
        self._options, self._ledger, self._fetcher = options, ledger, fetcher
        self._work = options.work or options.out / "work"
        self._views_bytes = options.views_mb * 1e6
        self.missing: dict[str, str] = {}

    def chunks(self, selection: Sequence[Candidate]) -> Iterator[tuple[Chunk, Arrivals]]:
        """All that is left of a selection. Raises HubUnreachable when nothing arrives any more."""
        begun = list(self._begun())
        for chunk in begun:
            yield chunk, self._fetch(chunk, self._fetcher.facts(chunk.candidates))
        taken = self._ledger.settled | {one.name for chunk in begun for one in chunk.candidates}
        for split in SPLITS:
            waiting = [one for one in selection if one.split == split and one.name not in taken]
            while waiting:
                chunk, facts = self._begin(split, waiting)
                waiting = waiting[len(chunk.candidates) :]
                yield chunk, self._fetch(chunk, facts)

    def learn(self, views_bytes: float) -> None:
        """What an object's views really take."""
        self._views_bytes = max(self._views_bytes, views_bytes)

    @property
    def _room(self) -> float:
        return self._options.cap_gb * 1e9 / 2  # one chunk is rendered while the next one is fetched

    def _begun(self) -> Iterator[Chunk]:
        """The chunks that a run before this one has left on their way; what it left behind otherwise is removed."""
        done = set(self._ledger.done())
        for folder in sorted(self._work.glob("*-*")):
            if folder.name in done or not (folder / "selection.jsonl").exists():
                shutil.rmtree(folder)
                continue
            split: Split = "val" if folder.name.startswith("val-") else "train"
            yield Chunk(folder.name, split, folder, read_lines(folder / "selection.jsonl", Candidate))

    def _begin(self, split: Split, waiting: Sequence[Candidate]) -> tuple[Chunk, Mapping[str, FileFacts]]:
        """As many of the first waiting objects as there is room for, one at least; and their facts."""
        some = waiting[: self._options.chunk]
        facts = self._fetcher.facts(some)
        sizes = [facts[one.location].bytes if one.location in facts else 0 for one in some]
        totals = itertools.accumulate(size + self._views_bytes for size in sizes)
        count = max(1, sum(total <= self._room for total in totals))
        folder = self._work / self._free_name(split)
        write_lines(folder / "selection.jsonl", some[:count])
        return Chunk(folder.name, split, folder, list(some[:count])), facts

    def _free_name(self, split: Split) -> str:
        names = self._ledger.done() + [path.name for path in self._work.glob("*-*")]
        numbers = [int(name.removeprefix(f"{split}-")) for name in names if name.startswith(f"{split}-")]
        return f"{split}-{max(numbers, default=-1) + 1:06d}"

    def _fetch(self, chunk: Chunk, facts: Mapping[str, FileFacts]) -> Arrivals:
        small = [one for one in chunk.candidates if one.location not in facts or self._fits(facts[one.location].bytes)]
        chunk.objects.mkdir(exist_ok=True)
        sweep(chunk.objects)
        arrivals = self._fetcher.fetch(small, facts, chunk.objects)
        for one in chunk.candidates:
            if one not in small:
                reason = f"{facts[one.location].bytes / 1e9:.2f} GB and its views are more than half of the disk cap"
                arrivals.left_out.append(LeftOut(name=one.name, stage="stream", reason=reason))
        self.missing |= arrivals.missing
        return arrivals

    def _fits(self, size: int) -> bool:
        return size + self._views_bytes <= self._room


class Stages:
    """The two commands, run for one chunk at a time. lock: held open by them, so that no other run begins meanwhile."""

    def __init__(self, options: Options, lock: IO[str]) -> None:
        self._options, self._lock = options, lock

    def process(self, chunk: Chunk, records: Sequence[Origin]) -> tuple[list[Origin], list[LeftOut]]:
        """Render and pack; return the records of what is in the shards, and what is not. Raises ObjectsError."""
        if not records:
            return [], []
        render = self._options.render_val if chunk.split == "val" else None
        self._run(render or self._options.render, chunk)
        rendered, refused = self._sort(chunk, records)
        if rendered:
            write_lines(chunk.manifest, rendered)
            self._run(self._options.pack, chunk)
        return rendered, refused

    def _sort(self, chunk: Chunk, records: Sequence[Origin]) -> tuple[list[Origin], list[LeftOut]]:
        left_out = {entry.name: entry for entry in read_lines(chunk.views / LEFT_OUT, LeftOut)}
        rendered, refused = [], []
        for record in records:
            if (chunk.views / f"{record.name}.npz").exists():
                rendered.append(record)
            elif record.name in left_out:
                refused.append(left_out[record.name])
            else:
                raise ObjectsError(f"{record.name} was neither rendered nor refused: see {self._log_path}.")
        return rendered, refused

    @property
    def _log_path(self) -> Path:
        return self._options.out / "stream.log"

    def _run(self, template: str, chunk: Chunk) -> None:
        words = {
            "objects": chunk.objects,
            "views": chunk.views,
            "manifest": chunk.manifest,
            "shards": self._options.out / chunk.split,
            "split": chunk.split,
        }
        command = [part.format(**words) for part in shlex.split(template)]
        with open(self._log_path, "ab") as log:
            log.write(f"\n{chunk.name}: {shlex.join(command)}\n".encode())
            log.flush()
            process = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=[self._lock.fileno()])
            try:
                status = process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
        if status != 0:
            raise ObjectsError(f"{shlex.join(command)} ended with status {status}: see the end of {self._log_path}.")


def stream(options: Options, selection: Sequence[Candidate], store: Store) -> dict[str, str]:
    """Do all that is left of a selection; return why some objects did not arrive this time, by name.

    Raises ObjectsError where a command fails, the store refuses or is gone, or a list cannot be read.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    with open(options.out / ".lock", "w") as lock, ThreadPoolExecutor(1) as ahead:
        _wait_for(lock, options.out)
        ledger = Ledger(options.out)
        fetcher = Fetcher(store, options.workers, ledger.seen)
        supply, stages = Supply(options, ledger, fetcher), Stages(options, lock)
        chunks = supply.chunks(selection)
        done = sum(one.name in ledger.settled for one in selection)
        with tqdm(total=len(selection), initial=done, unit="object") as bar:
            upcoming = ahead.submit(next, chunks, None)
            try:
                while arrived := upcoming.result():
                    chunk, arrivals = arrived
                    upcoming = ahead.submit(next, chunks, None)
                    packed, refused = stages.process(chunk, arrivals.records)
                    ledger.close(chunk.name, packed, [*arrivals.left_out, *refused])
                    supply.learn(_bytes_in(chunk.views) / max(1, len(packed)))
                    shutil.rmtree(chunk.folder)
                    bar.update(len(packed) + len(arrivals.left_out) + len(refused))
            finally:
                fetcher.stop()
    return supply.missing


def _wait_for(lock: IO[str], out: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print(f"{out}: waiting for a command of an earlier run, or another run, to end.", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _end(number: int, *_: object) -> None:
    sys.exit(128 + number)


def main(options: Options) -> int:
    signal.signal(signal.SIGTERM, _end)  # so that the command at work is ended, too

    def work_through() -> int:
        selection = read_selection(options.selection)
        return tell_missing(stream(options, selection, store_of(selection)))

    return exit_status(work_through)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
