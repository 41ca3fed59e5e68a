"""Which views and colours teach nothing."""

import numpy as np
import pytest

from training.render.rejection import RejectedError, check_base_colours, check_images


def views_with(*shares: float) -> np.ndarray:
    """One view (20, 20, 4) for each share of the frame that a subject in two colours covers, from the middle on."""
    y, x = np.mgrid[:20, :20] - 9.5
    order = np.argsort(np.maximum(abs(x), abs(y)).ravel(), kind="stable")
    images = np.zeros((len(shares), 400, 4), dtype=np.uint8)
    for image, share in zip(images, shares, strict=True):
        image[order[: round(400 * share)]] = [200, 30, 30, 255]
        image[order[: round(200 * share)]] = [30, 30, 200, 255]
    return images.reshape(-1, 20, 20, 4)


def test_a_subject_that_one_view_shows_well_is_kept() -> None:
    check_images(views_with(0.005, 0.02, 0.01))
    check_images(views_with(1.0, 0.95, 0.95, 0.7))
    check_images(views_with(0.5, 0.5, 0.0, 0.5))  # a sheet of paper, once from its side


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        ((0.0, 0.0), "the views are blank"),
        ((0.5, 0.0, 0.5), "1 of 3 views are blank"),
        ((0.9, 0.9, 0.9, 0.9, 0.5), "the subject is cut off in 4 of 5 views"),
        ((0.01, 0.0175), r"the subject covers 1\.8% of the frame at most"),
        ((0.9575, 1.0), r"the subject covers 95\.8% of the frame at least"),
    ],
)
def test_a_subject_that_no_view_shows_well_is_rejected(shares: tuple[float, ...], reason: str) -> None:
    with pytest.raises(RejectedError, match=reason):
        check_images(views_with(*shares))


def test_a_subject_of_one_colour_is_rejected() -> None:
    images = views_with(0.5, 0.5)
    images[images[..., 3] > 0] = [10, 200, 10, 255]
    with pytest.raises(RejectedError, match="single colour"):
        check_images(images)


@pytest.mark.parametrize("colours", [[(0.8, 0.8, 0.8)], [(0.5, 0.5, 0.51), (0.55, 0.55, 0.55)], [(0, 0, 0)]])
def test_materials_of_one_grey_are_rejected(colours: list[tuple[float, float, float]]) -> None:
    with pytest.raises(RejectedError, match="untextured grey"):
        check_base_colours(colours)


@pytest.mark.parametrize("colours", [[(0.8, 0.7, 0.7)], [(0.1, 0.1, 0.1), (0.5, 0.5, 0.5)]])
def test_a_hue_or_two_greys_are_enough_to_stay(colours: list[tuple[float, float, float]]) -> None:
    check_base_colours(colours)
