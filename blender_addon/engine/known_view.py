"""A scene whose views are known: a coloured ball before white. Whether an engine draws it tells whether the engine works.

Knows no bpy.
"""

import numpy as np

from lvsm_engine.scene.camera import Camera, View

SIZE = 128  # pixels
DISTANCE, FOCAL_LENGTHS = 2.2, 1.1  # in widths of the picture
RADIUS = 0.6
INPUT_ANGLES = tuple(np.radians(range(0, 360, 60)))  # around the ball
TARGET_ANGLE = np.radians(30)
# dB. The bundled weights reach 27 on this view, one even colour 15: below, a picture is wrong and not only soft.
WORKS_FROM = 20.0


def known_inputs() -> list[View]:
    """The ball's photos."""
    cameras = [_camera(angle) for angle in INPUT_ANGLES]
    return [View(camera, _picture(camera), f"known view {number}") for number, camera in enumerate(cameras)]


def known_target() -> Camera:
    """The camera between the photos, whose picture is asked for."""
    return _camera(TARGET_ANGLE)


def likeness(image: np.ndarray) -> float:
    """PSNR in dB of a picture (H, W, 3) in [0, 1] against the ball as the target sees it; at most 100."""
    error = float(np.mean((image.astype(np.float64) - _picture(known_target()) / 255) ** 2))
    return -10 * np.log10(max(error, 1e-10)) if np.isfinite(error) else 0.0


def _camera(angle: float) -> Camera:
    """On a ring a little above the ball, looking at it. Axes x right, y down, z forward."""
    position = DISTANCE * np.array([np.cos(angle), np.sin(angle), 0.35]) / np.hypot(1, 0.35)
    forward = -position / DISTANCE
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, position], axis=1)
    focal = FOCAL_LENGTHS * SIZE
    return Camera(pose, focal, focal, SIZE / 2, SIZE / 2, SIZE, SIZE)


def _picture(camera: Camera) -> np.ndarray:
    """(SIZE, SIZE, 3) uint8: what a camera sees, ray by ray."""
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    rays = np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones_like(rows)], axis=-1)
    rays = rays @ camera.camera_to_world[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    position = camera.camera_to_world[:3, 3]
    nearest = -rays @ position  # along each ray, to where it is nearest to the ball's middle
    room = RADIUS**2 - (position @ position - nearest**2)
    normals = (position + (nearest - np.sqrt(np.maximum(room, 0)))[..., None] * rays) / RADIUS
    return np.where(room[..., None] > 0, np.rint(255 * (0.5 + 0.4 * normals)), 255).clip(0, 255).astype(np.uint8)
