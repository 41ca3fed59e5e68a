"""Image files: decoded to what a photo is in memory, and written.

Which formats are read is scene.picture_formats' to say; here colours become sRGB of 8 bits, once the size and the memory that
a file claims have been looked at.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from ..errors import LOCATE_PHOTOS, CaptureError, DeviceError, LvsmError
from ..scene.picture_formats import (
    FLOAT_FORMATS,
    Unreadable,
    float_picture_size,
    open_picture,
    picture_format,
    turn_when_loaded,
    why,
)
from ..whole_files import write_whole
from .colour_profiles import in_srgb
from .float_files import read_float_file

# What a pixel takes at the peak of its way: while its file is decoded, and as floats once it is handed on.
BYTES_OF_A_DECODED_PIXEL, BYTES_OF_A_FLOAT_PIXEL = 16, 36
# A photo is shrunk to no less than so many times the side that is wanted: what is left to do is done well.
MARGIN = 2
# So much smaller libjpeg decodes at once, by leaving out what is finer.
JPEG_STEPS = (8, 4, 2)
# What undoes the turn of each EXIF orientation but the first, which is none.
UNDONE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture as it was asked for.

    pixels: (h, w, 3 or 4) uint8, sRGB-encoded, straight alpha; each is the mean of step x step pixels of the picture, whose
    size is (width, height), from its first on: what is left over at its right and bottom is left out.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    step: int


def step_to(width: int, height: int, side: int | None) -> int:
    """How many pixels may be one in a picture of which no more than `side` pixels a side are wanted; None: all of them."""
    return 1 if side is None else max(1, min(width, height) // (MARGIN * side))


def decode_file(
    source: Path | np.ndarray, what: str, is_wide: bool, side: int | None = None, free: float | None = None
) -> Decoded:
    """An image file, or its bytes (N,).

    what: "the photo of NAME", for messages. is_wide: whether it is to be wider than high: it is turned as its EXIF says where
    it is not so as it is stored. side: how many pixels a side are wanted of it, at most; None: all. A picture with alpha is
    never shrunk: its colours do not mix as they are. free: bytes of memory that may be taken, None where that is not known.
    Raises CaptureError for a file that is missing or cannot be read; DeviceError for one that does not fit.
    """
    stored = io.BytesIO(source.tobytes()) if isinstance(source, np.ndarray) else source
    what = what if isinstance(source, np.ndarray) else f"{source}: {what}"
    name = "picture"
    try:
        name = picture_format(stored)
        if name in FLOAT_FORMATS:
            width, height = float_picture_size(stored)
            _check_memory(what, width * height, width * height, free)
            return Decoded(read_float_file(stored, name), (width, height), 1)
        return _decode_by_pillow(stored, what, is_wide, side, free)
    except FileNotFoundError as error:
        raise CaptureError(f"{what} is missing: locate it.", LOCATE_PHOTOS) from error
    except LvsmError:
        raise
    except Exception as error:  # readers raise whatever a damaged file makes them stumble over
        raise CaptureError(
            f"{what} cannot be read ({why(error, name)}): replace it or leave the view out.", LOCATE_PHOTOS
        ) from error


def _decode_by_pillow(
    stored: Path | io.BytesIO, what: str, is_wide: bool, side: int | None, free: float | None
) -> Decoded:
    with open_picture(stored) as file:
        (width, height), has_alpha = file.size, file.mode in ("RGBA", "LA", "PA") or "transparency" in file.info
        step = 1 if has_alpha else step_to(width, height, side)
        drafted = _draft(file, step)
        _check_memory(what, file.width * file.height, width * height // step**2, free)
        picture = _in_8_bits(_turned(file, is_wide), file.format)
        size = (picture.width * drafted, picture.height * drafted)
        picture, step = _shrunk(picture, step // drafted), step // drafted * drafted
        colours = in_srgb(picture, file.info.get("icc_profile"))
        if has_alpha:
            colours.putalpha(picture.convert("RGBA").getchannel("A"))
        return Decoded(np.asarray(colours), size, step)


def _draft(file: Image.Image, step: int) -> int:
    """Have a JPEG decoded smaller, by a whole number up to `step` that divides its sides. Returns that number: 1 of others."""
    fitting = (some for some in JPEG_STEPS if some <= step and file.width % some == file.height % some == 0)
    number, width = next(fitting, 1), file.width
    if number > 1:
        file.draft(file.mode, (file.width // number, file.height // number))
    return width // file.width


def _shrunk(picture: Image.Image, step: int) -> Image.Image:
    """The mean of each step x step pixels, without what is left over at the right and the bottom."""
    if step == 1:
        return picture
    picture = picture.convert("L") if picture.mode == "1" else picture
    return picture.reduce(step, (0, 0, picture.width // step * step, picture.height // step * step))


def _turned(file: Image.Image, is_wide: bool) -> Image.Image:
    """The picture as it is stored, which is how most solvers take it; as its EXIF turns it where only so it is wide, or not."""
    done = turn_when_loaded(file)
    is_stored_wide = (file.height > file.width) if done >= 5 else (file.width > file.height)
    if is_stored_wide != is_wide:
        return file if done > 1 else ImageOps.exif_transpose(file)
    return file.transpose(UNDONE[done]) if done in UNDONE else file


def _check_memory(what: str, decoded: int, handed_on: int, free: float | None) -> None:
    """Before any is taken for so many pixels: a file of some kilobytes may be a photo of gigabytes. Raises DeviceError."""
    need = decoded * BYTES_OF_A_DECODED_PIXEL + handed_on * BYTES_OF_A_FLOAT_PIXEL
    if free is not None and need > free:
        raise DeviceError(f"{what} needs about {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free: shrink it.")


def _in_8_bits(picture: Image.Image, file_format: str | None) -> Image.Image:
    """A grey picture of 16 bits scaled to 8, which Pillow would clip, and a palette's colours; others as they are.

    A PNG has at most 16 bits, also where Pillow gives it 32. Raises Unreadable.
    """
    if picture.mode.startswith("I;16") or (picture.mode == "I" and file_format in ("PNG", "PPM")):
        return Image.fromarray(cv2.convertScaleAbs(np.asarray(picture).astype(np.uint16, copy=False), alpha=1 / 257))
    if picture.mode in ("I", "F"):
        raise Unreadable("its pixels are 32-bit numbers, not colours of 8 or 16 bits")
    return picture.convert("RGBA") if picture.mode in ("P", "PA") else picture


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Float in [0, 1] -> uint8, rounded to the nearest k / 255; uint8 stays."""
    return image if image.dtype == np.uint8 else np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def save_image(path: Path, image: np.ndarray, text: Mapping[str, str] | None = None) -> None:
    """Write (H, W, 3 or 4), float in [0, 1] or uint8, in the format of the name's ending: whole, or not at all. text: told in a
    PNG file, by names.

    Raises OutputError.
    """
    path = Path(path)
    picture, file_format = Image.fromarray(to_bytes(image)), Image.registered_extensions()[path.suffix.lower()]
    told = PngInfo()
    for name, line in (text or {}).items():
        told.add_itxt(name, line)
    options = {"pnginfo": told} if file_format == "PNG" else {}
    write_whole(path, lambda part: picture.save(part, format=file_format, **options))
