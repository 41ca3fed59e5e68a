"""Pictures of scene-linear floats, OpenEXR and Radiance HDR, as photos: sRGB-encoded, of 8 bits.

What is brighter than white is cut off, as a camera does and as Blender's view "Standard" shows it.
"""

import io
from pathlib import Path

import cv2
import numpy as np

from ..scene.picture_formats import EXR, Unreadable
from ..scene.srgb import to_srgb

# So many values are encoded at a time: the whole in float64 would be the most that a photo takes.
ROWS_AT_ONCE = 64


def read_float_file(stored: Path | io.BytesIO, name: str) -> np.ndarray:
    """A file of this format, one of FLOAT_FORMATS, as (H, W, 3 or 4) uint8 with straight alpha.

    Raises Unreadable, or what its reader raises.
    """
    light = _read_exr(stored) if name == EXR else _read_hdr(stored)
    pixels = np.empty(light.shape, np.uint8)
    for top in range(0, len(light), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        pixels[rows] = _encoded(light[rows].astype(np.float32))
    return pixels


def _read_exr(stored: Path | io.BytesIO) -> np.ndarray:
    """(H, W, 3 or 4) float16 or float32, colours multiplied by alpha."""
    try:
        import OpenEXR
    except ImportError as error:
        raise Unreadable("it is an OpenEXR file: install the package OpenEXR, or save it as PNG or JPEG") from error
    with OpenEXR.File(str(stored) if isinstance(stored, Path) else stored) as file:
        channels = file.channels()
        for colours in ("RGBA", "RGB", "Y"):
            if colours in channels:
                light = channels[colours].pixels
                return light if light.ndim == 3 else np.repeat(light[..., None], 3, axis=2)
    raise Unreadable("it has no channels R, G and B: save it as an OpenEXR file of one layer, or as PNG")


def _read_hdr(stored: Path | io.BytesIO) -> np.ndarray:
    """(H, W, 3) float32."""
    content = stored.read_bytes() if isinstance(stored, Path) else stored.getvalue()
    light = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if light is None or light.ndim != 3 or light.dtype != np.float32:
        raise ValueError("no picture of floats")
    return light[..., ::-1]


def _encoded(light: np.ndarray) -> np.ndarray:
    """Linear light (H, W, 3 or 4), multiplied by alpha -> sRGB-encoded uint8, straight alpha. What is no number counts as 0."""
    light = np.nan_to_num(light, nan=0.0)
    if light.shape[2] == 4:
        light[..., :3] /= np.maximum(light[..., 3:], np.finfo(np.float32).eps)
        light[..., 3:] = light[..., 3:].clip(0, 1)
    light[..., :3] = to_srgb(light[..., :3])
    return np.rint(light * 255).astype(np.uint8)
