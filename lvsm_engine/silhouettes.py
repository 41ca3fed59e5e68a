"""Where a photo shows its subject: by its alpha, else by a plain background. For models that know subjects cut out alone."""

from collections.abc import Sequence

import numpy as np

from .kept_tokens import subject_mask
from .scene.camera import View

# A subject that reaches over more of a photo's edge than this share is cut off by it.
MAX_CUT_OFF = 0.02
# A photo whose edge is of another colour than the background by more than this share shows what stands behind its subject.
MAX_EDGE = 0.5


def silhouette(
    image: np.ndarray, alpha: np.ndarray | None, background: tuple[float, float, float]
) -> np.ndarray | None:
    """(H, W) bool; None where the photo was not cut out. image (H, W, 3), over the background, and alpha (H, W) in [0, 1]."""
    if alpha is not None and alpha.min() < 0.5:
        return alpha >= 0.5
    mask = subject_mask(image, background)
    return mask if _share_of_edge(mask) <= MAX_EDGE else None


def _share_of_edge(mask: np.ndarray) -> float:
    """How much of a picture's edge a mask (H, W) covers, 0 to 1."""
    return float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())


def background_warning(views: Sequence[View], silhouettes: Sequence[np.ndarray | None], model: str) -> str:
    """A sentence on the photos that were not cut out, and what to do; "" where all were."""
    uncut = [view.name for view, one in zip(views, silhouettes, strict=True) if one is None]
    if not uncut:
        return ""
    show = "shows its background" if len(uncut) == 1 else "show their background"
    return (
        f"{_first_of(uncut)} {show}, and {model} knows subjects on white alone: cut the subject out, by masks or alpha, or choose"
        " a model of scenes."
    )


def cut_off_warning(views: Sequence[View], silhouettes: Sequence[np.ndarray | None], model: str) -> str:
    """A sentence on the photos whose subject goes on beyond what the model gets of them; "" where it sees all of it."""
    pairs = zip(views, silhouettes, strict=True)
    cut_off = [view.name for view, one in pairs if one is not None and _share_of_edge(one) > MAX_CUT_OFF]
    if not cut_off:
        return ""
    return (
        f"{model} sees the middle of photos, and the subject of {_first_of(cut_off)} is cut off at its edge: leave more room"
        " around it."
    )


def _first_of(names: Sequence[str]) -> str:
    """Some photos in a few words: the first one's name, and how many more there are."""
    more = len(names) - 1
    return names[0] if not more else f"{names[0]} and {more} more photo{'s' if more > 1 else ''}"
