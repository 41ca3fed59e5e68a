"""Text on disk: whole, or not at all."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write under a temporary name, flush to the disk, rename; UTF-8."""
    part = path.with_name(path.name + ".part")
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
