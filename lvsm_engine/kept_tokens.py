"""Which patches of the input views a model is shown, where its card says that it is not shown all: the subject's first.

What is left out is mostly bare background, so that a model of dense input tokens costs little more than a coarse one.
Training and the engine choose alike; training knows the subject by its alpha, the engine by what is unlike the background.
"""

import numpy as np

# A pixel is of the subject where a channel is farther than this from the background: more than a JPEG's noise.
UNLIKE = 5 / 255


def unlike_background(image: np.ndarray, background: tuple[float, float, float]) -> np.ndarray:
    """Whether each pixel of an image (H, W, 3) in [0, 1] is of the subject: (H, W) bool."""
    return (np.abs(image - np.array(background, image.dtype)) > UNLIKE).any(axis=-1)


def kept_count(patches: int, share: float) -> int:
    """How many of a view's patches this share of them is: at least one."""
    return max(1, round(share * patches))


def draw_kept_tokens(generator: np.random.Generator, subject: np.ndarray, stride: int, share: float) -> np.ndarray:
    """Numbers (V, k) of this share of each view's patches, rising; subject (V, H, W) bool tells where the subject is.

    stride: pixels from one patch to the next. Patches with any of the subject come before those without; within both,
    which are seen is drawn.
    """
    V, H, W = subject.shape
    patches = subject.reshape(V, H // stride, stride, W // stride, stride)
    of_subject = patches.any(axis=(2, 4)).reshape(V, -1)  # (V, n)
    order = np.argsort(generator.random(of_subject.shape) - of_subject, axis=1)
    return np.sort(order[:, : kept_count(of_subject.shape[1], share)], axis=1)
