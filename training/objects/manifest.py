"""What is known of each object: whose it is, under which licence, what its bytes are, which split it is in.

A manifest is a JSON object a line, only ever appended to. It is what the stages hand to each other: `training.objects`
and `training.objects.stream` write it, `training.views.shards` copies it into its records. Knows nothing of meshes or networks.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, get_args, get_origin, get_type_hints

from lvsm_engine.errors import LvsmError
from lvsm_engine.whole_files import write_bytes

Split = Literal["train", "val"]
MANIFEST = "manifest.jsonl"
LEFT_OUT = "left_out.jsonl"
"""The names of the two files beside the objects that they list."""
LONGEST_LINE = 1 << 20  # bytes; a line is a few hundred


class ObjectsError(LvsmError):
    """Objects, or a list of them, cannot be used or fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRecord:
    """One object that is there, whole and verified.

    name: the stem of its GLB; Objaverse's uid. file: relative to the manifest's folder. licence: SPDX. author: as the
    licence wants to see it named. address: the page or file that it came from. sha256: of the GLB, in hex.
    """

    name: str
    file: str
    licence: str
    author: str
    address: str
    bytes: int
    sha256: str
    split: Split


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One object that is not used, the stage that found out, and why, as a sentence."""

    name: str
    stage: str
    reason: str


def split_of(name: str, validation_share: float) -> Split:
    """The split of an object: a function of its name alone, so that it never changes with the selection."""
    digest = hashlib.sha256(f"split/{name}".encode()).digest()
    return "val" if int.from_bytes(digest[:8], "big") < validation_share * 2**64 else "train"


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(path: Path) -> list[ObjectRecord]:
    """The records of a manifest; none where it does not exist. Raises ObjectsError for a line that is none."""
    return read_lines(path, ObjectRecord)


def read_left_out(path: Path) -> list[LeftOut]:
    """The objects of a list of left-out ones; none where it does not exist. Raises ObjectsError likewise."""
    return read_lines(path, LeftOut)


Line = TypeVar("Line")


def read_lines(path: Path, kind: type[Line]) -> list[Line]:
    """The values, of one dataclass, of a file of JSON lines; none where it does not exist.

    A last line without its end was being written when the machine died, and is not counted.
    Raises ObjectsError for a line that is not of that kind.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except UnicodeDecodeError as error:
        raise ObjectsError(f"{path} is no text ({error}): make the file again.") from error
    hints = get_type_hints(kind)
    return [_value_of(line, kind, hints, f"{path}, line {number}") for number, line in enumerate(lines, 1)]


def append_lines(path: Path, values: Iterable[ObjectRecord | LeftOut]) -> None:
    """Add values to a file of JSON lines; they are on the disk when this returns."""
    text = as_lines(values)
    if not text:
        return
    with open(path, "ab+") as file:
        file.truncate(_end_of_last_line(file))
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def write_lines(path: Path, values: Iterable) -> None:
    """Write a file of JSON lines, whole or not at all. Raises OutputError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, as_lines(values).encode())


def as_lines(values: Iterable) -> str:
    """Dataclass values as JSON lines, in ASCII: no author's name can end a line for any reader."""
    return "".join(json.dumps(asdict(value)) + "\n" for value in values)


def _value_of(line: str, kind: type[Line], hints: Mapping[str, Any], place: str) -> Line:
    try:
        entry = json.loads(line)
        values = {name: entry[name] for name in hints}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ObjectsError(f"{place} is no {kind.__name__} ({error!r}): make the file again.") from error
    for name, value in values.items():
        if not _is_of(value, hints[name]):
            raise ObjectsError(f"{place} is no {kind.__name__} ({name} is {value!r}): make the file again.")
    return kind(**values)


def _is_of(value: object, hint: Any) -> bool:
    return value in get_args(hint) if get_origin(hint) is Literal else isinstance(value, hint)


def _end_of_last_line(file: BinaryIO) -> int:
    start = max(0, file.seek(0, os.SEEK_END) - LONGEST_LINE)
    file.seek(start)
    return start + file.read().rfind(b"\n") + 1
