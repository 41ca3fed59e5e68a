"""Objects that could be taken, with all that a choice needs: from Objaverse 1.0's lists, or from a folder of GLB files.

The objaverse package (0.1.7) is not used. Its addresses are fixed to huggingface.co, so that no mirror helps; it tries a
file once, without a time limit, and checks no hash; and its load_annotations holds all 798 759 annotations, every
thumbnail's address included, in memory at once. The same lists are read here one at a time, through training.objects.hub.
They are kept under the names that the package gives them, so that one folder serves both (~/.objaverse/hf-objaverse-v1).
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..json_lines import UNREADABLE_JSON, ListError, read_entries, value_of
from .hub import Hub
from .manifest import UNKNOWN, ObjectsError, Origin, with_address

MAX_LIST_BYTES = 1 << 29  # unpacked; 798 759 paths of about 90 bytes are 72 MB
MAX_NAME = 200  # bytes; file systems take 255, endings included
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
class Candidate(Origin):
    """One object, before anything of it is fetched. None: not known.

    location: path on the hub, or an absolute path on this machine. bytes: of the GLB. category: of LVIS.
    Raises ObjectsError for a name that no file can have.
    """

    location: str
    faces: int | None = None
    animations: int | None = None
    category: str | None = None

    def __post_init__(self) -> None:
        is_plain = self.name.isprintable() and not {"/", "\\"} & set(self.name)
        if not is_plain or self.name in ("", ".", "..") or len(self.name.encode()) > MAX_NAME:
            raise ObjectsError(
                f"{_shortened(self.name)!r} cannot be an object's name, since files are named by it: mend its list."
            )


def objaverse_candidates(hub: Hub, lists: Path, names: set[str] | None = None) -> Iterator[Candidate]:
    """The objects of Objaverse 1.0, or only those of `names`, without touching lists that hold none of them.

    lists: the folder where the hub's lists of objects are kept. Raises ObjectsError where they cannot be had, ListError
    where they are not what they should be.
    """
    paths = _object_paths(hub, lists, names)
    categories = _categories(hub, lists)
    folders = sorted({path.split("/")[1] for path in paths.values()})
    for folder in tqdm(folders, unit="list", desc="annotations", disable=len(folders) < 2):
        list_name = f"metadata/{folder}.json.gz"
        for name, annotation in _hub_list(hub, lists, list_name).items():
            if name in paths:
                place = f"{lists / list_name}, {_shortened(name)}"
                yield _objaverse_candidate(name, paths[name], annotation, categories.get(name), place)


def folder_candidates(folder: Path) -> Iterator[Candidate]:
    """The GLB files in a folder and the folders below it.

    A manifest.json, in the folder or the one above it, states what is known of them: a list of objects with "file"
    (relative to it), "licence", "author", "address" (or "repository", "commit" and "path"), "triangles" and "split", all
    but the first as far as they are known. Raises ObjectsError for a folder without GLB files, and for two of one name;
    ListError for a manifest that cannot be read.
    """
    files = sorted(folder.resolve().rglob("*.glb"))
    if not files:
        raise ObjectsError(f"{folder} has no .glb files: give the folder that holds them.")
    statements = _statements(folder.resolve())
    files_by_name: dict[str, Path] = {}
    for file in files:
        if file.stem in files_by_name:
            raise ObjectsError(f"{file} and {files_by_name[file.stem]} have one name: rename one of them.")
        files_by_name[file.stem] = file
        yield _file_candidate(file, *statements.get(file, (str(file), {})))


def _hub_list(hub: Hub, lists: Path, path: str) -> dict[str, Any]:
    target = lists / path
    facts = None if target.exists() else hub.facts([path]).get(path)
    if not target.exists():
        if facts is None:
            raise ObjectsError(f"{path} is not on the hub: check HF_ENDPOINT and the repository's name.")
        hub.fetch(path, facts, target)
    try:
        with gzip.open(target, "rb") as file:
            content = file.read(MAX_LIST_BYTES + 1)
        if len(content) > MAX_LIST_BYTES:
            raise ValueError(f"it is larger than {MAX_LIST_BYTES >> 20} MB")
        entries = json.loads(content)
    except (OSError, EOFError, zlib.error, *UNREADABLE_JSON) as error:
        raise ObjectsError(f"{target} cannot be read ({error}): delete it, it is fetched anew.") from error
    if not isinstance(entries, dict):
        raise ListError(f"{target} is no list of objects by name: delete it, it is fetched anew.")
    return entries


def _object_paths(hub: Hub, lists: Path, names: set[str] | None) -> dict[str, str]:
    paths = _hub_list(hub, lists, "object-paths.json.gz")
    if names is not None:
        paths = {name: path for name, path in paths.items() if name in names}
    for name, path in paths.items():
        if not isinstance(path, str) or path.count("/") < 2 or ".." in path.split("/"):
            raise ListError(
                f"{lists / 'object-paths.json.gz'}: the path of {_shortened(name)} is none of a file in the folders"
                " glbs/NUMBER: delete the list, it is fetched anew."
            )
    return paths


def _categories(hub: Hub, lists: Path) -> dict[str, str]:
    categories: dict[str, str] = {}
    for category, names in _hub_list(hub, lists, "lvis-annotations.json.gz").items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ListError(
                f"{lists / 'lvis-annotations.json.gz'}: the category {_shortened(category)} is no list of names:"
                " delete the list, it is fetched anew."
            )
        categories |= dict.fromkeys(names, category)
    return categories


def _objaverse_candidate(name: str, path: str, annotation: Any, category: str | None, place: str) -> Candidate:
    annotation = _object_in(annotation, place)
    user = _object_in(annotation.get("user"), f"{place}, user")
    archives = _object_in(annotation.get("archives"), f"{place}, archives")
    glb = _object_in(archives.get("glb"), f"{place}, glb")
    short = annotation.get("license") or UNKNOWN
    known = {
        "name": name,
        "location": path,
        "licence": LICENCES.get(short, short) if isinstance(short, str) else short,
        "author": user.get("displayName") or user.get("username") or UNKNOWN,
        "address": annotation.get("viewerUrl") or f"https://sketchfab.com/3d-models/{name}",
        "bytes": glb.get("size"),
        "faces": glb.get("faceCount") or annotation.get("faceCount"),
        "animations": annotation.get("animationCount"),
        "category": category,
    }
    return value_of(known, Candidate, place)


def _object_in(value: Any, place: str) -> Mapping[str, Any]:
    """A JSON object, empty where it is null. Raises ListError."""
    if value is not None and not isinstance(value, dict):
        raise ListError(f"{place}: a JSON object is wanted there: delete the list, it is fetched anew.")
    return value or {}


def _statements(folder: Path) -> dict[Path, tuple[str, Mapping[str, Any]]]:
    """The entries of the folder's manifest by their files, each after the words that say where it stands."""
    for parent in (folder, folder.parent):
        path = parent / "manifest.json"
        if not path.exists():
            continue
        statements: dict[Path, tuple[str, Mapping[str, Any]]] = {}
        for place, entry in read_entries(path):
            if not isinstance(entry.get("file"), str):
                raise ListError(f'{place} names no "file": mend it, or take the entry out.')
            statements[parent / entry["file"]] = (place, entry)
        return statements
    return {}


def _file_candidate(file: Path, place: str, entry: Mapping[str, Any]) -> Candidate:
    stated = with_address(entry, place)
    known = {
        **stated,
        "name": file.stem,
        "location": str(file),
        "address": stated.get("address") or file.as_uri(),
        "bytes": file.stat().st_size,
        "faces": stated.get("triangles"),
        "file": "",
    }
    return value_of(known, Candidate, place)


def _shortened(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:60]}..."
