"""Shrinking pictures in linear light, and reading the files they are stored in."""

from pathlib import Path

import numpy as np
import pytest

from training.views.stored import ViewsError, read_file, resample, stored_shape


def plainly_resampled(images: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The definition of resample for (V, S, S, 4), in float64, without tables, and not rounded to codes."""
    V, S = images.shape[:2]
    codes, alpha = images[..., :3] / 255, images[..., 3:] / 255
    light = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4) * alpha
    blocks = np.concatenate([light, alpha], -1).reshape(V, size, S // size, size, S // size, 4).mean(axis=(2, 4))
    over_white = blocks[..., :3] + 1 - blocks[..., 3:]
    encoded = np.where(over_white <= 0.0031308, over_white * 12.92, 1.055 * over_white ** (1 / 2.4) - 0.055)
    return encoded * 255, blocks[..., 3] * 255


@pytest.mark.parametrize("size", [48, 24, 16, 8, 1])
@pytest.mark.parametrize("brightest", [5, 60, 255])
def test_resample_is_its_definition_rounded_to_the_nearest_code(size: int, brightest: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, brightest + 1, (5, 48, 48, 4), dtype=np.uint8)
    images[..., 3] = 255 if brightest < 255 else rng.choice([0, 1, 128, 255], (5, 48, 48))
    small, alpha = resample(images, size)
    exact, exact_alpha = plainly_resampled(images, size)
    assert np.abs(small - exact).max() <= 0.5 + 0.03  # the table's step where the curve is steepest
    assert np.abs(alpha - exact_alpha).max() <= 0.5 + 0.001


def test_opaque_images_without_alpha_shrink_like_those_with_it() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    opaque = np.concatenate([images, np.full((3, 16, 16, 1), 255, np.uint8)], axis=-1)
    for size in (16, 8, 4):
        (small, alpha), (same, same_alpha) = resample(images, size), resample(opaque, size)
        assert np.array_equal(small, same) and np.array_equal(alpha, same_alpha)


def test_every_code_survives_the_way_through_linear_light() -> None:
    codes = np.arange(256, dtype=np.uint8)
    images = np.stack([codes, codes, codes, np.full(256, 255, np.uint8)], axis=-1).reshape(1, 16, 16, 4)
    small, _ = resample(images, 16)
    assert np.array_equal(small, images[..., :3])


def test_resample_averages_light_and_not_codes() -> None:
    image = np.full((1, 2, 2, 4), 255, dtype=np.uint8)
    image[0, 0, :, :3] = 0  # a black row over a white one: half the light
    small, alpha = resample(image, 1)
    assert small[0, 0, 0].tolist() == [188, 188, 188] and alpha[0, 0, 0] == 255


def test_resample_gives_clear_pixels_no_say_in_the_colour() -> None:
    image = np.zeros((1, 2, 2, 4), dtype=np.uint8)
    image[0, :, 0] = [255, 0, 0, 255]
    image[0, :, 1] = [0, 255, 0, 0]  # hidden green
    small, alpha = resample(image, 1)
    assert small[0, 0, 0].tolist() == [255, 188, 188] and alpha[0, 0, 0] == 128  # red, half over white


def test_resample_at_the_stored_size_lays_over_white_alone() -> None:
    image = np.array([[[[10, 20, 30, 255], [10, 20, 30, 0]]] * 2], dtype=np.uint8)  # (1, 2, 2, 4)
    small, _ = resample(image, 2)
    assert small[0, 0].tolist() == [[10, 20, 30], [255, 255, 255]]


def write(path: Path, images: np.ndarray) -> Path:
    several = images.shape[:-3]
    np.savez_compressed(path, images=images, camera_to_world=np.ones((*several, 4, 4)), fxfycxcy=np.ones((*several, 4)))
    return path


def test_the_shape_of_a_file_is_told_by_its_head(tmp_path: Path) -> None:
    assert stored_shape(write(tmp_path / "one.npz", np.zeros((5, 8, 8, 4), np.uint8))) == (1, 5, 8)
    assert stored_shape(write(tmp_path / "many.npz", np.zeros((3, 5, 8, 8, 3), np.uint8))) == (3, 5, 8)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 8, 8, 2), np.uint8), np.zeros((2, 8, 4, 3), np.uint8), np.zeros((2, 8, 8, 3), np.float32)]
)
def test_images_of_another_kind_are_refused(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(ViewsError, match=r"odd\.npz has images .*make it again"):
        list(read_file(write(tmp_path / "odd.npz", images)))


def test_any_damage_to_a_file_of_views_is_a_sentence_with_its_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = write(tmp_path / "views.npz", rng.integers(0, 256, (2, 8, 8, 4), dtype=np.uint8)).read_bytes()
    path = tmp_path / "damaged.npz"
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)] if rng.random() < 0.3 else whole)
        for place in rng.integers(0, len(damaged), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        for read in (stored_shape, lambda path: list(read_file(path))):
            try:
                read(path)
            except ViewsError as error:
                refused += 1
                assert str(path) in str(error)
    assert refused > 200
