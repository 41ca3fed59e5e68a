"""Mist of depths, as Cycles makes it by a world's settings. Needs no bpy."""

from dataclasses import dataclass

import numpy as np

from lvsm_engine.scene.camera import Camera

# Powers of the share of the mist's depth, by Blender's names of falloffs.
EXPONENTS = {"QUADRATIC": 2.0, "LINEAR": 1.0, "INVERSE_QUADRATIC": 0.5}


@dataclass(frozen=True, slots=True)
class MistSettings:
    """start: the distance from the camera where the mist begins; depth: how much further it is full, in world units."""

    start: float = 0.0  # what Cycles has for a scene without a world
    depth: float = 100.0
    falloff: str = "LINEAR"


def mist_of(depths: np.ndarray, alphas: np.ndarray, camera: Camera, settings: MistSettings) -> np.ndarray:
    """Depths along the optical axis (H, W), in world units -> mist (H, W) float32: 0 before it begins, 1 where it is full.

    By the distance from the camera, which grows to the picture's corners. What is not there at all, by its alpha, is full.
    """
    x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    distances = depths * np.sqrt(1 + x**2 + y[:, None] ** 2)
    share = ((distances - settings.start) / max(settings.depth, 1e-6)).clip(0, 1) ** EXPONENTS[settings.falloff]
    return (1 - (1 - share) * alphas).astype(np.float32)
