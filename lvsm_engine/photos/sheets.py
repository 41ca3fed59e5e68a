"""Contact sheets: rows of pictures with labels, to be looked at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .image_files import save_image, to_bytes

SHEET_ROW_HEIGHT = 160
SHEET_MAX_CELL_WIDTH = 8 * SHEET_ROW_HEIGHT
SHEET_GAP = 4
SHEET_LABEL_HEIGHT = 16


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], labels: Sequence[str], path: Path) -> None:
    """Write rows of pictures (any sizes), a label above each row. Raises OutputError."""
    strips = []
    for row, label in zip(rows, labels, strict=True):
        cells = [sheet_cell(image) for image in row]
        width = sum(cell.shape[1] + SHEET_GAP for cell in cells) + SHEET_GAP
        strip = Image.new("RGB", (width, SHEET_ROW_HEIGHT + SHEET_LABEL_HEIGHT + SHEET_GAP), "white")
        ImageDraw.Draw(strip).text((SHEET_GAP, 2), label, fill="black", font=ImageFont.load_default(12))
        left = SHEET_GAP
        for cell in cells:
            strip.paste(Image.fromarray(cell), (left, SHEET_LABEL_HEIGHT))
            left += cell.shape[1] + SHEET_GAP
        strips.append(strip)
    sheet = Image.new("RGB", (max(strip.width for strip in strips), sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    save_image(path, np.asarray(sheet))


def sheet_cell(image: np.ndarray) -> np.ndarray:
    """A picture at the contact sheet's row height, uint8; a panorama at the most width instead.

    Small ones are enlarged without smoothing, to judge their pixels.
    """
    height, width = image.shape[:2]
    scale = min(SHEET_ROW_HEIGHT / height, SHEET_MAX_CELL_WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = Image.Resampling.NEAREST if height < SHEET_ROW_HEIGHT else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(to_bytes(np.asarray(image))).resize(size, method))
