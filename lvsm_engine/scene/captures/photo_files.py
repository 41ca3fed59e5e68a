"""Where a capture's photos are: under the names that its file gives, or in another usual folder, ending or case.

Knows names and folders, no cameras. All photos of a capture are looked for in one place, so that full and shrunk, or
distorted and straightened, copies of one photo never mix.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..picture_formats import ENDINGS

PHOTO_FOLDERS = ("images", "input", "photos", "rgb")
# Copies at a fraction of the size, as nerfstudio, mip-NeRF 360 and DL3DV keep them.
SHRUNK_FOLDERS = ("images_2", "images_4", "images_8")
# A few photos of full size are worth more than all shrunk.
SHRUNK_WEIGHT = 0.5
# A place is judged by so many of the photos, and so many of a path's last parts are looked at.
JUDGED_PHOTOS = 100
MAX_PARTS = 16
SHOWN_NAMES = 3
_ENDINGS = tuple(ending for endings in ENDINGS.values() for ending in endings)


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo on disk. is_as_named: whether it lies where the capture's file says. is_shrunk: in a folder of copies."""

    path: Path
    is_as_named: bool
    is_shrunk: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder in which names are looked up without their first parts."""

    folder: Path
    dropped: int
    is_shrunk: bool


def find_photos(folders: Sequence[Path], names: Sequence[str]) -> list[PhotoFile | None]:
    """The photo of each name, relative to one of the folders; None where there is none.

    The folders, and then the usual ones for photos within them, are tried with the whole names, then without their first
    parts: the place that has most of the photos is taken, a shrunk one only for many more. A file that two names would share
    is nobody's.
    """
    listings = _Listings()
    given = [name for name in names if name]
    judged = given[:: max(1, len(given) // JUDGED_PHOTOS)]
    best, best_score = None, (0.0, 0)
    for place in _places(folders, judged):
        found = [photo for name in judged if (photo := listings.find(place, name)) is not None]
        exact = sum(photo.is_as_named for photo in found)
        score = len(found) * (SHRUNK_WEIGHT if place.is_shrunk else 1.0), exact
        if score > best_score:
            best, best_score = place, score
        if exact == len(judged):
            break
    if best is None:
        return [None] * len(names)
    return _unshared(names, [listings.find(best, name) for name in names])


def _places(folders: Sequence[Path], names: Sequence[str]) -> Iterator[_Place]:
    there = [_Place(folder, 0, False) for folder in folders]
    there += [_Place(folder / below, 0, False) for folder in folders for below in PHOTO_FOLDERS]
    there += [_Place(folder / below, 0, True) for folder in folders for below in SHRUNK_FOLDERS]
    there = [place for place in there if place.folder.is_dir()]
    for dropped in range(max((len(_parts(name)) for name in names), default=0)):
        for place in there:
            yield _Place(place.folder, dropped, place.is_shrunk)


def _parts(name: str) -> list[str]:
    """A path's last parts; one from Windows has backslashes, on any system."""
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")][-MAX_PARTS:]


def _unshared(names: Sequence[str], photos: list[PhotoFile | None]) -> list[PhotoFile | None]:
    owners: dict[Path, set[str]] = {}
    for name, photo in zip(names, photos, strict=True):
        if photo is not None:
            owners.setdefault(photo.path, set()).add("/".join(_parts(name)))
    return [photo if photo and len(owners[photo.path]) == 1 else None for photo in photos]


class _Listings:
    """What folders hold, read once each."""

    def __init__(self) -> None:
        self._entries: dict[Path, dict[str, list[str]]] = {}

    def find(self, place: _Place, name: str) -> PhotoFile | None:
        """The photo of a name at a place."""
        parts = _parts(name)
        if "\0" in name or not parts:
            return None
        if place.dropped == 0:
            plain = next(
                (path for path in (place.folder / name, place.folder / "/".join(parts)) if _is_file(path)), None
            )
            if plain is not None:
                return PhotoFile(plain, not place.is_shrunk, place.is_shrunk)
        parts = parts[min(place.dropped, len(parts) - 1) :]
        folder: Path | None = place.folder
        for part in parts[:-1]:
            folder = self._folder(folder, part) if folder is not None else None
        path = self._photo(folder, parts[-1]) if folder is not None else None
        if path is None:
            return None
        is_completed = path.name.startswith(parts[-1]) and path.suffix.lower() in _ENDINGS
        is_whole = place.dropped == 0 and not place.is_shrunk and path.parent == place.folder.joinpath(*parts[:-1])
        return PhotoFile(path, is_whole and is_completed, place.is_shrunk)

    def _folder(self, folder: Path, name: str) -> Path | None:
        return next((folder / entry for entry in self._named(folder, name) if (folder / entry).is_dir()), None)

    def _photo(self, folder: Path, name: str) -> Path | None:
        """The file of this name, or else of this name with an ending, or else with another ending."""
        stem, ending = os.path.splitext(name)
        others = [name + other for other in _ENDINGS]
        if ending.lower() in _ENDINGS:
            others += [stem + other for other in _ENDINGS]
        for candidate in (name, *others):
            for entry in self._named(folder, candidate):
                if _is_file(folder / entry):
                    return folder / entry
        return None

    def _named(self, folder: Path, name: str) -> list[str]:
        """The folder's entries of this name, in any case, its own first."""
        if folder not in self._entries:
            entries: dict[str, list[str]] = {}
            try:
                for entry in sorted(os.listdir(folder)):
                    entries.setdefault(entry.casefold(), []).append(entry)
            except (OSError, ValueError):
                pass  # no folder: it holds nothing
            self._entries[folder] = entries
        alike = self._entries[folder].get(name.casefold(), [])
        return sorted(alike, key=lambda entry: entry != name)


def _is_file(path: Path) -> bool:
    """A name that no file can have (too long, of surrogates) is no file's."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def photo_warnings(names: Sequence[str], photos: Sequence[PhotoFile | None], what: str = "photos") -> tuple[str, ...]:
    """Sentences about photos that do not exist, and about those that are not where the file says, if there are any.

    names: "" where the file names none. what: "photos" or "masks".
    """
    absent = [name for name, photo in zip(names, photos, strict=True) if photo is None and name]
    moved = [(name, photo.path) for name, photo in zip(names, photos, strict=True) if photo and not photo.is_as_named]
    sentences = []
    if absent:
        shown = ", ".join(absent[:SHOWN_NAMES]) + (", ..." if len(absent) > SHOWN_NAMES else "")
        without = (
            "no photo on disk and cannot be input views" if what == "photos" else f"no {what} on disk and go without"
        )
        sentences.append(f"{len(absent)} frames have {without}: {shown}.")
    if moved:
        name, path = moved[0]
        sentences.append(
            f"{len(moved)} {what} are not where the file says, and were found elsewhere: {name} is"
            f" {path.parent.name}/{path.name}."
        )
    return tuple(sentences)
