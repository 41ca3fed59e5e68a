"""Look at what is in a folder of views, of shards, or in a capture.

python -m training.views data/views/train --sheet sheet.png
"""

from pathlib import Path

import tyro
from PIL import Image

from .sheet import views_sheet


def main(folder: tyro.conf.Positional[Path], sheet: Path, size: int = 64, rows: int = 24, columns: int = 14) -> None:
    """Write a contact sheet of a folder of views, of shards, or of a capture.

    Args:
        folder: Folder of .npz files or shards, or a posed capture.
        sheet: The picture to write.
        size: Pixels a side of each view; a divisor of the stored size.
        rows: Scenes, spread evenly over the folder.
        columns: Views of each.
    """
    Image.fromarray(views_sheet(folder, size, rows, columns)).save(sheet)


if __name__ == "__main__":
    tyro.cli(main)
