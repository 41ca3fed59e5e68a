"""What is known of each object: whose it is, under which licence, what its bytes are, which split it is in.

A manifest is a list of it (training.json_lines), and what the stages hand to each other: `training.objects.download` and
`training.objects.stream` write it, `training.views.shards` copies it into its records, `training.export` into the card.
Knows nothing of meshes or networks.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from lvsm_engine.errors import LvsmError

from ..json_lines import ListError, read_entries, value_of

Split = Literal["train", "val"]
MANIFEST = "manifest.jsonl"
"""The name of the list beside the objects."""
UNKNOWN = "unknown"


class ObjectsError(LvsmError):
    """Objects cannot be used or fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an object comes from and whose it is, as far as it is known.

    name: the stem of its file; Objaverse's uid. licence: SPDX, or "unknown". author: as the licence wants to see it
    named, or "unknown". address: the page or file that it came from. split: "train", "val", or another of its source's
    own. sha256: of its file, in hex. bytes: of its file. file: relative to the manifest's folder.
    """

    name: str
    licence: str = UNKNOWN
    author: str = UNKNOWN
    address: str = ""
    split: str = ""
    sha256: str = ""
    bytes: int | None = None
    file: str = ""

    @property
    def place(self) -> str:
        """The address without what differs from object to object: the site's name, and on GitHub the repository's."""
        try:
            parts = urlsplit(self.address)
        except ValueError:  # no address after all
            return self.address
        if parts.hostname == "github.com":
            return "/".join(["github.com", *parts.path.split("/")[1:3]])
        return parts.hostname or self.address.split(" ")[0]


def read_manifest(path: Path) -> list[Origin]:
    """The objects of a manifest, JSON lines or a JSON list; none where it does not exist. Raises ListError.

    An object without an address may tell repository (on GitHub), commit and path instead.
    """
    if not path.exists():
        return []
    return [value_of(with_address(entry, place), Origin, place) for place, entry in read_entries(path)]


def read_origins(path: Path) -> dict[str, Origin]:
    """The objects of a manifest by name. Raises ListError, also where the file does not exist."""
    if not path.exists():
        raise ListError(f"{path} is not there: give another manifest, or none.")
    return {origin.name: origin for origin in read_manifest(path)}


def with_address(entry: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """A manifest's entry, with its address made of repository, commit and path where it tells these. Raises ListError."""
    if entry.get("address") or entry.get("repository") is None:
        return entry
    parts = {key: entry.get(key) or other for key, other in (("repository", ""), ("commit", "HEAD"), ("path", ""))}
    for key, part in parts.items():
        if not isinstance(part, str):
            raise ListError(f"{place}: {key} is no text: mend it, or make the list again.")
    return {**entry, "address": f"https://github.com/{parts['repository']}/blob/{parts['commit']}/{parts['path']}"}


def split_of(name: str, validation_share: float) -> Split:
    """The split of an object: a function of its name alone, so that it never changes with the selection."""
    digest = hashlib.sha256(f"split/{name}".encode()).digest()
    return "val" if int.from_bytes(digest[:8], "big") < validation_share * 2**64 else "train"
