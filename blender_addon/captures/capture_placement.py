"""Where a capture stands in Blender's world: as its file says, or upright, around its subject, larger or smaller. No bpy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvsm_engine.scene.camera import View
from lvsm_engine.scene.captures import Capture
from lvsm_engine.scene.frame import poses_in_frame
from lvsm_engine.scene.subject import rotation_to_z, subject_centre

AS_IN_FILE, BY_PHOTOS, Y_UP = "FILE", "PHOTOS", "Y"
AT_SUBJECT = "SUBJECT"
# So many times their spread from the origin cameras lose digits that a picture shows.
FAR = 1000
Y_TO_Z = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True, slots=True)
class Placement:
    """up: AS_IN_FILE, BY_PHOTOS (what is up in them becomes z), or Y_UP. origin: AS_IN_FILE or AT_SUBJECT. scale: a factor."""

    up: str = AS_IN_FILE
    origin: str = AS_IN_FILE
    scale: float = 1.0


def placed(capture: Capture, placement: Placement) -> tuple[Capture, np.ndarray]:
    """The capture in Blender's world, and the similarity (4, 4) that takes the file's world there.

    One that would be too far from the origin for Blender's numbers is moved there, and a warning says so: Blender's
    matrices have 24 bits, and metres of a map's grid would fall onto steps of half a metre.
    """
    similarity = _similarity(capture, placement)
    positions = similarity[:3, :3] @ _middle(capture.views) + similarity[:3, 3]
    if np.abs(positions).max() < FAR * placement.scale * spread(capture.views):
        return transformed_capture(capture, similarity), similarity
    way = -positions.round()
    similarity[:3, 3] += way
    by = ", ".join(f"{0 + number:.0f}" for number in way)
    warning = f"The cameras are far from the origin, where Blender is inexact: all were moved by ({by})."
    moved = transformed_capture(capture, similarity)
    return replace(moved, warnings=(*moved.warnings, warning)), similarity


def _similarity(capture: Capture, placement: Placement) -> np.ndarray:
    similarity = np.eye(4)
    if placement.up == BY_PHOTOS and capture.up is not None:
        similarity[:3, :3] = rotation_to_z(capture.up)
    elif placement.up == Y_UP:
        similarity[:3, :3] = Y_TO_Z
    similarity[:3, :3] *= placement.scale
    if placement.origin == AT_SUBJECT:
        poses = np.stack([view.camera.camera_to_world for view in capture.views])
        similarity[:3, 3] = -similarity[:3, :3] @ subject_centre(poses)
    return similarity


def transformed_capture(capture: Capture, similarity: np.ndarray) -> Capture:
    """The capture with its views, points and up where the similarity (4, 4) takes them."""
    if np.array_equal(similarity, np.eye(4)):
        return capture
    views = tuple(transformed(view, similarity) for view in capture.views)
    points = None if capture.points is None else capture.points @ similarity[:3, :3].T + similarity[:3, 3]
    up = None if capture.up is None else similarity[:3, :3] @ capture.up / np.cbrt(np.linalg.det(similarity[:3, :3]))
    return replace(capture, views=views, points=points, up=up)


def transformed(view: View, similarity: np.ndarray) -> View:
    """The view from where the similarity (4, 4) takes its camera."""
    pose = poses_in_frame(similarity, view.camera.camera_to_world)
    return replace(view, camera=replace(view.camera, camera_to_world=pose))


def spread(views: Sequence[View]) -> float:
    """Root mean square distance of the cameras from their middle; 1 where they are in one place."""
    positions = np.stack([view.camera.position for view in views])
    return float(np.sqrt(((positions - _middle(views)) ** 2).sum(axis=1).mean())) or 1.0


def _middle(views: Sequence[View]) -> np.ndarray:
    return np.stack([view.camera.position for view in views]).mean(axis=0)
