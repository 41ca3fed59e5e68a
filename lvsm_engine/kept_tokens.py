"""Which patches of the input views become tokens, where a model's card says that not all do: the subject's first.

What is left out is mostly bare background, so that a model of dense input tokens costs little more than a coarse one.
Training and the engine choose alike; training knows the subject by its alpha, the engine by what is unlike the background.
"""

import numpy as np

# A pixel is of the subject where a channel is farther than this from the background: more than a JPEG's noise.
SUBJECT_THRESHOLD = 5 / 255


def subject_mask(image: np.ndarray, background: tuple[float, float, float]) -> np.ndarray:
    """Whether each pixel of an image (H, W, 3) in [0, 1] is of the subject: (H, W) bool."""
    return (np.abs(image - np.array(background, image.dtype)) > SUBJECT_THRESHOLD).any(axis=-1)


def kept_count(patches: int, keep_ratio: float) -> int:
    """How many of a view's patches become tokens: at least one."""
    return max(1, round(keep_ratio * patches))


def draw_kept_tokens(generator: np.random.Generator, subject: np.ndarray, stride: int, keep_ratio: float) -> np.ndarray:
    """Numbers (V, k) of the patches of each view that become tokens, rising; subject (V, H, W) bool tells where the subject is.

    stride: pixels from one patch to the next. Patches with any of the subject come before those without; within both,
    which are kept is drawn.
    """
    V, H, W = subject.shape
    patches = subject.reshape(V, H // stride, stride, W // stride, stride)
    of_subject = patches.any(axis=(2, 4)).reshape(V, -1)  # (V, n)
    order = np.argsort(generator.random(of_subject.shape) - of_subject, axis=1)
    return np.sort(order[:, : kept_count(of_subject.shape[1], keep_ratio)], axis=1)
