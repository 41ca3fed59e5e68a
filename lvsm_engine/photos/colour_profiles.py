"""Pictures with a colour profile (ICC) in sRGB. Knows pictures of 8 bits, no files.

Colours that sRGB has stay what they are, those outside are cut off (relative colorimetric intent, with black point
compensation for print): photos of several cameras agree with each other, which perceptual intent would leave to the taste of
whoever made each profile.
"""

import io

import numpy as np
from PIL import Image, ImageCms

# What profiles call the spaces that pictures are in, and Pillow's modes for them.
MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
GREY_MODES = ("1", "L", "LA")
# A profile that moves no colour by more than this, of 255, is sRGB itself, and rounding.
SAME = 1
PROBES_A_SIDE = 17


def in_srgb(picture: Image.Image, profile: object) -> Image.Image:
    """A picture without its alpha as RGB, sRGB-encoded.

    profile: the bytes of an ICC profile. A picture with none, a broken one or one of other colours than its own is taken for
    sRGB; one of sRGB keeps its pixels.
    """
    transform = _transform(picture.mode, profile) if isinstance(profile, bytes) else None
    if transform is None:
        return picture.convert("RGB")
    changed = transform.apply(picture.convert(transform.input_mode))
    return changed.convert("RGB")


def _transform(mode: str, profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """What brings a picture of a mode to sRGB; None where nothing does, or nothing needs to."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        wanted = MODES.get(source.profile.xcolor_space)
        if wanted is None or (wanted == "CMYK") != (mode == "CMYK") or (wanted == "L" and mode not in GREY_MODES):
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            wanted,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # a profile that cannot be used: the picture is all there is
    return None if wanted != "CMYK" and _changes_nothing(transform) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    levels = np.linspace(0, 255, PROBES_A_SIDE).round().astype(np.uint8)
    probes = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    if transform.input_mode == "L":
        probes = np.repeat(levels[None, :, None], 3, axis=2)
    given = Image.fromarray(np.ascontiguousarray(probes)).convert(transform.input_mode)
    changed = np.asarray(transform.apply(given), np.int16)
    return bool(np.abs(changed - probes).max() <= SAME)
