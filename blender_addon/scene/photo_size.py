"""How large the picture in an image file is, by its header: PNG and JPEG. No bpy; nothing is decoded.

Blender tells the size of an image after it has decoded all of it: a third of a second for a photo of 24 megapixels.
"""

import struct
from typing import BinaryIO

PNG_BEGINNING = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
JPEG_BEGINNING = b"\xff\xd8"
# ITU-T T.81, table B.1: the frame headers SOF0 to SOF15, without DHT, JPG and DAC in between; and SOS.
FRAME_MARKERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SCAN_MARKER = 0xDA


def header_size(file: BinaryIO) -> tuple[int, int] | None:
    """Width and height of the PNG or JPEG that a file object begins with, EXIF's turns aside; None for others."""
    try:
        size = _png_size(file)
        if size is None:
            file.seek(0)
            size = _jpeg_size(file)
    except struct.error:  # it ends too early
        return None
    return size if size is not None and all(size) else None


def _png_size(file: BinaryIO) -> tuple[int, int] | None:
    return struct.unpack(">II", file.read(8)) if file.read(len(PNG_BEGINNING)) == PNG_BEGINNING else None


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    if file.read(len(JPEG_BEGINNING)) != JPEG_BEGINNING:
        return None
    while True:
        mark, marker = struct.unpack(">BB", file.read(2))
        while mark == marker == 0xFF:  # fill bytes
            (marker,) = struct.unpack(">B", file.read(1))
        if mark != 0xFF or marker == SCAN_MARKER:
            return None
        (length,) = struct.unpack(">H", file.read(2))
        if marker in FRAME_MARKERS:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height
        file.seek(length - 2, 1)
