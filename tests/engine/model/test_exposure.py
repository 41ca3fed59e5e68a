"""Photos of different exposure: how much is found by what they see alike, and that nothing of it is left in the picture."""

import dataclasses

import pytest
import torch

from lvsm_engine.model.plane_sweep.depth_maps import confirmed
from lvsm_engine.model.plane_sweep.emptiness import is_plain
from lvsm_engine.model.plane_sweep.exposure import exposures_beside, exposures_of, levelled_on, stops_apart

from .walls import AROUND, GREY, camera, maps_of, posed, psnr, swept, target, walls

# Of each photo of AROUND, red, green and blue: their mean is 1.
FACTORS = torch.tensor([[0.8, 0.85, 0.9], [1.1, 1.1, 1.1], [1.0, 1.0, 0.95], [0.9, 0.85, 0.8], [1.2, 1.2, 1.25]])
LOGS = FACTORS.log() - FACTORS.log().mean(0)


def exposed():
    """AROUND, within what a picture can hold, so that nothing is cut off."""
    photos = posed(*AROUND)
    return dataclasses.replace(photos, images=(0.2 + 0.5 * photos.images) * FACTORS[None, :, :, None, None])


def found_in(photos, presence):
    return exposures_of(photos, confirmed(maps_of(photos), photos, presence), presence)


def test_exposures_are_found_by_what_photos_see_alike():
    torch.testing.assert_close(found_in(exposed(), torch.ones(1, 5))[0], LOGS, rtol=0, atol=0.03)


def test_photos_of_one_exposure_stay_as_they_are():
    assert found_in(posed(*AROUND), torch.ones(1, 5)).abs().max() < 0.03


def test_a_photo_that_has_faded_out_changes_nothing():
    """So none jumps when it comes or goes."""
    four = posed(*AROUND[:4])
    four = dataclasses.replace(four, images=exposed().images[:, :4])
    present = torch.tensor([[1.0, 0.7, 1.0, 0.5]])
    faded = found_in(exposed(), torch.cat([present, torch.zeros(1, 1)], 1))
    torch.testing.assert_close(faded[:, :4], found_in(four, present), rtol=0, atol=0.02)


def test_one_photo_is_its_own_mean():
    assert found_in(posed(AROUND[0]), torch.ones(1, 1)).abs().max() == 0


def test_neighbours_are_levelled_by_a_depth_that_is_hardly_known():
    photos = exposed()
    _, depth = walls(AROUND[0])
    rough = 1 / (depth * 1.02)[None]
    beside = exposures_beside(photos.of([0]), photos.of([1, 2, 3, 4]), rough, torch.ones_like(rough, dtype=torch.bool))
    torch.testing.assert_close(beside[0], (FACTORS[1:] / FACTORS[0]).log(), rtol=0, atol=0.04)


def test_the_picture_is_as_light_as_the_photos_mean_and_has_no_patches():
    truth = 0.2 + 0.5 * walls(camera(0.0))[0]
    found = swept(exposed(), target(camera(0.0)), GREY).picture[0] / FACTORS.log().mean(0).exp()[:, None, None]
    inner = (slice(None), slice(10, -10), slice(10, -10))
    assert psnr(found[inner], truth[inner]) > 29


def test_the_background_of_a_cut_out_stays_white():
    photos = exposed()
    photos.images[..., :20, :] = 1.0
    maps = maps_of(photos)
    empty = dataclasses.replace(maps, inverse_depth=maps.inverse_depth.clone())
    empty.inverse_depth[..., :4, :] = 0
    white, darker = torch.ones(3), torch.full((1, 5, 3), 0.2)
    shown = levelled_on(white, photos, empty, darker).images
    assert is_plain(shown, white)[..., :20, :].all() and (shown[..., 20:, :] < photos.images[..., 20:, :]).all()
    assert not is_plain(levelled_on(white, photos, maps, darker).images, white).any()  # a white wall is none


@pytest.mark.parametrize(("factor", "stops"), [(1.0, 0.0), (2 ** (1 / 2.2), 1.0)])
def test_a_stop_is_twice_the_light(factor, stops):
    exposures = torch.tensor([[[1.0] * 3, [factor] * 3]]).log()
    assert stops_apart(exposures).item() == pytest.approx(stops, abs=1e-5)
