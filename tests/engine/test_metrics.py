"""Scores with known values."""

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

from lvsm_engine.metrics import MetricError, lpips_distance, psnr, ssim
from tests.shared_data import shared


def picture(seed=0, size=32):
    return np.random.default_rng(seed).random((size, size, 3), dtype=np.float32)


def test_psnr_of_a_known_error():
    image = np.full((8, 8, 3), 0.5, np.float32)
    assert psnr(image, image + 0.1) == pytest.approx(20.0, abs=1e-4)
    assert psnr(image, image) == 100.0
    mask = np.zeros((8, 8), bool)
    mask[:4] = True
    half_wrong = image.copy()
    half_wrong[4:] += 0.1
    assert psnr(image, half_wrong, mask) == 100.0
    assert psnr(image, half_wrong, ~mask) == pytest.approx(20.0, abs=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_picture_that_is_not_finite_has_no_psnr(value):
    image, truth = picture(), picture()
    image[3, 4, 1] = value
    assert np.isnan(psnr(image, truth))
    mask = np.zeros((32, 32), bool)
    mask[:3] = True
    assert psnr(image, truth, mask) == 100.0, "of the pixels that are asked about"
    assert np.isnan(psnr(image, truth, ~mask))


def test_ssim_is_one_for_equal_pictures_and_falls_with_noise():
    truth = picture()
    assert ssim(truth, truth) == pytest.approx(1.0)
    noise = np.random.default_rng(1).normal(size=truth.shape).astype(np.float32)
    assert 0.97 > ssim(truth + 0.1 * noise, truth) > ssim(truth + 0.5 * noise, truth)


@pytest.mark.parametrize("shape", [(32, 32, 3), (16, 40, 3)])
def test_ssim_is_what_scikit_image_gives(shape):
    rng = np.random.default_rng(2)
    truth = rng.random(shape, dtype=np.float32)
    image = (0.7 * truth + 0.3 * rng.random(shape, dtype=np.float32)).astype(np.float32)
    expected, everywhere = structural_similarity(
        image,
        truth,
        win_size=11,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1,
        full=True,
    )
    mask = rng.random(shape[:2]) < 0.3
    assert ssim(image, truth) == pytest.approx(expected, abs=1e-5)
    assert ssim(image, truth, mask) == pytest.approx(float(everywhere[mask].mean()), abs=1e-5)


@pytest.mark.parametrize(
    ("net", "backbone", "pair", "expected"),
    [
        ("alex", "alexnet_features", "ex_p0", 0.721881),
        ("alex", "alexnet_features", "ex_p1", 0.137566),
        ("squeeze", "squeezenet1_1_features", "ex_p0", 0.711048),
        ("squeeze", "squeezenet1_1_features", "ex_p1", 0.147902),
    ],
)
def test_lpips_gives_the_published_values(net, backbone, pair, expected):
    def load(name):
        with Image.open(shared("perceptual", "examples", f"{name}.png")) as image:
            return np.asarray(image.convert("RGB"), np.float32) / 255

    weights = shared("perceptual", f"{backbone}.safetensors")
    assert lpips_distance(load("ex_ref"), load(pair), net, weights) == pytest.approx(expected, abs=2e-4)


def test_ssim_and_lpips_of_a_mask_see_what_is_wrong_there_alone():
    truth = picture(size=64)
    image = truth.copy()
    image[:, 48:] = 0.5
    right, wrong = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    right[:, :20] = True
    wrong[:, 48:] = True
    assert ssim(image, truth, right) == pytest.approx(1.0, abs=1e-6)
    assert ssim(image, truth, wrong) < ssim(image, truth) < 1
    backbone = shared("perceptual", "alexnet_features.safetensors")
    distances = [lpips_distance(image, truth, "alex", backbone, mask) for mask in (right, None, wrong)]
    assert distances == sorted(distances)
    assert distances[2] > 2 * distances[0]


def test_lpips_over_a_whole_mask_is_lpips():
    backbone = shared("perceptual", "alexnet_features.safetensors")
    one, other = picture(0, 64), picture(1, 64)
    everywhere = np.ones((64, 64), bool)
    whole = lpips_distance(one, other, "alex", backbone)
    assert lpips_distance(one, other, "alex", backbone, everywhere) == pytest.approx(whole, rel=0.02)


def test_a_backbone_that_is_another_file_is_named(tmp_path):
    path = tmp_path / "notes.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(MetricError, match=r"notes\.safetensors is no backbone 'alex' of LPIPS .*: give another file"):
        lpips_distance(picture(), picture(), "alex", path)
