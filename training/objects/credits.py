"""Whose the objects are that a model was trained on, for its card.

A manifest tells it: JSON lines, or a JSON list, of objects with name, licence, author, and address (or repository). What
a source's objects are called tell its files: one .npz an object, or the indexes of shards. Knows nothing of models.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MOST_ROWS = 60
"""A longer table is for a file of its own (tab_separated)."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """One object's licence (SPDX), its author as the licence wants to see it named, and where it came from."""

    licence: str
    author: str
    address: str

    @property
    def place(self) -> str:
        """The address without what differs from object to object: the site's name, or a repository's."""
        return urlsplit(self.address).hostname or self.address.split(" ")[0]


def read_attributions(manifest: Path) -> dict[str, Attribution]:
    """The objects of a manifest by name. Raises SystemExit with a sentence where it is none."""
    try:
        text = manifest.read_text(encoding="utf-8")
        entries = (
            json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
        )
        return {entry["name"]: Attribution(entry["licence"], entry["author"], _address(entry)) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SystemExit(f"{manifest} cannot be read as a manifest ({error!r}): give another, or none.") from error


def _address(entry: dict[str, Any]) -> str:
    """An object's address, or its repository, commit and path, whichever the manifest tells."""
    return entry.get("address") or " ".join(
        [entry["repository"], *(entry[key] for key in ("commit", "path") if key in entry)]
    )


def object_names(folder: Path) -> list[str]:
    """What the objects of a source are called. Raises SystemExit for a folder that is not there, or an unreadable index."""
    if not folder.exists():
        raise SystemExit(f"{folder}, a source of the run, is not there: export where the run was trained.")
    names = [path.stem for path in folder.glob("*.npz")]
    for shard in sorted(folder.glob("*.array_record")):
        index = shard.with_suffix(".json")
        try:
            names += [entry["name"] for entry in json.loads(index.read_text(encoding="utf-8"))["records"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"{index} cannot be read as the index of a shard ({error!r}): pack it again.") from error
    return sorted(names)


def markdown(attributions: Iterable[Attribution]) -> str:
    """A table: how many objects are under which licence, by whom, from where; the most first. Many authors are counted."""
    known = list(attributions)
    keys = [(one.licence, one.author, one.place) for one in known]
    if len(set(keys)) > MOST_ROWS:
        authors: dict[tuple[str, str], set[str]] = {}
        for one in known:
            authors.setdefault((one.licence, one.place), set()).add(one.author)
        keys = [(one.licence, f"{len(authors[one.licence, one.place])} authors", one.place) for one in known]
    ranked = sorted(Counter(keys).items(), key=lambda one: (-one[1], one[0]))
    rows = [f"| {count} | {' | '.join(key)} |" for key, count in ranked]
    return "\n".join(["| objects | licence | author | from |", "| --- | --- | --- | --- |", *rows]) + "\n"


def tab_separated(known: Mapping[str, Attribution]) -> str:
    """A line an object, with its own address."""
    lines = [f"{name}\t{one.licence}\t{one.author}\t{one.address}" for name, one in sorted(known.items())]
    return "\n".join(["name\tlicence\tauthor\taddress", *lines]) + "\n"
