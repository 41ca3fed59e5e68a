"""A model's file in parts that are small enough to be carried, and whole again.

A part's name tells all: weights.STEP.DIGEST.KofN, STEP being the steps that these weights have had on all cards, DIGEST the
beginning of the whole file's SHA-256. Knows nothing of what is in the file.
"""

import contextlib
import hashlib
import re
from pathlib import Path

from lvsm_engine.errors import LvsmError
from lvsm_engine.whole_files import write_bytes

PART_BYTES = 15 * 2**20
"""Under the 16 MiB that a file may have on its way."""
DIGEST_LETTERS = 12
NAME = re.compile(rf"weights\.(\d+)\.([0-9a-f]{{{DIGEST_LETTERS}}})\.(\d+)of(\d+)")


class WeightsError(LvsmError):
    """Parts of a model's file do not make one."""


def split_weights(file: Path, folder: Path, step: int, part_bytes: int = PART_BYTES) -> list[Path]:
    """Write a file's parts into a folder, and then take out those of another file. Raises OutputError."""
    content = file.read_bytes()
    count = -(-len(content) // part_bytes)
    stem = f"weights.{step}.{_digest(content)}"
    parts = [folder / f"{stem}.{number}of{count}" for number in range(1, count + 1)]
    for number, part in enumerate(parts):
        write_bytes(part, content[number * part_bytes : (number + 1) * part_bytes])
    for other in _parts(folder):
        if other not in parts:
            with contextlib.suppress(FileNotFoundError):
                other.unlink()
    return parts


def join_weights(folder: Path, out: Path) -> int | None:
    """Write the file whose parts are in a folder, and return its step; None where there is no part.

    Of several files' parts those of the most steps are taken that are all there. Raises WeightsError where none are.
    """
    found: dict[tuple[int, str, int], dict[int, Path]] = {}
    for part in _parts(folder):
        step, digest, number, count = NAME.fullmatch(part.name).groups()  # type: ignore[union-attr]
        found.setdefault((int(step), digest, int(count)), {})[int(number)] = part
    for (step, digest, count), parts in sorted(found.items(), reverse=True):
        if sorted(parts) == list(range(1, count + 1)):
            content = b"".join(parts[number].read_bytes() for number in sorted(parts))
            if _digest(content) == digest:
                write_bytes(out, content)
                return step
    if found:
        raise WeightsError(
            f"{folder}: parts of the weights are missing or damaged: bring all of them again, or delete them to train anew."
        )
    return None


def _parts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("weights.*") if NAME.fullmatch(path.name))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGEST_LETTERS]
