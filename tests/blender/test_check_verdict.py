"""What is said of a capture's scores."""

import numpy as np
import pytest

from blender_addon.captures.check_verdict import outliers, verdict

FINE = {f"IMG_{number:04}": 24 + 0.1 * number for number in range(-10, 11)}


def test_a_photo_far_below_the_others_is_named_with_its_score():
    said = verdict({**FINE, "IMG_0031": 14.2})
    assert said[0] == "22 photos checked: median 23.9 dB, the pictures are like the photos"
    assert said[1].startswith("IMG_0031 (14.2 dB) may have a bad pose")


def test_several_are_counted_and_the_worst_is_named():
    said = verdict({**FINE, "a": 14.2, "b": 12.1, "c": 19.0})
    assert said[1].startswith("b (12.1 dB) and 2 more may have")
    assert outliers({**FINE, "a": 14.2, "b": 12.1, "c": 19.0}) == ["b", "a", "c"]


def test_where_all_are_alike_or_all_differ_none_stands_out():
    assert len(verdict(FINE)) == 1
    assert outliers({**FINE, "a little worse": 21.0}) == []
    spread = np.random.default_rng(0).normal(22, 4, 30)
    assert outliers({str(number): psnr for number, psnr in enumerate(spread)}) == []


def test_of_three_photos_none_stands_out():
    assert outliers({"a": 24.0, "b": 24.0, "c": 10.0}) == []


@pytest.mark.parametrize(
    ("psnr", "words"),
    [(24.0, "are like the photos"), (19.0, "are roughly like the photos"), (12.0, "are hardly like the photos")],
)
def test_the_median_tells_whether_to_trust(psnr, words):
    (said,) = verdict({"a": psnr})
    assert said.startswith(f"1 photo checked: median {psnr} dB") and said.endswith(words)
