"""How near a picture is to the truth. All pictures are (H, W, 3) float32 in [0, 1], sRGB-encoded."""

import contextlib
import functools
import math
import re
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .errors import LvsmError

# Equal pictures have no finite PSNR: this much is said of them.
MAX_PSNR = 100.0
# The window's side and standard deviation in pixels, and what steadies the quotients, for values in [0, 1].
SSIM_WINDOW, SSIM_DEVIATION = 11, 1.5
SSIM_MEANS, SSIM_VARIANCES = 0.01**2, 0.03**2
FETCH_SECONDS = 20.0


class MetricError(LvsmError):
    """A metric cannot be computed here."""


def psnr(image: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB, over all pixels or those of a mask (H, W) of bool. At most 100.

    NaN where a pixel is not finite.
    """
    error = (np.asarray(image, np.float64) - truth) ** 2
    mean = float(error.mean() if mask is None else error[mask].mean())
    if not math.isfinite(mean):
        return math.nan
    return min(MAX_PSNR, -10 * math.log10(mean)) if mean > 0 else MAX_PSNR


def ssim(image: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Structural similarity with the Gaussian window of 11 pixels that is usual (Wang 2004), of pictures larger than that.

    Over the windows that lie wholly within the picture, or with a mask (H, W) of bool over those around its pixels.
    """
    x, y = np.asarray(image, np.float64), np.asarray(truth, np.float64)
    mean_x, mean_y = _windowed(x), _windowed(y)
    variances = _windowed(x * x) - mean_x**2 + _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + SSIM_MEANS) * (2 * covariance + SSIM_VARIANCES)
    similarity /= (mean_x**2 + mean_y**2 + SSIM_MEANS) * (variances + SSIM_VARIANCES)
    edge = SSIM_WINDOW // 2
    return float(similarity[edge:-edge, edge:-edge].mean() if mask is None else similarity[mask].mean())


def _windowed(values: np.ndarray) -> np.ndarray:
    """Means (H, W, 3) over the window around each pixel, mirrored at the edges."""
    return cv2.GaussianBlur(values, (SSIM_WINDOW, SSIM_WINDOW), SSIM_DEVIATION, borderType=cv2.BORDER_REFLECT)


def lpips_distance(
    image: np.ndarray,
    truth: np.ndarray,
    net: str = "alex",
    backbone: Path | None = None,
    mask: np.ndarray | None = None,
) -> float:
    """Learned perceptual distance (LPIPS v0.1, Zhang 2018), 0 for equal pictures.

    net: "alex", "squeeze" or "vgg". backbone: a safetensors file with torchvision's `features.*` of that network;
    without one, torchvision fetches it. mask: (H, W) of bool: the mean over these pixels of the distance map, whose
    entries also see what lies around their pixel. Raises MetricError where the network cannot be had.
    """
    import torch

    def prepared(picture: np.ndarray):
        return torch.from_numpy(np.array(picture, np.float32)).permute(2, 0, 1)[None] * 2 - 1

    network = lpips_network(net, backbone, mask is not None)
    with torch.inference_mode():
        distance = network(prepared(image), prepared(truth))  # (1, 1, 1 | H, 1 | W)
    return float(distance if mask is None else distance[0, 0].numpy()[mask].mean())


@functools.lru_cache(maxsize=4)
def lpips_network(net: str, backbone: Path | None, is_map: bool = False) -> Any:
    """The lpips package's module, frozen: two batches (N, 3, H, W) in [-1, 1] -> (N, 1, 1, 1), or a map (N, 1, H, W).

    net and backbone as for lpips_distance. Raises MetricError where the network cannot be had.
    """
    import lpips
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with _patience(FETCH_SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # lpips 0.1.4 calls torchvision in its old words
            network = lpips.LPIPS(net=net, spatial=is_map, pnet_rand=backbone is not None, verbose=False).eval()
    except (OSError, RuntimeError) as error:
        raise MetricError(
            f"The backbone '{net}' of LPIPS cannot be fetched ({error}): give a file that holds it."
        ) from error
    if backbone is not None:
        try:
            tensors, own = load_file(backbone), network.net.state_dict()
            network.net.load_state_dict({name: tensors["features." + re.sub(r"^slice\d+\.", "", name)] for name in own})
        except (OSError, SafetensorError, KeyError, RuntimeError) as error:
            raise MetricError(f"{backbone} is no backbone '{net}' of LPIPS ({error}): give another file.") from error
    return network.requires_grad_(False)


@contextlib.contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """A server that does not answer is given up: torch's downloads have no time limit of their own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
