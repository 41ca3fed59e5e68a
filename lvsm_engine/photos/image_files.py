"""Image files: decoded to what a photo is in memory, and written.

Which formats are read is scene.picture_formats' to say; here colours become sRGB of 8 bits, once the size and the memory that
a file claims have been looked at.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

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

# What a photo takes at its peak on its way to float32: as it is stored, and twice as floats, the second with its alpha.
BYTES_OF_A_PIXEL, BYTES_OF_A_TRANSPARENT_PIXEL = 27, 80
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


def decode_file(source: Path | np.ndarray, what: str, is_wide: bool, free: float | None) -> np.ndarray:
    """An image file, or its bytes (N,), as (H, W, 3 or 4) uint8: sRGB-encoded, straight alpha.

    what: "the photo of NAME", for messages. is_wide: whether it is to be wider than high: it is turned as its EXIF says where
    it is not so as it is stored. free: bytes of memory that may be taken, None where that is not known.
    Raises CaptureError for a file that is missing or cannot be read; DeviceError for one that does not fit.
    """
    stored = io.BytesIO(source.tobytes()) if isinstance(source, np.ndarray) else source
    what = what if isinstance(source, np.ndarray) else f"{source}: {what}"
    name = "picture"
    try:
        name = picture_format(stored)
        if name in FLOAT_FORMATS:
            width, height = float_picture_size(stored)
            _check_memory(what, width * height, True, free)
            return read_float_file(stored, name)
        return _decode_by_pillow(stored, what, is_wide, free)
    except FileNotFoundError as error:
        raise CaptureError(f"{what} is missing: locate it.", LOCATE_PHOTOS) from error
    except LvsmError:
        raise
    except Exception as error:  # readers raise whatever a damaged file makes them stumble over
        raise CaptureError(
            f"{what} cannot be read ({why(error, name)}): replace it or leave the view out.", LOCATE_PHOTOS
        ) from error


def _decode_by_pillow(stored: Path | io.BytesIO, what: str, is_wide: bool, free: float | None) -> np.ndarray:
    with open_picture(stored) as file:
        has_alpha = file.mode in ("RGBA", "LA", "PA") or "transparency" in file.info
        _check_memory(what, file.width * file.height, has_alpha, free)
        picture = _in_8_bits(_turned(file, is_wide), file.format)
        colours = in_srgb(picture, file.info.get("icc_profile"))
        if has_alpha:
            colours.putalpha(picture.convert("RGBA").getchannel("A"))
        return np.asarray(colours)


def _turned(file: Image.Image, is_wide: bool) -> Image.Image:
    """The picture as it is stored, which is how most solvers take it; as its EXIF turns it where only so it is wide, or not."""
    done = turn_when_loaded(file)
    is_stored_wide = (file.height > file.width) if done >= 5 else (file.width > file.height)
    if is_stored_wide != is_wide:
        return file if done > 1 else ImageOps.exif_transpose(file)
    return file.transpose(UNDONE[done]) if done in UNDONE else file


def _check_memory(what: str, pixels: int, has_alpha: bool, free: float | None) -> None:
    """Before any is taken: a file of some kilobytes may be a photo of gigabytes. Raises DeviceError."""
    need = pixels * (BYTES_OF_A_TRANSPARENT_PIXEL if has_alpha else BYTES_OF_A_PIXEL)
    if free is not None and need > free:
        raise DeviceError(f"{what} needs about {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free: shrink it.")


def _in_8_bits(picture: Image.Image, file_format: str | None) -> Image.Image:
    """A grey picture of 16 bits scaled to 8, which Pillow would clip, and a palette's colours; others as they are.

    A PNG has at most 16 bits, also where Pillow gives it 32. Raises Unreadable.
    """
    if picture.mode.startswith("I;16") or (picture.mode == "I" and file_format in ("PNG", "PPM")):
        return Image.fromarray(np.rint(np.asarray(picture, np.float32) / 257).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise Unreadable("its pixels are 32-bit numbers, not colours of 8 or 16 bits")
    return picture.convert("RGBA") if picture.mode in ("P", "PA") else picture


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Float in [0, 1] -> uint8, rounded to the nearest k / 255; uint8 stays."""
    return image if image.dtype == np.uint8 else np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def save_image(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3 or 4), float in [0, 1] or uint8, in the format of the name's ending: whole, or not at all.

    Raises OutputError.
    """
    path = Path(path)
    picture, file_format = Image.fromarray(to_bytes(image)), Image.registered_extensions()[path.suffix.lower()]
    write_whole(path, lambda part: picture.save(part, format=file_format))
