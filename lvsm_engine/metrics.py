"""How near a picture is to the truth. All pictures are (H, W, 3) float32 in [0, 1], sRGB-encoded."""

import functools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

# Equal pictures have no finite PSNR: this much is said of them.
HIGHEST_PSNR = 100.0
SSIM_WINDOW = 11


def psnr(image: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB, over all pixels or those of a mask (H, W) of bool. At most 100."""
    error = (np.asarray(image, np.float64) - truth) ** 2
    mean = float(error.mean() if mask is None else error[mask].mean())
    return min(HIGHEST_PSNR, -10 * math.log10(mean)) if mean > 0 else HIGHEST_PSNR


def ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity with the Gaussian window of 11 pixels that is usual (Wang 2004); pictures of 11 pixels or more."""
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(
            image,
            truth,
            win_size=SSIM_WINDOW,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=-1,
        )
    )


def lpips_distance(image: np.ndarray, truth: np.ndarray, net: str = "alex", backbone: Path | None = None) -> float:
    """Learned perceptual distance (LPIPS v0.1, Zhang 2018), 0 for equal pictures.

    net: "alex", "squeeze" or "vgg". backbone: a safetensors file with torchvision's `features.*` of that network;
    without one, torchvision fetches it.
    """
    import torch

    def prepared(picture: np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None] * 2 - 1

    with torch.inference_mode():
        return float(_lpips_network(net, backbone)(prepared(image), prepared(truth)))


@functools.lru_cache(maxsize=2)
def _lpips_network(net: str, backbone: Path | None) -> Any:
    import lpips
    from safetensors.torch import load_file

    network = lpips.LPIPS(net=net, pnet_rand=backbone is not None, verbose=False).eval()
    if backbone is not None:
        tensors, own = load_file(backbone), network.net.state_dict()
        network.net.load_state_dict({name: tensors["features." + re.sub(r"^slice\d+\.", "", name)] for name in own})
    return network.requires_grad_(False)
