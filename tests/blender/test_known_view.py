"""The view that Check Engine asks for."""

import numpy as np
import pytest

from blender_addon.engine import known_view
from tests.shared_data import ROOT


def test_the_truth_is_like_itself_and_one_even_colour_is_wrong():
    truth = known_view._picture(known_view.known_target()) / 255
    assert known_view.likeness(truth) == pytest.approx(100)
    assert known_view.likeness(np.full_like(truth, truth.mean())) < known_view.WORKS_FROM - 3
    assert known_view.likeness(np.ones_like(truth)) < known_view.WORKS_FROM
    assert known_view.likeness(truth[::-1]) < known_view.WORKS_FROM, "upside down"
    assert known_view.likeness(truth[..., ::-1]) < known_view.WORKS_FROM, "its colours exchanged"
    assert known_view.likeness(np.full_like(truth, np.nan)) == 0


def test_the_ball_stands_in_the_middle_of_every_photo():
    for view in known_view.known_inputs():
        is_ball = (np.asarray(view.photo) < 255).any(axis=-1)
        rows, columns = np.nonzero(is_ball)
        assert (
            abs(rows.mean() + 0.5 - known_view.SIZE / 2) < 0.1 and abs(columns.mean() + 0.5 - known_view.SIZE / 2) < 0.1
        )
        assert 0.2 < is_ball.mean() < 0.6 and not is_ball[0].any()


def test_the_bundled_weights_draw_it():
    if not (ROOT / "lvsm_engine" / "weights" / "default.safetensors").exists():
        pytest.skip("needs the default weights")
    from lvsm_engine.synthesizer import Synthesizer

    scene = Synthesizer.load("default", "cpu").encode(known_view.known_inputs())
    picture = scene.render([known_view.known_target()])[0]
    assert known_view.likeness(picture) > known_view.WORKS_FROM + 3
