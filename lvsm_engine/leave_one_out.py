"""Leave one out: a photo of a capture is synthesized from all the others, and compared with what it shows.

How near the two are tells whether a model can be trusted in a capture, and which photo or pose is bad.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .detail import PhotoDetail
from .errors import ADD_PHOTOS, CaptureError
from .metrics import psnr, ssim
from .photos import load_photo, resize_image
from .progress import Cancel, OnProgress
from .scene.camera import View, resized
from .scene.subject import Subject
from .synthesizer import Synthesizer

# SSIM's window does not fit into less.
MIN_SIDE = 16


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """picture: what was synthesized, truth: the photo; both (H, W, 3) float32 in [0, 1], sRGB-encoded. psnr: in dB, at most 100.
    ssim: at most 1."""

    picture: np.ndarray
    truth: np.ndarray
    psnr: float
    ssim: float


def compare_left_out(
    synthesizer: Synthesizer,
    views: Sequence[View],
    left_out: int,
    side: int,
    detail: PhotoDetail | None,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    max_model_views: int | None = None,
    subject: Subject | None = None,
) -> Comparison:
    """Synthesize the view at the position `left_out` from the others, its longer side `side` pixels long.

    The truth is the photo as the engine takes in photos: without lens distortion, with square pixels, over the model's
    background. detail: of all the views, by which the picture is sharpened, without the photo that is left out; None: it is the
    model's own. What is found there serves the next comparison, too. max_model_views, subject: Synthesizer.encode's.
    Raises what Synthesizer.encode and Scene.render_detail raise, and CaptureError where there is no other view.
    """
    others = [view for position, view in enumerate(views) if position != left_out]
    if not others:
        raise CaptureError("There is one photo only: add another to compare with.", ADD_PHOTOS)
    photo, camera = load_photo(views[left_out], synthesizer.background, side)
    scale = side / max(camera.width, camera.height)
    width, height = (max(MIN_SIDE, round(length * scale)) for length in (camera.width, camera.height))
    truth, camera = resize_image(photo, width, height), resized(camera, width, height)
    rest = None if detail is None else detail.without(left_out)
    scene = synthesizer.encode(others, on_progress, cancel, max_model_views, rest, subject)
    if detail is not None:
        picture = scene.render_detail([camera], on_progress, cancel).images[0]
    else:
        picture = scene.render([camera], on_progress, cancel)[0]
    return Comparison(picture, truth, psnr(picture, truth), ssim(picture, truth))
