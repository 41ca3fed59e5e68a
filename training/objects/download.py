"""Fetch the objects of a selection into a folder, verified, each once, with a manifest of all that is known of them.

    python -m training.objects.download --selection data/selection.jsonl --out data/objects

Run it again after any interruption, and as often as it says that some did not arrive: what is there is not fetched
again. OUT/train and OUT/val hold an object a file; manifest.jsonl beside them lists what is there, left_out.jsonl what
will not come, with the reason; delete a line of that to try an object again. HF_ENDPOINT chooses a mirror
(training.objects.hub names more). All of Objaverse 1.0 is terabytes: training.objects.stream works through a selection of
any size on a small disk.
"""

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import tyro
from tqdm import tqdm

from lvsm_engine.digests import file_sha256
from lvsm_engine.errors import Cancelled

from ..exit_status import exit_status, tell_missing
from ..json_lines import append_lines, read_lines, write_lines
from ..left_out import LEFT_OUT, LeftOut
from .candidates import Candidate
from .hub import PATHS_A_REQUEST, FileFacts, Hub, HubUnreachable, WrongContent, sweep
from .manifest import MANIFEST, ObjectsError, Origin, Split, read_manifest

STAGE = "download"
GIVE_UP_AFTER = 20  # objects in a row that did not arrive: it is the hub, and not they
SPLITS: tuple[Split, ...] = ("val", "train")  # of two equal objects the first is kept: no test object is trained on


@dataclass(frozen=True)
class Options:
    """Fetch the objects of a selection."""

    selection: Path
    """Made by training.objects.select."""
    out: Path
    """Folder for the objects and their manifest."""
    workers: int = 16
    """Files on their way at once."""


class Store(Protocol):
    """Where objects lie: the hub, or this machine."""

    def facts(self, paths: Sequence[str]) -> Mapping[str, FileFacts]: ...

    def fetch(self, path: str, facts: FileFacts, target: Path) -> None: ...


