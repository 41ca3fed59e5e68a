"""The validation protocol."""

import numpy as np
import pytest

from training.protocol import TARGETS, VIEWS, input_views, places
from training.render.cameras import rng_for

FIRST_TARGETS = [
    (35.31185285320026, 210.39855197063326, 1.716305772746486),
    (13.869809920380298, 268.24267078759, 2.2681135300715116),
]


def test_the_places_of_an_object_s_targets_are_those_of_all_scores_so_far() -> None:
    """As commit 05b0376 drew them: scores must stay comparable."""
    stand = places(rng_for("chair", "protocol"))
    assert len(stand) == VIEWS == 26
    assert [stand[view] for view in TARGETS][:2] == FIRST_TARGETS


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16])
def test_the_protocol_s_inputs_are_evenly_spaced_around_the_object(count: int) -> None:
    stand = places(np.random.default_rng(0))
    azimuths = sorted(stand[view][1] for view in input_views(count))
    assert azimuths == pytest.approx(np.arange(count) * 360 / count)
    assert {stand[view][::2] for view in input_views(count)} == {(20.0, 1.94)}


def test_fewer_of_the_protocol_s_inputs_are_among_more_and_4_are_the_first_views() -> None:
    for count in range(1, 16):
        assert set(input_views(count)) < set(input_views(count + 1))
    assert input_views(4) == [0, 1, 2, 3]
    for count in (0, 17):
        with pytest.raises(ValueError, match=f"1 to 16 inputs, not {count}"):
            input_views(count)
