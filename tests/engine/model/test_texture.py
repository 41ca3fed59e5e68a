"""The fine part of a mixture of photos comes from one of them, the coarse part stays."""

import dataclasses

import pytest
import torch

from lvsm_engine.model.plane_sweep.matching import BAND_PIXELS, Matching
from lvsm_engine.model.plane_sweep.planes import Planes, resized
from lvsm_engine.model.plane_sweep.reprojection import Photos
from lvsm_engine.model.plane_sweep.texture import BLURRED_SIDE, sharpened
from lvsm_engine.model.transformer import never_stop

from .walls import camera, maps_of, posed, target

SIDE = 256


def of_noise() -> Matching:
    """Two photos from the target's place, of unlike fine noise on colours that are alike."""
    photos = posed(camera(0.0), camera(0.0))
    generator = torch.Generator().manual_seed(0)
    shade = torch.linspace(0.3, 0.7, SIDE).expand(1, 2, 3, SIDE, SIDE)
    noise = 0.2 * (torch.rand(1, 2, 3, SIDE, SIDE, generator=generator) - 0.5)
    intrinsics = torch.tensor([240.0, 240.0, SIDE / 2, SIDE / 2]).expand(1, 2, 4)
    noisy = Photos.whole(shade + noise, photos.camera_to_world, intrinsics)
    to = target(camera(0.0), SIDE, SIDE, 240.0)
    planes = Planes(torch.full((1, 1, SIDE, SIDE), 0.5), torch.tensor([0.1]))
    return Matching(noisy, maps_of(photos), torch.ones(1, 2), to, planes, torch.full((1, 3, SIDE, SIDE), 0.5))


MATCHING = of_noise()
FIRST, SECOND = MATCHING.photos.images[0]
INVERSE_DEPTH = torch.full((1, SIDE, SIDE), 0.5)


def shares(first: float, second: float) -> torch.Tensor:
    return torch.tensor([first, second]).view(1, 2, 1, 1).expand(1, 2, SIDE, SIDE)


def sharp(first: float, second: float, band_pixels: int = BAND_PIXELS) -> torch.Tensor:
    """The mixture of both photos, and grey for the rest, sharpened: (3, H, W)."""
    given = shares(first, second)
    mixture = first * FIRST + second * SECOND + (1 - first - second) * 0.5
    return sharpened(mixture[None], given, MATCHING, INVERSE_DEPTH, never_stop, band_pixels)[0]


def likeness(image: torch.Tensor, other: torch.Tensor) -> float:
    """Of their noise: 1 alike, 0 nothing in common."""
    columns = torch.stack([(x - x.mean(1, keepdim=True)).flatten() for x in (image, other)])
    return float(torch.corrcoef(columns)[0, 1])


def test_what_one_photo_gives_alone_stays():
    torch.testing.assert_close(sharp(1.0, 0.0), FIRST, rtol=0, atol=1e-5)


def test_the_texture_of_a_mixture_is_of_the_photo_that_gives_most():
    mixture = 0.8 * FIRST + 0.2 * SECOND
    assert likeness(mixture, SECOND) > 0.2
    assert likeness(sharp(0.8, 0.2), FIRST) > 0.99 and likeness(sharp(0.8, 0.2), SECOND) < 0.1


def contrast(image: torch.Tensor) -> float:
    """Of the noise."""
    return float((image - image.mean(1, keepdim=True)).std())


def test_contrast_comes_near_that_of_photos_and_coarse_colours_stay():
    found, mixture = sharp(0.8, 0.2), 0.8 * FIRST + 0.2 * SECOND
    assert contrast(mixture) < 0.85 * contrast(FIRST) and contrast(found) > 0.92 * contrast(FIRST)
    coarse = [resized(x[None], BLURRED_SIDE // 2, BLURRED_SIDE // 2) for x in (found, mixture)]
    assert (coarse[0] - coarse[1]).abs().mean() < 0.01


def test_where_the_rest_is_a_blurred_guide_the_photos_texture_is_more_than_their_share():
    assert 1.3 * 0.5 * contrast(FIRST) < contrast(sharp(0.5, 0.0)) < contrast(FIRST)


def test_what_no_photo_gives_stays():
    torch.testing.assert_close(sharp(0.0, 0.0), torch.full_like(FIRST, 0.5))


def test_no_colour_is_beyond_those_of_the_photos():
    found = sharp(0.5, 0.5)
    assert (found >= torch.minimum(FIRST, SECOND) - 1e-5).all() and (found <= torch.maximum(FIRST, SECOND) + 1e-5).all()


def test_bands_make_the_same():
    torch.testing.assert_close(sharp(0.6, 0.3, band_pixels=7 * SIDE), sharp(0.6, 0.3), rtol=0, atol=1e-6)


def test_a_photo_that_gives_nothing_to_a_place_gives_no_texture_there():
    """As one that is blocked there, and shows something else: half of the picture here."""
    given = shares(0.9, 0.1).clone()
    given[:, 0, :, : SIDE // 2], given[:, 1, :, : SIDE // 2] = 0.0, 1.0
    mixture = (given[0, :, None] * torch.stack([FIRST, SECOND])).sum(0)
    found = sharpened(mixture[None], given, MATCHING, INVERSE_DEPTH, never_stop, BAND_PIXELS)[0]
    torch.testing.assert_close(found[..., : SIDE // 2], SECOND[..., : SIDE // 2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (40, 9)])
def test_pictures_smaller_than_the_coarse_part_work(size):
    height, width = size
    small = dataclasses.replace(MATCHING, target=MATCHING.target.of_size(height, width))
    picture = torch.rand(1, 3, height, width)
    found = sharpened(
        picture, torch.full((1, 2, height, width), 0.5), small, torch.full((1, height, width), 0.5), never_stop, 8
    )
    assert found.shape == picture.shape and found.isfinite().all()
