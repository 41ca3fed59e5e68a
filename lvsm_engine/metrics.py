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

import numpy as np

from .errors import LvsmError

# Equal pictures have no finite PSNR: this much is said of them.
MAX_PSNR = 100.0
SSIM_WINDOW = 11
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
    """Structural similarity with the Gaussian window of 11 pixels that is usual (Wang 2004); pictures of 11 pixels or more.

    mask: (H, W) of bool, the windows around these pixels alone.
    """
    from skimage.metrics import structural_similarity

    mean, similarity = structural_similarity(
        image,
        truth,
        win_size=SSIM_WINDOW,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1,
        full=True,
    )
    return float(mean if mask is None else similarity[mask].mean())


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
