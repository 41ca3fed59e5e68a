"""What training minimises: the mean squared error, and a perceptual term beside it.

Images are (N, 3, H, W) float32 in [0, 1], sRGB-encoded. Knows nothing of models, cameras or steps.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lvsm_engine.errors import LvsmError

from ..configs import LossConfig

# Convolutions of VGG19 between two levels, as (number in torchvision's `features`, channels in, channels out); None: a
# pooling. A level's features are those after its last convolution: relu1_2, 2_2, 3_2, 4_2 and 5_2.
LEVELS: tuple[tuple[tuple[int, int, int] | None, ...], ...] = (
    ((0, 3, 64), (2, 64, 64)),
    (None, (5, 64, 128), (7, 128, 128)),
    (None, (10, 128, 256), (12, 256, 256)),
    ((14, 256, 256), (16, 256, 256), None, (19, 256, 512), (21, 512, 512)),
    ((23, 512, 512), (25, 512, 512), None, (28, 512, 512), (30, 512, 512)),
)
# The published weights of the pixels' and the levels' errors (Chen & Koltun 2017).
LEVEL_WEIGHTS = (1.0, 1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5)
# Mean colours that the two known sets of weights subtract, and torchvision's deviations, of codes 0 to 255.
MATCONVNET_MEAN = (123.68, 116.779, 103.939)
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
PUBLISHED_PREFIX = "loss_computer.perceptual_loss_module.vgg."


class LossError(LvsmError):
    """A perceptual network cannot be had: the sentence says why, and what to do."""


class Vgg19Distance(nn.Module):
    """The published perceptual term: mean absolute differences of colours and of five levels of VGG19's features, weighted.

    VGG19 with average pooling sees codes 0 to 255 minus `mean`; the sum is divided by 255. tensors: `features.N.weight`
    and `.bias` by torchvision's numbers, for such input. Raises LossError where one is missing or misshapen.
    """

    mean: Tensor

    def __init__(self, tensors: Mapping[str, Tensor], mean: tuple[float, float, float]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Sequential(*_layers(level, tensors)) for level in LEVELS)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.requires_grad_(False)

    def forward(self, images: Tensor, truth: Tensor) -> Tensor:
        """Images (N, 3, H, W) and their truth -> the mean distance, a number that gradients pass."""
        errors = self.errors(images, truth)
        return sum(weight * error for weight, error in zip(LEVEL_WEIGHTS, errors, strict=True)) / 255  # type: ignore

    def errors(self, images: Tensor, truth: Tensor) -> list[Tensor]:
        """Mean absolute differences of the pixels, then of each level."""
        both = 255 * torch.cat([images, truth]) - self.mean
        errors = [_mean_difference(both)]
        for level in self.levels:
            both = level(both)
            errors.append(_mean_difference(both))
        return errors


class Terms(NamedTuple):
    """What came of a batch, each a tensor (): what is minimised, the mean squared error, the perceptual distance."""

    loss: Tensor
    squared_error: Tensor
    perceptual: Tensor


@dataclass(frozen=True, slots=True)
class Objective:
    """What is minimised. perceptual: the network of that term, None where the run has none."""

    log_mse_threshold: float = 0.0
    perceptual: nn.Module | None = None

    def terms(self, answer: Tensor, truth: Tensor, perceptual_weight: float) -> Terms:
        """Of images (B, T, 3, H, W) float32; the perceptual distance is 0 where its weight is, and where there is none."""
        errors = squared_errors(answer, truth)
        loss = logarithmic_above(errors, self.log_mse_threshold).mean()
        if self.perceptual is None or perceptual_weight == 0:
            return Terms(loss, errors.mean(), errors.new_zeros(()))
        distance = self.perceptual(answer.flatten(0, 1), truth.flatten(0, 1))
        return Terms(loss + perceptual_weight * distance, errors.mean(), distance)


def load_objective(loss: LossConfig, device: torch.device) -> Objective:
    """With the network of the perceptual term, unless its weight is 0. Raises LossError."""
    term = loss.perceptual
    if term.weight == 0:
        return Objective(loss.log_mse_threshold)
    network = load_vgg19(None if term.file is None else Path(term.file))
    return Objective(loss.log_mse_threshold, network.to(device))


def load_vgg19(file: Path | None) -> Vgg19Distance:
    """VGG19 from torchvision, or from a file (.safetensors, .pth). Raises LossError.

    A checkpoint of the published training code holds MatConvNet's weights, which the published term was made for: they
    are taken as they are. Torchvision's expect colours divided by their deviation; that goes into the first
    convolution, and the biases are brought from colours of 0 to 1 to codes of 0 to 255, so that features have the same
    scale as the pixels.
    """
    tensors = _fetched_vgg19() if file is None else _read_tensors(file)
    published = {
        name.removeprefix(PUBLISHED_PREFIX): tensor
        for name, tensor in tensors.items()
        if name.startswith(PUBLISHED_PREFIX)
    }
    try:
        if published:
            return Vgg19Distance(published, MATCONVNET_MEAN)
        return Vgg19Distance(_for_codes(tensors), IMAGENET_MEAN)
    except KeyError as error:
        raise LossError(
            f"{file}: it has no tensor {error}, so it is not a VGG19. Give torchvision's vgg19, or a published .pt."
        ) from error
    except RuntimeError as error:
        raise LossError(f"{file}: its tensors do not fit VGG19 ({error}). Give torchvision's vgg19.") from error


def squared_errors(images: Tensor, truth: Tensor) -> Tensor:
    """The mean squared error of each image: (..., 3, H, W) twice -> (...)."""
    return (images - truth).square().mean(dim=(-3, -2, -1))


def logarithmic_above(errors: Tensor, threshold: float) -> Tensor:
    """threshold * log(1 + error / threshold): small errors as they are, large ones by their logarithm, as PSNR has them.

    So a hard image does not outweigh many easy ones. threshold 0: errors as they are (published).
    """
    return threshold * (errors / threshold).log1p() if threshold else errors


def _layers(level: tuple[tuple[int, int, int] | None, ...], tensors: Mapping[str, Tensor]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for convolution in level:
        if convolution is None:
            layers.append(nn.AvgPool2d(2))
            continue
        number, channels_in, channels_out = convolution
        with torch.device("meta"):
            layer = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        named = {part: tensors[f"features.{number}.{part}"].float() for part in ("weight", "bias")}
        layer.load_state_dict(named, assign=True)
        layers += [layer, nn.ReLU()]
    return layers


def _mean_difference(both: Tensor) -> Tensor:
    """Of the first half of a batch to the second."""
    first, second = both.float().chunk(2)
    return (first - second).abs().mean()


def _for_codes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Torchvision's weights, for codes 0 to 255 minus the mean instead of colours 0 to 1 that are normalised."""
    fitted = {
        name: tensor.float() * (255 if name.endswith(".bias") else 1)
        for name, tensor in tensors.items()
        if name.startswith("features.")
    }
    fitted["features.0.weight"] = fitted["features.0.weight"] / torch.tensor(IMAGENET_DEVIATION)[:, None, None]
    return fitted


def _read_tensors(file: Path) -> Mapping[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
        return content["model"] if isinstance(content.get("model"), Mapping) else content
    except (OSError, SafetensorError, RuntimeError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        raise LossError(f"{file}: the perceptual network cannot be read ({error}). Give another file.") from error


def _fetched_vgg19() -> Mapping[str, Tensor]:
    from torchvision.models import VGG19_Weights

    try:
        return VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    except URLError as error:
        raise _not_fetched(error) from error


def _not_fetched(error: URLError) -> LossError:
    return LossError(
        f"The perceptual network's weights cannot be fetched ({error.reason}): give a file by --perceptual.file, or switch"
        " the term off by --perceptual.weight 0."
    )
