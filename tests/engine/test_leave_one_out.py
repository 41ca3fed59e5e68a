"""A photo against its picture made of the others, which the photo itself does not feed."""

import dataclasses

import numpy as np
import pytest
import torch

from lvsm_engine.errors import CaptureError
from lvsm_engine.leave_one_out import compare_left_out
from lvsm_engine.metrics import psnr, ssim
from lvsm_engine.photos import load_photo, resize_image
from lvsm_engine.scene.camera import Distortion, resized
from lvsm_engine.synthesizer import Synthesizer
from tests.synthetic import CARD, lively_model, ring_views


@pytest.fixture(scope="module")
def synthesizer():
    return Synthesizer(lively_model("inputs_first"), CARD, torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("detail", [False, True])
def test_the_picture_is_what_the_others_give_and_the_truth_is_the_photo(synthesizer, detail):
    views = ring_views(4, 48, 32)
    found = compare_left_out(synthesizer, views, 2, 24, detail)
    scene, camera = synthesizer.encode([*views[:2], views[3]]), resized(views[2].camera, 24, 16)
    expected = scene.render_detail([camera]).images[0] if detail else scene.render([camera])[0]
    photo, _ = load_photo(views[2], synthesizer.background)
    np.testing.assert_allclose(found.picture, expected, atol=1e-5)
    np.testing.assert_allclose(found.truth, resize_image(photo, 24, 16), atol=0.02)
    assert found.psnr == psnr(found.picture, found.truth) and found.ssim == ssim(found.picture, found.truth)


def test_what_the_photo_shows_changes_the_truth_alone(synthesizer):
    views = ring_views(3)
    before = compare_left_out(synthesizer, views, 0, 32, True)
    views[0] = dataclasses.replace(views[0], photo=255 - views[0].photo)
    after = compare_left_out(synthesizer, views, 0, 32, True)
    np.testing.assert_array_equal(after.picture, before.picture)
    np.testing.assert_allclose(after.truth, 1 - before.truth, atol=1e-6)


def test_the_truth_is_straight_as_the_picture_is(synthesizer):
    views = ring_views(3)
    views[0] = dataclasses.replace(views[0], distortion=Distortion("brown", (0.2, 0.0, 0.0, 0.0)))
    straight, _ = load_photo(views[0], synthesizer.background)
    np.testing.assert_allclose(compare_left_out(synthesizer, views, 0, 32, False).truth, straight, atol=1e-6)


def test_a_narrow_photo_is_no_smaller_than_what_ssim_compares(synthesizer):
    assert compare_left_out(synthesizer, ring_views(3, 64, 8), 0, 64, False).picture.shape == (16, 64, 3)


def test_one_photo_cannot_be_compared(synthesizer):
    with pytest.raises(CaptureError, match="There is one photo only: add another"):
        compare_left_out(synthesizer, ring_views(1), 0, 32, False)