class LocalStore:
    """Objects on this machine: they are linked to, not copied."""

    def facts(self, paths: Sequence[str]) -> dict[str, FileFacts]:
        files = {path: Path(path) for path in paths}
        return {
            path: FileFacts(file.stat().st_size, file_sha256(file)) for path, file in files.items() if file.is_file()
        }

    def fetch(self, path: str, facts: FileFacts, target: Path) -> None:
        target.unlink(missing_ok=True)
        target.symlink_to(path)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What became of some candidates: there, never to come, not yet come (with the sentence why)."""

    records: list[Origin]
    left_out: list[LeftOut]
    missing: dict[str, str]


class Fetcher:
    """Fetches candidates into folders, and knows the content of all objects so far, so that none comes twice.

    seen: names by sha256. give_up_after: so many objects in a row that did not arrive. Raises ObjectsError where the
    store refuses or the disk is full, Cancelled after stop().
    """

    def __init__(self, store: Store, workers: int, seen: dict[str, str], give_up_after: int = GIVE_UP_AFTER) -> None:
        self._store, self._workers, self._seen = store, workers, seen
        self._give_up_after = give_up_after
        self._stopped = threading.Event()
        self._in_vain = 0

    def stop(self) -> None:
        """Begin no file any more."""
        self._stopped.set()

    def facts(self, candidates: Sequence[Candidate]) -> Mapping[str, FileFacts]:
        """By location; a location that is not there has none. Raises HubUnreachable."""
        return self._store.facts([candidate.location for candidate in candidates])

    def fetch(
        self,
        candidates: Sequence[Candidate],
        facts: Mapping[str, FileFacts],
        folder: Path,
        on_done: Callable[[], object] = lambda: None,
    ) -> Arrivals:
        """Fetch candidates, whose facts are given, into FOLDER/NAME.glb. Raises HubUnreachable where none arrives any more."""
        arrivals = Arrivals([], [], {})
        wanted = []
        for candidate in candidates:
            if reason := self._why_not(candidate, facts.get(candidate.location)):
                arrivals.left_out.append(LeftOut(name=candidate.name, stage=STAGE, reason=reason))
                on_done()
            else:
                wanted.append(candidate)
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                ends = pool.map(lambda one: self._fetch_one(one, facts[one.location], folder), wanted)
                for candidate, end in zip(wanted, ends, strict=True):
                    _sort_in(candidate, end, arrivals)
                    on_done()
            except BaseException:
                pool.shutdown(cancel_futures=True)  # waits for the files on their way alone
                raise
        self._in_vain = 0 if arrivals.records else self._in_vain + len(arrivals.missing)
        if self._in_vain >= self._give_up_after:
            raise HubUnreachable(next(iter(arrivals.missing.values())))
        return arrivals

    def _why_not(self, candidate: Candidate, facts: FileFacts | None) -> str | None:
        if facts is None:
            return f"{candidate.location} is not there"
        if facts.sha256 is None:
            return f"the hub states no sha256 of {candidate.location}, so that it cannot be verified"
        twin = self._seen.setdefault(facts.sha256, candidate.name)
        return f"the same content as {twin}" if twin != candidate.name else None

    def _fetch_one(
        self, candidate: Candidate, facts: FileFacts, folder: Path
    ) -> Origin | WrongContent | HubUnreachable:
        target = folder / f"{candidate.name}.glb"
        if self._stopped.is_set():
            raise Cancelled
        try:
            if not (target.exists() and file_sha256(target) == facts.sha256):
                self._store.fetch(candidate.location, facts, target)
        except (WrongContent, HubUnreachable) as error:
            return error
        return Origin(
            name=candidate.name,
            file=target.name,
            licence=candidate.licence,
            author=candidate.author,
            address=candidate.address,
            bytes=facts.bytes,
            sha256=str(facts.sha256),
            split="val" if candidate.split == "val" else "train",
        )


def _sort_in(candidate: Candidate, end: Origin | ObjectsError, arrivals: Arrivals) -> None:
    if isinstance(end, Origin):
        arrivals.records.append(end)
    elif isinstance(end, WrongContent):
        arrivals.left_out.append(LeftOut(name=candidate.name, stage=STAGE, reason=str(end)))
    else:
        arrivals.missing[candidate.name] = str(end)


def read_selection(path: Path) -> list[Candidate]:
    """The candidates of a selection. Raises ObjectsError where there are none."""
    selection = read_lines(path, Candidate)
    if not selection:
        raise ObjectsError(f"{path} holds no objects: make it with training.objects.select.")
    return selection


def store_of(selection: Sequence[Candidate]) -> Store:
    """Where the objects of a selection lie: it is made of one source."""
    return LocalStore() if Path(selection[0].location).is_absolute() else Hub()


def download(
    selection: Sequence[Candidate], store: Store, out: Path, workers: int, give_up_after: int = GIVE_UP_AFTER
) -> dict[str, str]:
    """Fetch what is not there yet into OUT/val and OUT/train; return why some did not arrive this time, by name.

    Raises HubUnreachable when nothing arrives any more; ObjectsError for a refusal or a full disk.
    """
    there = [record for split in SPLITS for record in _records_with_files(out / split)]
    fetcher = Fetcher(store, workers, {record.sha256: record.name for record in there}, give_up_after)
    missing: dict[str, str] = {}
    for split in SPLITS:
        part = [candidate for candidate in selection if candidate.split == split]
        missing |= _download_split(part, fetcher, out / split)
    return missing


def _download_split(selection: Sequence[Candidate], fetcher: Fetcher, folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    settled = {record.name for record in read_manifest(folder / MANIFEST)}
    settled |= {entry.name for entry in read_lines(folder / LEFT_OUT, LeftOut)}
    wanted = [candidate for candidate in selection if candidate.name not in settled]
    missing: dict[str, str] = {}
    with tqdm(total=len(selection), initial=len(selection) - len(wanted), unit="object", desc=folder.name) as bar:
        for start in range(0, len(wanted), PATHS_A_REQUEST):
            batch = wanted[start : start + PATHS_A_REQUEST]
            arrivals = fetcher.fetch(batch, fetcher.facts(batch), folder, bar.update)
            append_lines(folder / MANIFEST, arrivals.records)
            append_lines(folder / LEFT_OUT, arrivals.left_out)
            missing |= arrivals.missing
    return missing


def _records_with_files(folder: Path) -> list[Origin]:
    """The records of a folder's manifest, from which those whose files have gone are removed."""
    records = read_manifest(folder / MANIFEST)
    there = [record for record in records if (folder / record.file).exists()]
    if len(there) < len(records):
        write_lines(folder / MANIFEST, there)
    return there


def main(options: Options) -> int:
    def fetch() -> int:
        selection = read_selection(options.selection)
        return tell_missing(download(selection, store_of(selection), options.out, options.workers))

    return exit_status(fetch)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
