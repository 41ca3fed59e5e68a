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


def test_the_picture_is_what_the_others_give_and_the_truth_is_the_photo(synthesizer):
    views = ring_views(4, 48, 32)
    found = compare_left_out(synthesizer, views, 2, 24, None)
    scene, camera = synthesizer.encode([*views[:2], views[3]]), resized(views[2].camera, 24, 16)
    photo, _ = load_photo(views[2], synthesizer.background)
    np.testing.assert_allclose(found.picture, scene.render([camera])[0], atol=1e-5)
    np.testing.assert_allclose(found.truth, resize_image(photo, 24, 16), atol=0.02)
    assert found.psnr == psnr(found.picture, found.truth) and found.ssim == ssim(found.picture, found.truth)


def test_what_the_photo_shows_changes_the_truth_alone(synthesizer):
    views = ring_views(5)
    before = compare_left_out(synthesizer, views, 0, 32, synthesizer.photo_detail(views))
    views[0] = dataclasses.replace(views[0], photo=255 - views[0].photo)
    detail = synthesizer.photo_detail(views)
    compare_left_out(
        synthesizer, views, 1, 32, detail
    )  # what it finds in the changed photo serves the next one nothing
    after = compare_left_out(synthesizer, views, 0, 32, detail)
    np.testing.assert_array_equal(after.picture, before.picture)
    np.testing.assert_allclose(after.truth, 1 - before.truth, atol=1e-6)


def test_depth_that_was_found_for_one_comparison_serves_the_next(synthesizer):
    views = ring_views(8)
    detail, camera = synthesizer.photo_detail(views), views[1].camera
    fresh = detail.without(1).checks_of([camera])
    for left_out in (0, 5):
        compare_left_out(synthesizer, views, left_out, 32, detail)
    assert detail.without(1).checks_of([camera]) < fresh


def test_the_truth_is_straight_as_the_picture_is(synthesizer):
    views = ring_views(3)
    views[0] = dataclasses.replace(views[0], distortion=Distortion("brown", (0.2, 0.0, 0.0, 0.0)))
    straight, _ = load_photo(views[0], synthesizer.background)
    np.testing.assert_allclose(compare_left_out(synthesizer, views, 0, 32, None).truth, straight, atol=1e-6)


def test_a_narrow_photo_is_no_smaller_than_what_ssim_compares(synthesizer):
    assert compare_left_out(synthesizer, ring_views(3, 64, 8), 0, 64, None).picture.shape == (16, 64, 3)


def test_one_photo_cannot_be_compared(synthesizer):
    with pytest.raises(CaptureError, match="There is one photo only: add another"):
        compare_left_out(synthesizer, ring_views(1), 0, 32, None)
