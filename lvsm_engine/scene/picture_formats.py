"""Which formats are photos, told by a file's first bytes; and a photo's file opened, not decoded. No torch, no bpy.

A file is opened as what its first bytes say, by that one reader of Pillow's: none of those that start programs (as the one
for PostScript does) is ever asked, whatever the file is called. Pillow and its plug-ins are imported when they are needed.
"""

import io
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..whole_files import refuse_pipe
from .camera import MAX_PIXELS, TOO_MANY_PIXELS, check_picture_size

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

EXR, HDR, HEIC, AVIF, TIFF, TARGA = "OpenEXR", "Radiance HDR", "HEIC", "AVIF", "TIFF", "Targa"
PILLOWS_NAMES = {
    "PNG": "PNG",
    "JPEG": "JPEG",
    "GIF": "GIF",
    "BMP": "BMP",
    "WebP": "WEBP",
    "JPEG 2000": "JPEG2000",
    "PNM": "PPM",
    "Photoshop": "PSD",
    TIFF: "TIFF",
    AVIF: "AVIF",
    HEIC: "HEIF",
    TARGA: "TGA",
}
"""The formats that are decoded by Pillow."""
FLOAT_FORMATS = (EXR, HDR)
"""Those of scene-linear floats."""
ENDINGS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WebP": (".webp",),
    TIFF: (".tif", ".tiff"),
    "BMP": (".bmp",),
    HEIC: (".heic", ".heif"),
    AVIF: (".avif",),
    EXR: (".exr",),
    HDR: (".hdr",),
    "JPEG 2000": (".jp2",),
    TARGA: (".tga",),
    "GIF": (".gif",),
    "PNM": (".ppm",),
    "Photoshop": (".psd",),
}
"""What their files are called, in the order in which photos are looked for."""

BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"8BPS": "Photoshop",
    b"\x76\x2f\x31\x01": EXR,
    b"#?RADIANCE": HDR,
    b"#?RGBE": HDR,
    **{b"P%d" % number: "PNM" for number in range(1, 7)},
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TIFF),
    # Not read, and told by name.
    **dict.fromkeys((b"%!PS", b"\xc5\xd0\xd3\xc6"), "PostScript"),
    **dict.fromkeys((b"\xff\x0a", b"\x00\x00\x00\x0cJXL "), "JPEG XL"),
    **dict.fromkeys((b"SDPX", b"XPDS"), "DPX"),
    **dict.fromkeys((b"<svg", b"<?xml"), "SVG or XML"),
    b"%PDF": "PDF",
    b"\x80\x2a\x5f\xd7": "Cineon",
    b"DDS ": "DDS",
    b"FUJIFILMCCD-RAW": "camera's raw",
    b"IIU\0": "camera's raw",
    b"IIRO": "camera's raw",
}
# ISO base media files tell what they are in brands, the first at byte 8.
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
AVIF_BRANDS = {b"avif", b"avis"}
BEGINNING_BYTES = 64
# TIFF 6.0, NewSubfileType: bit 0 is set where a picture is a smaller copy of another in the file.
NEW_SUBFILE_TYPE = 254
# TIFF's and EXIF's orientation: 1 as it is stored, from 5 on with width and height exchanged.
ORIENTATION = 274
# The header of a float picture ends before this, or is no header.
MAX_HEADER_BYTES = 2**20


class Unreadable(ValueError):
    """Why a picture cannot be read, in words for the brackets of a sentence: of ours only, never of a file or library."""


def picture_format(stored: Path | io.BytesIO) -> str:
    """What a file is: one of PILLOWS_NAMES or FLOAT_FORMATS. Raises Unreadable for all else; OSError."""
    if isinstance(stored, Path):
        refuse_pipe(stored)
        with open(stored, "rb") as file:
            beginning = file.read(BEGINNING_BYTES)
    else:
        beginning = stored.getvalue()[:BEGINNING_BYTES]
    if not beginning:
        raise Unreadable("it is empty")
    name = _format_of(beginning)
    if name is None and isinstance(stored, Path) and stored.suffix.lower() == ".tga":  # which begins with anything
        return TARGA
    if name is None:
        raise Unreadable("it is in no known format of pictures")
    if name not in PILLOWS_NAMES and name not in FLOAT_FORMATS:
        raise Unreadable(f"it is a {name} file: save it as PNG or JPEG")
    return name


def ending_of(stored: Path | io.BytesIO) -> str:
    """What a picture's file is to be called. Raises Unreadable."""
    return ENDINGS[picture_format(stored)][0]


def _format_of(beginning: bytes) -> str | None:
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "WebP"
    if beginning[4:8] == b"ftyp":
        brands = {beginning[start : start + 4] for start in (8, *range(16, BEGINNING_BYTES, 4))}
        if beginning[8:12] in AVIF_BRANDS | HEIC_BRANDS:
            return AVIF if brands & AVIF_BRANDS else HEIC
        return "camera's raw" if beginning[8:12] == b"crx " else "video"
    return next((name for start, name in BEGINNINGS.items() if beginning.startswith(start)), None)


