"""Unsure depth is drawn towards the sure depth around it, and what is sure stays."""

import pytest
import torch

from lvsm_engine.model.plane_sweep.filling import filled


def a_slope(height: int, width: int) -> torch.Tensor:
    return torch.linspace(0.3, 0.6, width).expand(1, height, width)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (37, 51), (180, 41)])
def test_a_hole_of_noise_is_filled_from_around(height, width):
    truth = a_slope(height, width)
    hole = torch.zeros_like(truth, dtype=torch.bool)
    hole[:, 10:26, 12:28] = True
    noise = torch.rand(truth.shape, generator=torch.Generator().manual_seed(0))
    mended = filled(torch.where(hole, noise, truth), (~hole).float())
    before, after = (noise - truth)[hole].abs().mean(), (mended - truth)[hole].abs()
    assert after.mean() < 0.1 * before and after.max() < 0.2
    assert (mended - truth)[~hole].abs().max() < 0.06  # beside the hole; elsewhere it is as it was
    assert (mended - truth)[:, 32:].abs().max() < 0.02


def test_where_nothing_is_sure_depth_stays():
    depth = torch.rand(2, 33, 20)
    torch.testing.assert_close(filled(depth, torch.zeros_like(depth)), depth)


def test_a_hole_between_two_surfaces_takes_each_ones_depth_beside_it():
    depth = torch.full((1, 32, 64), 0.2)
    depth[:, :, 32:] = 0.8
    certainty = torch.ones_like(depth)
    certainty[:, :, 24:40] = 0
    depth[:, :, 24:40] = 0.5
    mended = filled(depth, certainty)[0, 16]
    assert mended[24] < 0.3 and mended[39] > 0.7
    assert (mended[1:] - mended[:-1]).min() > -0.01


def test_one_pixel_and_one_row_are_filled():
    for shape in ((1, 1, 1), (1, 1, 9), (1, 7, 1)):
        mended = filled(torch.full(shape, 0.4), torch.rand(shape))
        torch.testing.assert_close(mended, torch.full(shape, 0.4))
