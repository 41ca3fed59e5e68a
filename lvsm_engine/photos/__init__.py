"""Photos as the model needs them, each together with its camera; and pictures as files.

In memory pictures are (H, W, 3) float32 in [0, 1], sRGB-encoded.
"""

from .image_files import save_image, to_bytes
from .sheets import SHEET_ROW_HEIGHT, contact_sheet, sheet_cell
from .views import WHITE, fit_photo, load_cut_out, load_photo, resize_image

__all__ = [
    "SHEET_ROW_HEIGHT",
    "WHITE",
    "contact_sheet",
    "fit_photo",
    "load_cut_out",
    "load_photo",
    "resize_image",
    "save_image",
    "sheet_cell",
    "to_bytes",
]
