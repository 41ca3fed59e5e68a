"""Where a photo shows its subject: by its alpha, else by a plain background. For models that know subjects cut out alone."""

from collections.abc import Sequence

import numpy as np

from .kept_tokens import subject_mask
from .scene.camera import View

# A photo whose edge is of another colour than the background by more than this share shows what stands behind its subject.
MAX_EDGE = 0.5


def silhouette(
    image: np.ndarray, alpha: np.ndarray | None, background: tuple[float, float, float]
) -> np.ndarray | None:
    """(H, W) bool; None where the photo was not cut out. image (H, W, 3), over the background, and alpha (H, W) in [0, 1]."""
    if alpha is not None and alpha.min() < 0.5:
        return alpha >= 0.5
    mask = subject_mask(image, background)
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return mask if edge.mean() <= MAX_EDGE else None


def background_warning(views: Sequence[View], silhouettes: Sequence[np.ndarray | None], model: str) -> str:
    """A sentence on the photos that were not cut out, and what to do; "" where all were."""
    uncut = [view.name for view, one in zip(views, silhouettes, strict=True) if one is None]
    if not uncut:
        return ""
    show = "shows its background" if len(uncut) == 1 else f"and {len(uncut) - 1} more photos show their background"
    return (
        f"{uncut[0]} {show}, and {model} knows subjects on white alone: cut the subject out, by masks or alpha, or choose a"
        " model of scenes."
    )
