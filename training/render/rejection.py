"""Which objects give no useful views. Knows pictures and colours, nothing of Blender."""

from collections.abc import Sequence

import numpy as np

# Shares of a view that the subject covers: outside of these it teaches nothing.
MIN_SUBJECT, MAX_SUBJECT = 0.02, 0.95
# Views of a sheet of paper from its side show nothing; more of them than this share, and something is wrong.
MAX_BLANK = 0.25
# Large objects reach a view's edge in up to half of their views.
MAX_CUT_OFF = 0.75
# Of linear base colours: what differs by less looks alike.
MIN_HUE, MIN_CONTRAST = 0.02, 0.1


class RejectedError(Exception):
    """An object that gives no useful views, and why."""


def check_base_colours(colours: Sequence[tuple[float, float, float]]) -> None:
    """Raise RejectedError for untextured materials, of these linear colours, that are all of one grey.

    Asked of the materials, not of the pictures: light and shade make no texture, and nothing is rendered in vain.
    """
    rgb = np.array(colours)
    if np.ptp(rgb, axis=1).max() < MIN_HUE and np.ptp(rgb) < MIN_CONTRAST:
        raise RejectedError("the subject is untextured grey")


def check_images(images: np.ndarray) -> None:
    """Raise RejectedError for views (V, S, S, 4) uint8 in which there is nothing to see.

    An object stays if one view shows it well: swords and poles cover little of most views, and are worth having.
    """
    subject = images[..., 3] > 127
    shares = subject.mean(axis=(1, 2))
    if shares.max() == 0:
        raise RejectedError("the views are blank")
    blank = int((shares == 0).sum())
    if blank > MAX_BLANK * len(shares):
        raise RejectedError(f"{blank} of {len(shares)} views are blank")
    if shares.max() < MIN_SUBJECT:
        raise RejectedError(f"the subject covers {shares.max():.1%} of the frame at most")
    if shares.min() > MAX_SUBJECT:
        raise RejectedError(f"the subject covers {shares.min():.1%} of the frame at least")
    edges = np.concatenate([subject[:, 0], subject[:, -1], subject[:, :, 0], subject[:, :, -1]], axis=1)
    cut_off = int(edges.any(axis=1).sum())
    if cut_off > MAX_CUT_OFF * len(shares):
        raise RejectedError(f"the subject is cut off in {cut_off} of {len(shares)} views")
    colours = images[subject][:, :3].astype(np.float32)
    if colours.std(axis=0).max() < 1:
        raise RejectedError("the subject has a single colour")
