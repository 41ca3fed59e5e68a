"""Where the cameras of a rendered object stand. Knows numpy and Camera, nothing of Blender.

Objects are centred at the origin, their longest side is 1, Z is up. All cameras have square images and a
principal point in the middle; angles are in degrees.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from lvsm_engine.scene.camera import Camera

from .. import protocol

PUBLISHED_FIELD_OF_VIEW = 50.0


@dataclass(frozen=True, slots=True)
class CameraSampling:
    """How cameras are drawn around an object; pairs are the bounds of uniform draws.

    distance: from the origin, at a field of view of 50 degrees; at another one the camera moves so that
    the object keeps its size in the image. elevation: above the horizon; directions are uniform over that part of
    the sphere. aim_jitter: how far from the origin the optical axis passes, standard deviation per axis.
    roll_jitter: degrees that the camera is turned around its optical axis, standard deviation.
    """

    field_of_view: tuple[float, float]
    distance: tuple[float, float] = (1.5, 2.8)
    elevation: tuple[float, float] = (-30.0, 80.0)
    aim_jitter: float = 0.03
    roll_jitter: float = 0.0


SAMPLINGS = {
    "published": CameraSampling(field_of_view=(PUBLISHED_FIELD_OF_VIEW, PUBLISHED_FIELD_OF_VIEW)),
    "varied": CameraSampling(field_of_view=(30.0, 60.0)),  # Of procedural scenes.
    # As people hold cameras: from a short telephoto lens to a wide one, not quite at the object, not quite level.
    "robust": CameraSampling(field_of_view=(25.0, 70.0), aim_jitter=0.08, roll_jitter=10.0),
}


def look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The upright pose at `position` (3,) that looks at `target` (3,): camera_to_world (4, 4), OpenCV axes."""
    forward = np.asarray(target, dtype=np.float64) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if np.linalg.norm(right) < 1e-9:  # Straight up or down: any right will do.
        right = np.array([1.0, 0.0, 0.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=-1)
    pose[:3, 3] = position
    return pose


def rolled(camera_to_world: np.ndarray, degrees: float) -> np.ndarray:
    """A pose (4, 4) turned around its optical axis, clockwise as the photographer sees it."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(4)
    turn[:2, :2] = [[cosine, -sine], [sine, cosine]]
    return camera_to_world @ turn


def on_sphere(elevation: float, azimuth: float, distance: float) -> np.ndarray:
    """The point (3,) at these angles in degrees; azimuth turns from +x to +y."""
    up, around = np.radians([elevation, azimuth])
    return distance * np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])


def rng_for(name: str, purpose: str) -> np.random.Generator:
    """The random numbers of one object: a function of the two names alone."""
    digest = hashlib.sha256(f"{purpose}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def sample_cameras(rng: np.random.Generator, sampling: CameraSampling, views: int, size: int) -> list[Camera]:
    """`views` cameras with images of size x size pixels."""
    lowest, highest = np.sin(np.radians(sampling.elevation))
    cameras = []
    for _ in range(views):
        elevation = np.degrees(np.arcsin(rng.uniform(lowest, highest)))
        field_of_view = rng.uniform(*sampling.field_of_view)
        distance = rng.uniform(*sampling.distance) * _half_width(PUBLISHED_FIELD_OF_VIEW)
        distance /= _half_width(field_of_view)
        position = on_sphere(elevation, rng.uniform(0.0, 360.0), distance)
        target = rng.normal(scale=sampling.aim_jitter, size=3)
        pose = look_at(position, target)
        if sampling.roll_jitter > 0:  # Drawn only where it is used: the other samplings keep their cameras.
            pose = rolled(pose, rng.normal(scale=sampling.roll_jitter))
        cameras.append(_square_camera(pose, field_of_view, size))
    return cameras


def protocol_cameras(rng: np.random.Generator, size: int) -> list[Camera]:
    """The cameras of the validation protocol's 26 views (training.protocol)."""
    poses = [look_at(on_sphere(*place), np.zeros(3)) for place in protocol.places(rng)]
    return [_square_camera(pose, protocol.FIELD_OF_VIEW, size) for pose in poses]


def cameras_for(
    name: str, sampling: str, views: int, size: int, field_of_view: tuple[float, float] | None = None
) -> list[Camera]:
    """The cameras of the object `name`; `sampling` is one of SAMPLINGS, or "protocol", whose 26 views are given.

    field_of_view: bounds of uniform draws, degrees, in the sampling's place.
    """
    rng = rng_for(name, sampling)
    if sampling == "protocol":
        return protocol_cameras(rng, size)
    chosen = SAMPLINGS[sampling]
    if field_of_view is not None:
        chosen = replace(chosen, field_of_view=field_of_view)
    return sample_cameras(rng, chosen, views, size)


def _half_width(field_of_view: float) -> float:
    return float(np.tan(np.radians(field_of_view) / 2))


def _square_camera(pose: np.ndarray, field_of_view: float, size: int) -> Camera:
    focal = size / 2 / _half_width(field_of_view)
    return Camera(pose, focal, focal, size / 2, size / 2, size, size)
