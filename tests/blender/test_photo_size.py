"""Sizes by headers, against Pillow's own files."""

import io

import numpy as np
import pytest
from PIL import Image

from blender_addon.scene.photo_size import header_size

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (47, 61, 3), np.uint8))


def encoded(file_format, **options):
    file = io.BytesIO()
    PICTURE.convert(options.pop("mode", "RGB")).save(file, file_format, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("PNG", {}),
        ("PNG", {"mode": "RGBA", "icc_profile": bytes(3000)}),
        ("PNG", {"mode": "P"}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "mode": "L"}),
        ("JPEG", {"mode": "CMYK", "icc_profile": bytes(200_000), "comment": b"\xff\xc0" * 99}),
    ],
)
def test_the_header_tells_the_size_of_png_and_jpeg(file_format, options):
    data = encoded(file_format, **options)
    assert header_size(io.BytesIO(data)) == PICTURE.size
    for length in range(0, min(len(data), 700), 7):  # cut short: the size, or nothing
        assert header_size(io.BytesIO(data[:length])) in (None, PICTURE.size)


def test_it_tells_the_size_as_stored_whatever_exif_says():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    assert header_size(io.BytesIO(encoded("JPEG", exif=exif))) == PICTURE.size


def test_fill_bytes_before_a_marker_are_skipped():
    data = encoded("JPEG")
    assert header_size(io.BytesIO(data[:2] + b"\xff\xff\xff" + data[2:])) == PICTURE.size


@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8\xff\xda\x00\x0c", b"\xff\xd8no", encoded("BMP")])
def test_it_says_nothing_of_what_it_does_not_know(data):
    assert header_size(io.BytesIO(data)) is None


def test_nonsense_ends():
    numbers = np.random.default_rng(1)
    for _ in range(2000):
        size = header_size(io.BytesIO(b"\xff\xd8\xff" + numbers.integers(0, 256, 64, np.uint8).tobytes()))
        assert size is None or min(size) > 0
