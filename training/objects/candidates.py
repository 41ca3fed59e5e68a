"""Objects that could be taken, with all that a choice needs: from Objaverse 1.0's lists, or from a folder of GLB files.

The objaverse package (0.1.7) is not used. Its addresses are fixed to huggingface.co, so that no mirror helps; it tries a
file once, without a time limit, and checks no hash; and its load_annotations holds all 798 759 annotations, every
thumbnail's address included, in memory at once. The same lists are read here one at a time, through training.objects.hub.
They are kept under the names that the package gives them, so that one folder serves both (~/.objaverse/hf-objaverse-v1).
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .hub import Hub
from .manifest import ObjectsError

UNKNOWN = "unknown"
LICENCES = {
    "by": "CC-BY-4.0",
    "by-sa": "CC-BY-SA-4.0",
    "by-nd": "CC-BY-ND-4.0",
    "by-nc": "CC-BY-NC-4.0",
    "by-nc-sa": "CC-BY-NC-SA-4.0",
    "by-nc-nd": "CC-BY-NC-ND-4.0",
    "cc0": "CC0-1.0",
}
"""Objaverse's (Sketchfab's) short names as SPDX ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One object, before anything of it is fetched. None: not known.

    name: Objaverse's uid, or a file's stem. location: path on the hub, or an absolute path on this machine.
    licence: SPDX, or "unknown". bytes: of the GLB. category: of LVIS. split: as its source states it.
    """

    name: str
    location: str
    licence: str
    author: str
    address: str
    bytes: int | None = None
    faces: int | None = None
    animations: int | None = None
    category: str | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        if self.name in ("", ".", "..") or "/" in self.name or "\\" in self.name:
            raise ObjectsError(f"{self.name!r} cannot be an object's name, since files are named by it: mend its list.")


def objaverse_candidates(hub: Hub, lists: Path, names: set[str] | None = None) -> Iterator[Candidate]:
    """The objects of Objaverse 1.0, or only those of `names`, without touching lists that hold none of them.

    lists: the folder where the hub's lists of objects are kept. Raises ObjectsError where they cannot be had.
    """
    paths: dict[str, str] = _hub_list(hub, lists, "object-paths.json.gz")
    categories = _categories(_hub_list(hub, lists, "lvis-annotations.json.gz"))
    if names is not None:
        paths = {name: path for name, path in paths.items() if name in names}
    folders = sorted({path.split("/")[1] for path in paths.values()})
    for folder in tqdm(folders, unit="list", desc="annotations", disable=len(folders) < 2):
        for name, annotation in _hub_list(hub, lists, f"metadata/{folder}.json.gz").items():
            if name in paths:
                yield _objaverse_candidate(name, paths[name], annotation, categories.get(name))


def folder_candidates(folder: Path) -> Iterator[Candidate]:
    """The GLB files in a folder and the folders below it.

    A manifest.json, in the folder or the one above it, states what is known of them: a list of objects with "file"
    (relative to it), "licence", "author", "address" (or "repository", "commit" and "path"), "triangles" and "split", all
    but the first as far as they are known. Raises ObjectsError for a folder without GLB files, for two of one name, and
    for a manifest that cannot be read.
    """
    files = sorted(folder.resolve().rglob("*.glb"))
    if not files:
        raise ObjectsError(f"{folder} has no .glb files: give the folder that holds them.")
    statements = _statements(folder.resolve())
    places: dict[str, Path] = {}
    for file in files:
        if file.stem in places:
            raise ObjectsError(f"{file} and {places[file.stem]} have one name: rename one of them.")
        places[file.stem] = file
        yield _file_candidate(file, statements.get(file, {}))


def _hub_list(hub: Hub, lists: Path, path: str) -> dict[str, Any]:
    target = lists / path
    facts = None if target.exists() else hub.facts([path]).get(path)
    if not target.exists():
        if facts is None:
            raise ObjectsError(f"{path} is not on the hub: check HF_ENDPOINT and the repository's name.")
        hub.fetch(path, facts, target)
    try:
        with gzip.open(target, "rt", encoding="utf-8") as file:
            return json.load(file)
    except (OSError, EOFError, ValueError) as error:
        raise ObjectsError(f"{target} cannot be read ({error}): delete it, it is fetched anew.") from error


def _categories(lvis: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: category for category, names in lvis.items() for name in names}


def _objaverse_candidate(name: str, path: str, annotation: Mapping[str, Any], category: str | None) -> Candidate:
    user = annotation.get("user") or {}
    glb = (annotation.get("archives") or {}).get("glb") or {}
    short = annotation.get("license") or UNKNOWN
    return Candidate(
        name=name,
        location=path,
        licence=LICENCES.get(short, short),
        author=user.get("displayName") or user.get("username") or UNKNOWN,
        address=annotation.get("viewerUrl") or f"https://sketchfab.com/3d-models/{name}",
        bytes=glb.get("size"),
        faces=glb.get("faceCount") or annotation.get("faceCount"),
        animations=annotation.get("animationCount"),
        category=category,
    )


def _statements(folder: Path) -> dict[Path, Mapping[str, Any]]:
    for place in (folder, folder.parent):
        path = place / "manifest.json"
        if path.exists():
            try:
                entries = json.loads(path.read_text(encoding="utf-8"))
                return {place / entry["file"]: entry for entry in entries}
            except (ValueError, KeyError, TypeError) as error:
                raise ObjectsError(f'{path} is no list of objects with a "file" each ({error!r}): mend it.') from error
    return {}


def _file_candidate(file: Path, entry: Mapping[str, Any]) -> Candidate:
    source = ""
    if "repository" in entry:
        source = f"https://github.com/{entry['repository']}/blob/{entry.get('commit', 'HEAD')}/{entry.get('path', '')}"
    return Candidate(
        name=file.stem,
        location=str(file),
        licence=entry.get("licence") or UNKNOWN,
        author=entry.get("author") or UNKNOWN,
        address=entry.get("address") or source or file.as_uri(),
        bytes=file.stat().st_size,
        faces=entry.get("triangles"),
        animations=entry.get("animations"),
        split=entry.get("split"),
    )
