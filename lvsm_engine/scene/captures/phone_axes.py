"""What apps that scan with a phone share: ARKit's world, y up, and cameras with OpenGL's axes."""

import numpy as np

from .capture import from_opengl

Z_UP = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
"""Turns ARKit's world, y up, into one with z up: the axes change places, as nerfstudio has them."""


def from_arkit(camera_to_world: np.ndarray) -> np.ndarray:
    """A pose (4, 4) of ARKit with OpenCV's axes, in a world with z up."""
    return Z_UP @ from_opengl(camera_to_world)
