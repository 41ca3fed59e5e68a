"""Captures whose first photo attacks its reader: its true colours, or a sentence. Needs ../shared."""

import numpy as np
import pytest

from lvsm_engine.errors import LvsmError
from lvsm_engine.photos import WHITE, load_photo
from lvsm_engine.scene.captures import load_capture

from ..shared_data import shared


def first_photo(*parts, free=4e9):
    return load_photo(load_capture(shared("attack_cases", *parts)).views[0], WHITE, free_bytes=lambda: free)[0]


@pytest.mark.parametrize("name", ["icc_display_p3", "icc_adobe_rgb", "icc_prophoto"])
def test_one_picture_has_one_look_in_all_profiles(name):
    difference = first_photo("icc_ignored", name) - first_photo("icc_ignored", "ok_png")
    assert np.abs(difference).mean() * 255 < 1  # 14 to 26 where the profile is not obeyed


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            ("photo_bombs", "bomb_17000x17000_1bit"),
            "a.png: the photo of a.png needs about 15.0 GB, and 4.0 GB are free",
        ),
        (("photo_bombs", "bomb_30000_nosize"), "its pixels are more than the 300 million that a picture may have"),
        (("photo_bombs", "header_only_2e31"), "its pixels are more than the 300 million that a picture may have"),
        (("eps_runs_ghostscript", "eps_named_png"), "it is a PostScript file: save it as PNG or JPEG"),
        (("repr_in_sentence", "no_photos"), "transforms.json: none of its frames has a photo: put the photos where"),
    ],
)
def test_the_attack_is_told_in_a_sentence(parts, words):
    with pytest.raises(LvsmError, match=words) as caught:
        first_photo(*parts)
    sentence = str(caught.value)
    assert sentence.isprintable() and sentence.endswith(".") and "Path(" not in sentence


def test_a_photo_of_one_row_is_a_photo():
    assert first_photo("photo_bombs", "10000x1").shape == (1, 10000, 3)
