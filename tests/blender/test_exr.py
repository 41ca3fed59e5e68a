"""OpenEXR files of our own, against the reference library's reader."""

import io

import numpy as np
import OpenEXR
import pytest

from blender_addon.headless.exr import encode_exr


@pytest.mark.parametrize("size", [(1, 1), (16, 3), (17, 31), (50, 64)])
@pytest.mark.parametrize("is_noise", [True, False])
def test_halves_and_floats_of_every_channel_come_back_to_the_bit(size, is_noise):
    """Noise does not compress, and is stored as it is."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, *size)) if is_noise else np.linspace(0, 1, 6 * size[0] * size[1]).reshape(6, *size)
    kinds = {"R": "f2", "G": "f2", "B": "f2", "A": "f2", "Depth.Z": "f4", "Nearest Photo.X": "f4"}
    channels = {name: array.astype(kind) for (name, kind), array in zip(kinds.items(), values, strict=True)}
    channels["Depth.Z"][0, 0] = 1e10
    with OpenEXR.File(io.BytesIO(encode_exr(channels)), separate_channels=True) as file:
        read = {name: channel.pixels.copy() for name, channel in file.channels().items()}
    assert set(read) == set(channels)
    for name, array in channels.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array, err_msg=name)


def test_the_header_tells_what_it_is_given():
    content = encode_exr({"R": np.zeros((2, 2), np.float16)}, {"LVSM licence": "CC BY-NC-SA 4.0 \u2013 Jos\u00e9"})
    with OpenEXR.File(io.BytesIO(content)) as file:
        assert file.header()["LVSM licence"] == "CC BY-NC-SA 4.0 \u2013 Jos\u00e9"


def test_the_picture_is_found_beside_its_layers_and_compresses():
    plain = {name: np.full((64, 64), 0.5, np.float16) for name in "RGBA"} | {"Depth.Z": np.ones((64, 64), np.float32)}
    content = encode_exr(plain)
    with OpenEXR.File(io.BytesIO(content)) as file:
        np.testing.assert_array_equal(file.channels()["RGBA"].pixels, np.full((64, 64, 4), 0.5))
    assert len(content) < 64 * 64
