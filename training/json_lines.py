"""Lists that the stages hand to each other: one value a line, in JSON, only ever appended to.

    append_lines(path, [LeftOut(name="chair", stage="render", reason="blank")])
    read_lines(path, LeftOut)

A line without its end was being written when the machine died: it counts for nothing, unless it is whole all the same.
A JSON list of objects, as people write them, is read too. Knows nothing of what the values mean.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Any, BinaryIO, Literal, TypeVar, get_args, get_origin, get_type_hints

from lvsm_engine.errors import LvsmError
from lvsm_engine.whole_files import write_bytes

MAX_LINE = 1 << 20  # bytes; a line is a few hundred
UNREADABLE_JSON = (ValueError, RecursionError)
"""What json.loads raises, whatever it is given."""

Value = TypeVar("Value")


class ListError(LvsmError):
    """A list, or an entry of one, is not what it should be. The sentence names file and line."""


def read_lines(path: Path, kind: type[Value]) -> list[Value]:
    """The values, of one dataclass, of a list; none where there is no file. Raises ListError."""
    return [value_of(entry, kind, place) for place, entry in read_entries(path)] if path.exists() else []


def append_lines(path: Path, values: Iterable) -> None:
    """Add values to a file of JSON lines; they are on the disk when this returns."""
    text = as_lines(values)
    if not text:
        return
    with open(path, "ab+") as file:
        _end_last_line(file)
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def write_lines(path: Path, values: Iterable) -> None:
    """Write a file of JSON lines, whole or not at all. Raises OutputError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, as_lines(values).encode())


def as_lines(values: Iterable) -> str:
    """Dataclass values as JSON lines, in ASCII: no author's name can end a line for any reader."""
    return "".join(json.dumps(dataclasses.asdict(value)) + "\n" for value in values)


def read_entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON objects of a list, each after the words that say where it stands. Raises ListError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ListError(f"{path} cannot be read ({error}): give another, or make it again.") from error
    entries = _entries_of_list(text, path) if text.lstrip().startswith("[") else _entries_of_lines(text, path)
    for place, entry in entries:
        if not isinstance(entry, dict):
            raise ListError(
                f"{place} is {_shown(entry)}, where a JSON object is wanted: mend it, or make the list again."
            )
        yield place, entry


def value_of(entry: object, kind: type[Value], place: str) -> Value:
    """A dataclass value of a JSON object, whose other keys are left out. null is as good as missing.

    place: where the object stands, in words. Raises ListError for a field that is missing or of another type.
    """
    entry, values = _object_of(entry, place), {}
    for name, (hint, is_needed) in _fields_of(kind).items():  # type: ignore[arg-type]  # a class has a hash
        value = entry.get(name)
        if value is None and not is_needed:
            continue
        if not _is_of(value, hint):
            problem = f"{name} is {_shown(value)}" if name in entry else f"it has no {name}"
            raise ListError(f"{place} is no {kind.__name__} ({problem}): mend it, or make the list again.")
        values[name] = value
    try:
        return kind(**values)
    except LvsmError as error:
        raise ListError(f"{place}: {error}") from error


def _object_of(entry: object, place: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ListError(f"{place} is {_shown(entry)}, where a JSON object is wanted: mend it, or make the list again.")
    return entry


def _entries_of_list(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    try:
        entries = json.loads(text)
    except UNREADABLE_JSON as error:
        raise ListError(
            f"{path} begins as a JSON list and is none ({_reason(error)}): mend it, or make it again."
        ) from error
    for number, entry in enumerate(entries, 1):
        yield f"{path}, entry {number}", entry


def _entries_of_lines(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    *lines, last = text.split("\n")
    if _is_whole(last):
        lines.append(last)
    for number, line in enumerate(lines, 1):
        place = f"{path}, line {number}"
        try:
            yield place, json.loads(line)
        except UNREADABLE_JSON as error:
            raise ListError(f"{place} is no JSON ({_reason(error)}): mend it, or make the list again.") from error


def _end_last_line(file: BinaryIO) -> None:
    """Give a whole last line the end that it lacks; cut off one that a crash tore."""
    start = max(0, file.seek(0, os.SEEK_END) - MAX_LINE)
    file.seek(start)
    before, end, last = file.read().rpartition(b"\n")
    if _is_whole(last.decode(errors="replace")):
        file.write(b"\n")
    else:
        file.truncate(start + len(before) + len(end))


def _is_whole(line: str) -> bool:
    """Whether a line without its end is a whole JSON object all the same: no beginning of one is another."""
    try:
        return isinstance(json.loads(line), dict)
    except UNREADABLE_JSON:
        return False


@lru_cache
def _fields_of(kind: type) -> dict[str, tuple[Any, bool]]:
    """Each field's type, and whether it must be given."""
    hints = get_type_hints(kind)
    return {
        one.name: (hints[one.name], one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING)
        for one in dataclasses.fields(kind)
    }


def _is_of(value: object, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if isinstance(value, bool):  # which Python counts among the numbers
        return bool in kinds
    return isinstance(value, kinds)


def _shown(value: object) -> str:
    """A JSON value, short."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _reason(error: Exception) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error)
