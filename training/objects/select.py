"""Choose the objects to train on, from Objaverse 1.0 or a folder of GLB files, into a selection: a JSON object a line.

    python -m training.objects.select --out data/selection.jsonl --limit 2000 --limit-val 100
    python -m training.objects.select --out data/selection.jsonl --lvis --max-faces 200000 --max-mb 50 --still
    python -m training.objects.select --out data/selection.jsonl --source FOLDER_OF_GLB_FILES --licences any

Reads lists only, no object, and keeps Objaverse's in --lists for the next choice. HF_ENDPOINT chooses a mirror.
The same options choose the same objects: the order, and so what a limit keeps, depends on the names alone.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from ..exit_status import exit_status
from ..json_lines import write_lines
from .candidates import Candidate, folder_candidates, objaverse_candidates
from .hub import Hub
from .manifest import ObjectsError, split_of

FREE_LICENCES = ("CC-BY-4.0", "CC-BY-3.0", "CC0-1.0", "MIT-0")
"""Nothing is asked but the author's name; Objaverse also holds non-commercial and share-alike objects."""


@dataclass(frozen=True)
class Options:
    """Choose objects from Objaverse 1.0, or from a folder."""

    out: Path
    """The selection to write."""
    source: Path | None = None
    """A folder of .glb files, instead of Objaverse."""
    licences: tuple[str, ...] = FREE_LICENCES
    """SPDX names, or "any". A folder's files may be "unknown"."""
    lvis: bool = False
    """Only the objects that have a category of LVIS: fewer, and things with a name."""
    still: bool = False
    """Only objects without animations."""
    min_faces: int | None = None
    """A polygon count. Objects whose count is not known are left out by a bound."""
    max_faces: int | None = None
    """A polygon count."""
    max_mb: float | None = None
    """Of the GLB file."""
    list: Path | None = None
    """Only the names (uids) in this file, one a line."""
    limit: int | None = None
    """At most so many objects to train on."""
    limit_val: int | None = None
    """At most so many to validate on."""
    validation_share: float = 0.01
    """Of the objects whose source states no split."""
    lists: Path = Path("~/.objaverse/hf-objaverse-v1")
    """Where Objaverse's lists are kept."""


def main(options: Options) -> int:
    return exit_status(lambda: select(options))


def select(options: Options) -> None:
    """Write the selection, and say how many objects were left out and why. Raises ObjectsError, ListError, OutputError."""
    names = None if options.list is None else _names_in(options.list)
    if options.source is not None:
        candidates: Iterable[Candidate] = folder_candidates(options.source)
    else:
        candidates = objaverse_candidates(Hub(), options.lists.expanduser(), names)
    chosen, refused = choose(candidates, options, names)
    splits = Counter(candidate.split for candidate in chosen)
    for reason, count in refused.most_common():
        print(f"{count:8d} left out: {reason}")
    print(f"{len(chosen):8d} chosen: {splits['train']} to train on, {splits['val']} to validate on")
    check_splits(splits, options)
    write_lines(options.out, chosen)


def check_splits(splits: Mapping[str, int], options: Options) -> None:
    """Raises ObjectsError where nothing is chosen, or nothing of a split that is wanted."""
    if not any(splits.values()):
        raise ObjectsError("No object passes: loosen the options that left most of them out.")
    share = options.validation_share
    for split, purpose, option, is_wanted in (
        ("train", "train", "--limit", options.limit != 0 and share < 1),
        ("val", "validate", "--limit-val", options.limit_val != 0 and share > 0),
    ):
        if is_wanted and not splits[split]:
            raise ObjectsError(
                f"No object is left to {purpose} on: change --validation-share, which is {share:g} (of few objects it must"
                f" be more), or give {option} 0 where none is wanted."
            )


def choose(
    candidates: Iterable[Candidate], options: Options, names: set[str] | None
) -> tuple[list[Candidate], Counter[str]]:
    """The candidates that pass, with their splits, in an order that depends on their names alone; and how many were
    left out, by reason."""
    refused: Counter[str] = Counter()
    passing = []
    for candidate in candidates:
        candidate = replace(candidate, split=candidate.split or split_of(candidate.name, options.validation_share))
        if reason := why_not(candidate, options, names):
            refused[reason] += 1
        else:
            passing.append(candidate)
    passing.sort(key=lambda candidate: hashlib.sha256(candidate.name.encode()).digest())
    chosen = []
    room = {"train": options.limit, "val": options.limit_val}
    for candidate in passing:
        left = room[candidate.split]
        if left == 0:
            refused["over the limit"] += 1
            continue
        room[candidate.split] = None if left is None else left - 1
        chosen.append(candidate)
    return chosen, refused


def why_not(candidate: Candidate, options: Options, names: set[str] | None) -> str | None:
    """Why a candidate is left out, or None."""
    if names is not None and candidate.name not in names:
        return "not in the list"
    if candidate.split not in ("train", "val"):
        return f"its source has it in a split of its own, {candidate.split}"
    if "any" not in options.licences and not set(candidate.licence.split(" AND ")) <= set(options.licences):
        return f"licence {candidate.licence}"
    if options.lvis and candidate.category is None:
        return "no category of LVIS"
    if options.still and candidate.animations is None:
        return "animations not known"
    if options.still and candidate.animations:
        return "animated"
    if reason := _out_of_bounds("faces", candidate.faces, options.min_faces, options.max_faces):
        return reason
    max_bytes = None if options.max_mb is None else round(options.max_mb * 1e6)
    return _out_of_bounds("bytes", candidate.bytes, None, max_bytes)


def _out_of_bounds(what: str, value: int | None, lowest: int | None, highest: int | None) -> str | None:
    if lowest is None and highest is None:
        return None
    if value is None:
        return f"{what} not known"
    if lowest is not None and value < lowest:
        return f"too few {what}"
    if highest is not None and value > highest:
        return f"too many {what}"
    return None


def _names_in(path: Path) -> set[str]:
    try:
        return {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise ObjectsError(f"{path} cannot be read ({error}): give a text file with a name (uid) a line.") from error


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
