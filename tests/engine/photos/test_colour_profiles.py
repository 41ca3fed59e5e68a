"""A photo's colours are what its profile says they are."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from lvsm_engine.photos import WHITE, load_photo
from lvsm_engine.scene.camera import Camera, View
from lvsm_engine.scene.srgb import to_linear
from tests.colour_profiles import SPACES, cmyk_profile, grey_profile, light_in, rgb_profile

CAMERA = Camera(np.eye(4), 40.0, 40.0, 24.0, 16.0, 48, 32)
COLOURS = np.random.default_rng(0).integers(40, 220, (32, 48, 3)).astype(np.uint8)
BROKEN = b"\0\0\x01\0lcms" + b"\xff" * 300


def loaded(picture, file_format="PNG", **options):
    """A picture (H, W, 3) in levels of 255, after a file."""
    stored = io.BytesIO()
    picture.save(stored, file_format, **options)
    return load_photo(View(CAMERA, np.frombuffer(stored.getvalue(), np.uint8), "a"), WHITE)[0] * 255


def in_space(name):
    return np.rint(light_in(name, to_linear(COLOURS / 255)) * 255).astype(np.uint8)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("name", [name for name in SPACES if name != "sRGB"])
def test_a_photo_of_a_wide_gamut_has_the_colours_that_it_had(name, file_format):
    options = {"lossless": True} if file_format == "WEBP" else {}
    difference = np.abs(
        loaded(Image.fromarray(in_space(name)), file_format, icc_profile=rgb_profile(name), **options) - COLOURS
    )
    assert difference.mean() < 0.5 and difference.max() <= 5
    assert np.abs(in_space(name).astype(int) - COLOURS).mean() > 7  # what it would be as sRGB


def test_a_jpeg_of_a_wide_gamut_has_the_colours_that_it_had():
    flat = np.full((32, 48, 3), (180, 90, 60), np.uint8)
    light = light_in("Display P3", to_linear(flat / 255))
    stored = Image.fromarray(np.rint(light * 255).astype(np.uint8))
    assert np.abs(loaded(stored, "JPEG", quality=95, icc_profile=rgb_profile("Display P3")) - flat).max() < 4


def test_a_photo_in_srgb_keeps_its_pixels():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_allclose(loaded(Image.fromarray(COLOURS), icc_profile=profile), COLOURS, atol=1e-4)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_grey_photo_has_the_light_that_its_profile_says(mode):
    grey = np.repeat(COLOURS[..., :1], 3, axis=2)
    light = to_linear(grey[..., 0] / 255) ** (1 / 1.5)
    if mode == "I;16":
        picture = Image.fromarray(np.rint(light * 65535).astype(np.uint16))
    else:
        picture = Image.fromarray(np.rint(light * 255).astype(np.uint8)).convert(mode)
    assert np.abs(loaded(picture, icc_profile=grey_profile(1.5)) - grey).max() <= 2


def test_print_becomes_light():
    inks = np.zeros((32, 48, 4), np.uint8)
    inks[:, :12, 0] = inks[:, 12:24, 1] = inks[:, 24:36, 3] = 255
    wanted = np.full((32, 48, 3), 255.0)
    wanted[:, :12, 0] = wanted[:, 12:24, 1] = wanted[:, 24:36] = 0
    for file_format, options in (("TIFF", {}), ("JPEG", {"quality": 100})):
        for profile in (cmyk_profile(), None):
            image = loaded(Image.fromarray(inks, "CMYK"), file_format, icc_profile=profile, **options)
            assert np.abs(image - wanted)[:, [6, 18, 30, 42]].max() < 6, (file_format, profile is None)


def test_transparency_stays_beside_a_profile():
    picture = Image.fromarray(in_space("ProPhoto")).convert("RGBA")
    clear = np.full((32, 48), 255, np.uint8)
    clear[:, 24:] = 0
    picture.putalpha(Image.fromarray(clear))
    image = loaded(picture, icc_profile=rgb_profile("ProPhoto"))
    assert np.abs(image - COLOURS)[:, :24].mean() < 0.5
    np.testing.assert_allclose(image[:, 24:], 255, atol=1e-3)


@pytest.mark.parametrize(
    "profile", [b"", BROKEN, rgb_profile("ProPhoto")[:200], grey_profile(1.0), cmyk_profile()], ids=range(5)
)
def test_a_profile_that_is_broken_or_of_other_colours_changes_nothing(profile):
    np.testing.assert_allclose(loaded(Image.fromarray(COLOURS), icc_profile=profile), COLOURS, atol=1e-4)


def test_a_grey_photo_may_have_a_profile_of_colours():
    grey = Image.fromarray(in_space("Adobe RGB")[..., 0])
    image = loaded(grey, icc_profile=rgb_profile("Adobe RGB"))
    assert np.abs(np.diff(image, axis=2)).max() <= 1
    assert 0 < np.abs(image[..., 0] - np.asarray(grey)).max() < 8
