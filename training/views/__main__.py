"""Look at what is in a folder of views, of shards, or in a capture.

python -m training.views data/views/train --sheet sheet.png
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from lvsm_engine.photos import save_image

from ..exit_status import exit_status
from .sheet import views_sheet


@dataclass(frozen=True)
class Options:
    """Write a contact sheet of a folder of views, of shards, or of a capture."""

    folder: tyro.conf.Positional[Path]
    """Folder of .npz files or shards, or a posed capture."""
    sheet: Path
    """The picture to write."""
    size: int = 64
    """Pixels a side of each view; a divisor of the stored size."""
    rows: int = 24
    """Scenes, spread evenly over the folder."""
    columns: int = 14
    """Views of each."""


def main(options: Options) -> int:
    return exit_status(lambda: draw(options))


def draw(options: Options) -> None:
    """Write the sheet. Raises ViewsError, OutputError."""
    save_image(options.sheet, views_sheet(options.folder, options.size, options.rows, options.columns))


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