def open_picture(stored: Path | io.BytesIO) -> "Picture":
    """A picture whose header is read and whose size is one that a picture may have: its first, where a file has several.

    Raises Unreadable; OSError where there is no file or it may not be read; ImportError without Pillow.
    """
    from PIL import Image

    name = picture_format(stored)
    _find_reader(name)
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own limit is an error at twice this number: ours is checked first
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is wrong is an error, or harmless
        try:
            picture = Image.open(stored, formats=(PILLOWS_NAMES[name],))
        except Image.DecompressionBombError as error:
            raise Unreadable(f"its pixels are {TOO_MANY_PIXELS}") from error
        except Exception as error:  # Pillow's readers raise whatever a damaged file makes them stumble over
            raise Unreadable(why(error, name)) from error
    try:
        _check_size(*picture.size)
        if name == TIFF and _is_preview(picture):
            raise Unreadable("it is a camera's raw file: develop it to PNG, TIFF or JPEG")
    except Unreadable:
        picture.close()
        raise
    return picture


def why(error: Exception, name: str) -> str:
    """What is wrong with a picture's file of this format, by what its reader raised: the system's words or ours."""
    if isinstance(error, Unreadable):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"it is cut short, damaged, or of an unusual kind of {name}"


def _find_reader(name: str) -> None:
    """Have Pillow know what reads a format. Raises Unreadable where that is not installed."""
    if name == HEIC:
        try:
            from pillow_heif import register_heif_opener
        except ImportError as error:
            raise Unreadable("it is a HEIC file: install the package pillow-heif, or save it as JPEG") from error
        register_heif_opener()
    if name == AVIF:
        from PIL import features

        if AVIF.lower() not in features.get_supported():
            raise Unreadable(
                "it is an AVIF file: install the package pillow in version 11.3 or later, or save it as JPEG"
            )


def _check_size(width: int, height: int) -> None:
    try:
        check_picture_size(width, height)
    except ValueError as error:
        raise Unreadable(str(error)) from error
    if width < 1 or height < 1:
        raise Unreadable("it has no pixels")


def _is_preview(picture: "Picture") -> bool:
    """Whether a TIFF's first picture is a smaller copy, as in the raw files of many cameras, DNG's among them."""
    kind = getattr(picture, "tag_v2", {}).get(NEW_SUBFILE_TYPE)
    return isinstance(kind, int) and bool(kind & 1)


def picture_size(stored: Path | io.BytesIO) -> tuple[int, int]:
    """Width and height of a picture as it is stored. Raises what open_picture raises, which does not know floats."""
    if picture_format(stored) in FLOAT_FORMATS:
        return float_picture_size(stored)
    with open_picture(stored) as picture:
        width, height = picture.size
        return (height, width) if turn_when_loaded(picture) >= 5 else (width, height)


def turn_when_loaded(picture: "Picture") -> int:
    """The orientation by which Pillow turns a picture itself, its size already told: a TIFF's. 1 of all others."""
    orientation = picture.tag_v2.get(ORIENTATION) if picture.format == TIFF else None  # type: ignore[attr-defined]
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def float_picture_size(stored: Path | io.BytesIO) -> tuple[int, int]:
    """Width and height of an OpenEXR or Radiance file, by its header. Raises Unreadable, OSError."""
    name = picture_format(stored)
    if isinstance(stored, Path):
        with open(stored, "rb") as file:
            header = file.read(MAX_HEADER_BYTES)
    else:
        header = stored.getvalue()[:MAX_HEADER_BYTES]
    try:
        width, height = _exr_size(io.BytesIO(header)) if name == EXR else _hdr_size(header)
    except (struct.error, ValueError, KeyError) as error:
        raise Unreadable(why(error, name)) from error
    _check_size(width, height)
    return width, height


def _exr_size(file: BinaryIO) -> tuple[int, int]:
    """Of the first part's data window, which must be all of its picture."""
    file.read(8)  # what every EXR begins with, and its version
    windows = {}
    while name := _word(file):
        kind, (length,) = _word(file), struct.unpack("<i", file.read(4))
        value = file.read(max(0, length))
        if kind == b"box2i":
            windows[name] = struct.unpack("<4i", value)
    if windows[b"dataWindow"] != windows[b"displayWindow"]:
        raise Unreadable(
            "it keeps more or less than its picture: save it with its data window equal to its display window"
        )
    left, top, right, bottom = windows[b"dataWindow"]
    return right - left + 1, bottom - top + 1


def _word(file: BinaryIO) -> bytes:
    """The bytes up to a zero."""
    word = b""
    while (letter := file.read(1)) not in (b"", b"\0"):
        word += letter
    return word


def _hdr_size(header: bytes) -> tuple[int, int]:
    """By the line after the first empty one, in the only order that is in use: `-Y height +X width`."""
    down, height, across, width = header.split(b"\n\n", 1)[1].split(b"\n", 1)[0].split()
    if (down, across) != (b"-Y", b"+X"):
        raise Unreadable("its rows are not stored from top to bottom")
    return int(width), int(height)
