"""What the fake worker sees: a picture that a test can tell from any other."""

import numpy as np


def picture(camera) -> np.ndarray:
    """(H, W, 3) uint8: what the fake sees from a camera. Every byte value is in it, and its position tints it."""
    row, column = np.mgrid[: camera.height, : camera.width]
    tint = round(10 * float(np.sum(camera.camera_to_world[:3, 3])))
    return np.stack([row * camera.width + column, row + column + tint, 3 * row + tint], axis=-1).astype(np.uint8)


def passes_of(camera) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """depths, confidences, alphas and main_photos (H, W) float32; nothing is in the left half of the picture."""
    row, column = np.mgrid[: camera.height, : camera.width].astype(np.float32)
    alphas = (column >= camera.width // 2).astype(np.float32)
    return 1 + row + column / 100, column / camera.width, alphas, alphas * (1 + row % 3)
