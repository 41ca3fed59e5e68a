"""What photos can tell of a target: where they cannot, the reason that a person sees."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lvsm_engine.scene.camera import Camera
from lvsm_engine.scene.captures import load_capture
from lvsm_engine.scene.trust import DOUBTFUL, GOOD, POOR, doubts, trust
from tests.shared_data import shared
from tests.synthetic import look_at, ring_cameras

RING = ring_cameras(16)
LENS = (35.2, 35.2, 16, 16, 32, 32)


def seen_from(position, target=(0, 0, 0), lens=LENS):
    return Camera(look_at(position, target), *lens)


def at(degrees, radius=2.5, height=0.5):
    angle = np.radians(degrees)
    return np.array([radius * np.cos(angle), radius * np.sin(angle), height])


@pytest.mark.parametrize(
    ("target", "level", "reason"),
    [
        (seen_from(at(11)), GOOD, ""),
        (seen_from(at(11), lens=(20, 20, 16, 16, 32, 32)), GOOD, ""),
        (seen_from(at(11, 2.5, 2.0)), DOUBTFUL, "looks from 2[5-9] degrees beside the nearest photo"),
        (seen_from((0.01, 0, 3)), POOR, "looks from 7[0-9] degrees beside the nearest photo"),
        (
            seen_from(at(0, 7, 1.4), lens=(99, 99, 16, 16, 32, 32)),
            DOUBTFUL,
            "is 2.[89] times as far from the subject as any photo",
        ),
        (seen_from(at(0, 250, 50)), POOR, "is 10[0-9].[0-9] times as far"),
        (seen_from(at(0, 0.8, 0.16)), DOUBTFUL, "is 3.[01] times as near to the subject as any photo"),
        (seen_from(at(0, 0.2, 0.04)), POOR, "is 12.[0-9] times as near"),
        (seen_from(at(0), at(0, 5, 1)), POOR, "does not look at what the photos show"),
        (seen_from(at(0), (2.5, 5, 0.5)), DOUBTFUL, "does not look at what the photos show"),
    ],
)
def test_a_target_is_trusted_by_angle_distance_and_overlap(target, level, reason):
    found = trust(target, RING)
    assert found.level == level
    if reason:
        assert re.match(reason, found.reasons[0]), found.reasons
    else:
        assert found.reasons == ()


def test_what_lies_beside_all_photos_is_not_shown():
    row = [seen_from((0, x, 0), (5, x, 0)) for x in (-0.2, 0, 0.2)]
    assert trust(seen_from((0, 0.1, 0), (5, 0.1, 0)), row).level == GOOD
    aside = trust(seen_from((0, 0, 0), (1, 5, 0)), row)
    assert aside.level == POOR and any("sees mostly what no photo shows (0% is shown)" in one for one in aside.reasons)


def test_one_photo_is_enough_to_be_asked():
    one = [seen_from((3, 0, 0))]
    assert trust(seen_from((3, 0.1, 0)), one).level == GOOD
    assert trust(seen_from((-3, 0, 0)), one).level == POOR


def test_a_sentence_tells_how_many_and_the_worst():
    good, doubtful, poor = seen_from(at(11)), seen_from(at(11, 2.5, 2)), seen_from(at(0, 250, 50))
    assert doubts([good], RING) == ()
    assert doubts([doubtful], RING)[0].startswith("The picture is perhaps wrong: the camera looks from 2")
    (sentence,) = doubts([good, doubtful, poor], RING)
    assert sentence.startswith("2 of 3 pictures are probably wrong: the camera is 10")


@pytest.mark.parametrize("name", ["gso_character_opencv", "miku_plush_colmap", "brighton_beach_colmap"])
def test_photos_that_are_left_out_of_dense_captures_are_trusted(name):
    cameras = [view.camera for view in load_capture(shared("captures", name)).views]
    for number, target in enumerate(cameras):
        others = cameras[:number] + cameras[number + 1 :]
        assert trust(target, others).level == GOOD
        turned = target.camera_to_world @ np.diag([-1.0, 1, -1, 1])
        assert trust(replace(target, camera_to_world=turned), others).level == POOR
