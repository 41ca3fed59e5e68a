"""Which patches of inputs a model is shown."""

import numpy as np

from lvsm_engine.kept_tokens import draw_kept_tokens, subject_mask


def test_seen_patches_are_the_subject_s_first():
    subject = np.zeros((3, 16, 32), bool)  # of 4 pixels a patch: 4 rows of 8
    subject[0, 5, 9:30] = True  # touches patches 10 to 15
    subject[1] = True
    drawn = np.stack([draw_kept_tokens(np.random.default_rng(seed), subject, 4, 0.25) for seed in range(100)])
    assert drawn.shape == (100, 3, 8) and (np.diff(drawn) > 0).all()
    seen = np.stack([(drawn == number).any(axis=2).mean(axis=0) for number in range(32)], axis=1)  # (3, 32): how often
    assert (seen[0, 10:16] == 1).all()
    others = np.concatenate([np.delete(seen[0], range(10, 16)), seen[1], seen[2]])
    assert (others > 0).all() and (others < 0.5).all()
    assert draw_kept_tokens(np.random.default_rng(0), subject, 4, 1.0).tolist() == [list(range(32))] * 3
    assert draw_kept_tokens(np.random.default_rng(0), subject, 4, 1e-3).shape == (3, 1)


def test_the_subject_is_what_is_unlike_the_background():
    image = np.ones((2, 3, 3), np.float32)
    image[0, 1] = [1, 1, 0.9]
    image[1, 2] = 0
    image[1, 0] = 0.99  # a JPEG's noise
    assert subject_mask(image, (1.0, 1.0, 1.0)).tolist() == [[False, True, False], [False, False, True]]
    assert subject_mask(image, (0.0, 0.0, 0.0)).tolist() == [[True, True, True], [True, True, False]]
