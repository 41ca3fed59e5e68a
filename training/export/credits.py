"""Whose a run's data are: what manifests, notes and the sources' files tell of them, for the card."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..objects.manifest import Origin, read_origins
from ..views.shards.folder import read_index, shard_files
from ..views.sources import is_procedural, procedural_words
from .trained_run import ExportError

MAX_ROWS = 16
"""A longer table is for a file of its own (tab_separated)."""
MADE_HERE = "made by training.procedural"


@dataclass(frozen=True, slots=True)
class SourceCredits:
    """Whose a source of training data is.

    known: its objects whose licence is known, by name. others: whether it holds more than these. note: where it comes
    from, in words.
    """

    folder: str
    weight: float
    known: Mapping[str, Origin]
    others: bool
    note: str


def credits_of(
    config: Mapping[str, Any], run: Path, manifests: Iterable[Path], notes: Mapping[str, str]
) -> list[SourceCredits]:
    """Whose the run's sources are. notes: by a source's folder. Raises ExportError for a note on none of them, or a
    source that is not there; ListError for a manifest that cannot be read."""
    strangers = set(notes) - {source["folder"] for source in config["sources"]}
    if strangers:
        raise ExportError(f"--notes: '{strangers.pop()}' is no source of {run}: see sources in its config.json.")
    listed: dict[str, Origin] = {}
    for manifest in manifests:
        listed |= read_origins(manifest)
    return [_source_credits(source, listed, notes.get(source["folder"])) for source in config["sources"]]


def _source_credits(source: Mapping[str, Any], listed: Mapping[str, Origin], note: str | None) -> SourceCredits:
    folder = source["folder"]
    made_here = is_procedural(folder)
    owes_nobody = made_here and procedural_words(folder)[1] is None  # textures from a folder are somebody's
    if note is None:
        note = MADE_HERE if owes_nobody else ""
    names = [] if note or made_here else object_names(Path(folder))
    known = {name: listed[name] for name in names if name in listed}
    others = not names or len(known) < len(names)
    return SourceCredits(folder, source["weight"], known, others, note)


def object_names(folder: Path) -> list[str]:
    """What the objects of a source are called. Raises ExportError for a folder that is not there; ViewsError for an
    index of shards that cannot be read."""
    if not folder.exists():
        raise ExportError(f"{folder}, a source of the run, is not there: export where the run was trained.")
    names = [path.stem for path in folder.glob("*.npz")]
    names += [entry.name for shard in shard_files(folder) for entry in read_index(shard)]
    return sorted(names)


def markdown(origins: Iterable[Origin]) -> str:
    """A table: how many objects are under which licence, by whom, from where; the most first. Many authors are counted."""
    known = list(origins)
    keys = [(one.licence, one.author, one.place) for one in known]
    if len(set(keys)) > MAX_ROWS:
        authors: dict[tuple[str, str], set[str]] = {}
        for one in known:
            authors.setdefault((one.licence, one.place), set()).add(one.author)
        counted = {key: f"{len(names)} authors" if len(names) > 1 else min(names) for key, names in authors.items()}
        keys = [(one.licence, counted[one.licence, one.place], one.place) for one in known]
    ranked = sorted(Counter(keys).items(), key=lambda one: (-one[1], one[0]))
    rows = [f"| {count} | {' | '.join(_in_a_cell(word).replace('|', '/') for word in key)} |" for key, count in ranked]
    return "\n".join(["| objects | licence | author | from |", "| --- | --- | --- | --- |", *rows]) + "\n"


def tab_separated(known: Mapping[str, Origin]) -> str:
    """A line an object, with its own address."""
    lines = ["name\tlicence\tauthor\taddress"]
    for name, one in sorted(known.items()):
        lines.append("\t".join(_in_a_cell(word) for word in (name, one.licence, one.author, one.address)))
    return "\n".join(lines) + "\n"


def _in_a_cell(word: str) -> str:
    """Without line ends, tabs and control codes, which a stranger's name may hold."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in word).split())
