"""The published perceptual formula by its numbers, what is minimised, and networks that cannot be had."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.shared_data import shared
from training.configs import LossConfig, PerceptualLoss
from training.train.losses import (
    LEVELS,
    LossError,
    Objective,
    Vgg19Distance,
    load_objective,
    load_vgg19,
    logarithmic_above,
    squared_errors,
)

CONVOLUTIONS = [one for level in LEVELS for one in level if one is not None]
CPU = torch.device("cpu")
NO_MEAN = (0.0, 0.0, 0.0)


def standin(channels_in, channels_out):
    """The reference's stand-in for a convolution's weights: computed in float64, kept in float32."""
    o, i, y, x = np.ogrid[:channels_out, :channels_in, :3, :3]
    weight = np.cos(1 + 0.37 * o + 0.11 * i + 0.5 * y + 0.7 * x + 0.013 * o * i) / math.sqrt(4.5 * channels_in)
    return torch.from_numpy(weight).float(), torch.from_numpy(0.1 * np.sin(np.arange(channels_out))).float()


@pytest.fixture(scope="module")
def tensors():
    named = {}
    for number, channels_in, channels_out in CONVOLUTIONS:
        weight, bias = standin(channels_in, channels_out)
        named |= {f"features.{number}.weight": weight, f"features.{number}.bias": bias}
    return named


@pytest.fixture(scope="module")
def reference():
    return load_file(shared("reference", "losses.safetensors"))


def test_the_published_perceptual_term_is_reproduced(tensors, reference, tmp_path):
    path = tmp_path / "published.pt"
    torch.save({"model": {f"loss_computer.perceptual_loss_module.vgg.{k}": v for k, v in tensors.items()}}, path)
    network = load_vgg19(path)
    pictures = reference["perc.pred"], reference["perc.target"]
    errors = torch.stack(network.errors(*pictures))
    torch.testing.assert_close(errors, reference["perc.raw_errors_e0_to_e5"], rtol=1e-5, atol=0)
    assert float(network(*pictures)) == pytest.approx(3.40525, rel=1e-5)


def test_the_published_mean_squared_error_is_reproduced(reference):
    errors = squared_errors(reference["pred"], reference["target"])
    assert errors.shape == reference["pred"].shape[:-3]
    assert float(errors.mean()) == pytest.approx(float(reference["l2"]), rel=1e-6)


def test_above_the_threshold_an_error_ten_times_as_large_weighs_no_more():
    errors = torch.tensor([1e-6, 0.1, 1.0], requires_grad=True)
    logarithmic_above(errors, threshold=1e-3).sum().backward()
    assert float(errors.grad[0]) == pytest.approx(1, abs=2e-3)
    of_large = (errors.grad * errors)[1:]  # what a change by one per cent counts
    torch.testing.assert_close(of_large, torch.full_like(of_large, 1e-3), rtol=0.02, atol=0)
    assert torch.equal(logarithmic_above(errors, threshold=0), errors)


def test_torchvisions_weights_see_normalised_colours_and_give_features_of_the_pixels_scale(tensors, tmp_path):
    path = tmp_path / "vgg19.safetensors"
    save_file({**tensors, "classifier.0.weight": torch.zeros(2)}, path)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    conv = torch.nn.functional.conv2d
    x = (images - mean) / deviation
    for number in (0, 2):
        x = conv(x, tensors[f"features.{number}.weight"], tensors[f"features.{number}.bias"], padding=1).relu()
    first_level = load_vgg19(path).errors(images[:1], images[1:])[1]
    assert float(first_level) == pytest.approx(float(255 * (x[0] - x[1]).abs().mean()), rel=1e-4)


def test_equal_pictures_have_no_distance_and_only_the_answer_gets_gradients(tensors):
    network = Vgg19Distance(tensors, NO_MEAN)
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert float(network(images, images)) == 0
    answer = (images * 0.5).requires_grad_()
    network(answer, images).backward()
    assert answer.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_weight_of_zero_loads_nothing():
    assert load_objective(LossConfig(perceptual=PerceptualLoss(file="not there")), CPU).perceptual is None


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("missing", "vgg.pth: the perceptual network cannot be read"),
        ("cut short", "vgg.pth: the perceptual network cannot be read"),
        ("other network", "no tensor 'features.2.weight', so it is not a VGG19"),
        ("other shapes", "its tensors do not fit VGG19"),
    ],
)
def test_a_network_that_cannot_be_had_is_told_in_a_sentence(tensors, tmp_path, damage, words):
    path = tmp_path / "vgg.pth"
    if damage == "cut short":
        torch.save(tensors, path)
        path.write_bytes(path.read_bytes()[:10000])
    elif damage == "other network":
        torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3), "features.0.bias": torch.zeros(64)}, path)
    elif damage == "other shapes":
        torch.save({**tensors, "features.2.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(LossError, match=words):
        load_objective(LossConfig(perceptual=PerceptualLoss(weight=0.5, file=str(path))), CPU)


def test_what_is_minimised_is_the_error_and_the_weighted_distance():
    answer, truth = torch.rand(2, 2, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def darkness(images, truth):
        assert images.shape == truth.shape == (2, 3, 8, 8)
        return images.mean()

    terms = Objective(0.0, darkness).terms(answer, truth, 0.5)
    torch.testing.assert_close(terms.squared_error, (answer - truth).square().mean())
    torch.testing.assert_close(terms.loss, terms.squared_error + 0.5 * answer.mean())
    assert Objective(0.0, darkness).terms(answer, truth, 0.0).perceptual == 0
    assert Objective(0.01).terms(answer, truth, 0.0).loss < terms.squared_error
