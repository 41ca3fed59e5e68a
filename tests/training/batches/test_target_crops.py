"""Crops of targets: mostly around the subject, always inside."""

import numpy as np

from training.batches.target_crops import crop_size, draw_corners


def test_crops_of_targets_are_shares_of_the_sides_in_whole_tokens():
    assert crop_size((128, 64), 0.5, 8) == (64, 32)
    assert crop_size((16, 24), 0.3, 8) == (8, 8)


def test_crops_of_targets_lie_inside_and_mostly_around_the_subject():
    rng = np.random.default_rng(0)
    alpha = np.zeros((400, 40, 60))
    alpha[:, 4:8, 50:56] = 0.5
    alpha[-1] = 0
    left, top = draw_corners(rng, alpha, width=16, height=8).T
    assert (left >= 0).all() and (left <= 44).all() and (top >= 0).all() and (top <= 32).all()
    sees_the_subject = (left + 16 > 50) & (top < 8)
    assert 0.85 < sees_the_subject.mean() < 0.95
    assert len(set(left[~sees_the_subject])) > 10


def test_a_crop_of_a_view_s_own_size_is_the_view():
    assert not draw_corners(np.random.default_rng(0), np.ones((5, 8, 16)), width=16, height=8).any()
