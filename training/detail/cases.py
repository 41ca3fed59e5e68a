"""Cases: what the sweep knows of some pixels of a target, and what is really there. Made once, kept in files.

Photos are as people have them: few or many, some with a camera that is a little off, of scenes also with uneven exposure. The
guide is a model's picture, blurred, off in colour, or gone, so that the blend works behind any model and alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.numpy import load_file, save

from lvsm_engine.detail import PHOTOS_A_TARGET, PhotoDetail
from lvsm_engine.model.plane_sweep.evidence import HARDLY_PRESENT
from lvsm_engine.photos import WHITE, to_bytes
from lvsm_engine.scene.camera import Camera, View, camera_of
from lvsm_engine.synthesizer import Synthesizer
from lvsm_engine.whole_files import write_bytes

from ..batches.sampler import SceneSampler
from ..batches.scene_batch import SceneBatch

# Of a scene's views so many are targets, and one of these counts the photos, where there are as many.
TARGETS, PHOTO_COUNTS = 3, (4, 8, 12, 17, 17)
# Pixels that are kept of a target.
PIXELS = 3000
# The share of photos whose camera is off, and by how much in radians (a standard deviation); the same of scenes whose photos
# differ in exposure.
SHARE_TURNED, TURN = 0.5, 0.0015
SHARE_EXPOSED, EXPOSURE = 0.4, 0.05
# Guides: as they are, gone, else means over squares of so many pixels of 256, and wide stains of this strength.
SHARE_AS_IS, SHARE_GONE, BLURS, STAINS = 0.35, 0.1, (3, 5, 9, 17, 33), (0.0, 0.02, 0.05, 0.1)
# A target counts by the reciprocal of the rule's mean squared error, and of this.
LEAST_ERROR = 1e-3


@dataclass(frozen=True, slots=True)
class Cases:
    """N pixels: evidence (see lvsm_engine/model/plane_sweep/evidence.py) of V photos, truth (N, 4), colours and alpha, and how
    much each counts (N,). float16 but for what counts."""

    of_photos: np.ndarray
    of_places: np.ndarray
    colours: np.ndarray
    known: np.ndarray
    prior: np.ndarray
    truth: np.ndarray
    counts: np.ndarray

    @classmethod
    def joined(cls, several: list["Cases"]) -> "Cases":
        """All of them, in their order."""
        return cls(*(np.concatenate([getattr(one, name) for one in several]) for name in cls.__slots__))

    @classmethod
    def load(cls, path: Path) -> "Cases":
        """Of a file."""
        return cls(**load_file(path))

    def save(self, path: Path) -> None:
        """Write them, whole or not at all. Raises OutputError."""
        write_bytes(path, save({name: np.ascontiguousarray(getattr(self, name)) for name in self.__slots__}))


def cases_of_scene(
    sampler: SceneSampler, number: int, views_a_scene: int, seed: int, synthesizer: Synthesizer
) -> Cases:
    """Of some targets of the sampler's scene of this number. Raises ViewsError."""
    rng = np.random.default_rng((seed, number))
    scene = sampler.batch(number, scenes=1, views=views_a_scene)
    photos = min(int(rng.choice(PHOTO_COUNTS)), views_a_scene - TARGETS)
    cameras = _cameras(scene)
    views = [_view(scene, cameras, TARGETS + place, rng) for place in range(photos)]
    if rng.random() < SHARE_EXPOSED and _is_wholly_seen(scene):
        views = [_exposed(view, 1 + EXPOSURE * rng.normal()) for view in views]
    detail = PhotoDetail(views, WHITE, synthesizer.device)
    pictures = synthesizer.encode(views).render(cameras[:TARGETS])
    return Cases.joined(
        [_cases_of_target(scene, target, detail, cameras[target], pictures[target], rng) for target in range(TARGETS)]
    )


def _cameras(scene: SceneBatch) -> list[Camera]:
    height, width = scene.images.shape[-2:]
    pairs = zip(scene.camera_to_world[0], scene.fxfycxcy[0], strict=True)
    return [camera_of(pose, fxfycxcy, width, height) for pose, fxfycxcy in pairs]


def _view(scene: SceneBatch, cameras: list[Camera], place: int, rng: np.random.Generator) -> View:
    """A photo of the scene, its camera perhaps a little off."""
    camera = cameras[place]
    if rng.random() < SHARE_TURNED:
        turn, _ = cv2.Rodrigues(rng.normal(scale=TURN, size=3))
        pose = camera.camera_to_world.copy()
        pose[:3, :3] = pose[:3, :3] @ turn
        camera = camera_of(pose, camera.fxfycxcy, camera.width, camera.height)
    photo = to_bytes(scene.images[0, place].permute(1, 2, 0).numpy())
    return View(camera, photo, f"photo {place}")


def _exposed(view: View, gain: float) -> View:
    assert isinstance(view.photo, np.ndarray)
    return View(view.camera, to_bytes(view.photo.astype(np.float32) / 255 * gain), view.name)


def _is_wholly_seen(scene: SceneBatch) -> bool:
    """Whether the pictures have no background: one of white would be white at any exposure."""
    return bool((scene.alpha == 1).all())


def _cases_of_target(
    scene: SceneBatch, target: int, detail: PhotoDetail, camera: Camera, picture: np.ndarray, rng: np.random.Generator
) -> Cases:
    guide = worse_guide(picture, rng)
    truth = torch.cat([scene.images[0, target], scene.alpha[0, target, None]]).permute(1, 2, 0).flatten(0, 1)  # (P, 4)
    with torch.inference_mode():
        found = detail.search(guide, camera, lambda: None)
        error = (found.decided().picture[0].permute(1, 2, 0).flatten(0, 1) - truth[:, :3]).square().mean()
        evidence = found.evidence().flat()
    kept = torch.from_numpy(rng.choice(len(truth), min(PIXELS, len(truth)), replace=False))
    missing = PHOTOS_A_TARGET - evidence.of_photos.shape[1]

    def column(values: torch.Tensor, absent: float | None) -> np.ndarray:
        """The kept pixels' values; absent: of photos (the second axis) that the target lacks, None where there are none."""
        values = values[kept]
        if absent is not None and missing:
            values = torch.cat([values, values.new_full((len(values), missing, *values.shape[2:]), absent)], 1)
        return values.half().numpy()

    return Cases(
        column(evidence.of_photos, 0.0),
        column(evidence.of_places, None),
        column(evidence.colours, 0.0),
        column(evidence.known, 0.0),
        column(evidence.prior, float(np.log(HARDLY_PRESENT))),
        column(truth, None),
        np.full(len(kept), 1 / (float(error) + LEAST_ERROR), np.float32),
    )


def worse_guide(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A guide as another model might give it, from a model's picture (h, w, 3): the same shape."""
    kind = rng.random()
    if kind < SHARE_AS_IS:
        return picture
    if kind < SHARE_AS_IS + SHARE_GONE:
        return np.broadcast_to(picture.mean(axis=(0, 1)), picture.shape).astype(np.float32)
    height, width = picture.shape[:2]
    side = max(1, round(float(rng.choice(BLURS)) * width / 256))
    blurred = cv2.blur(picture, (side, side), borderType=cv2.BORDER_REPLICATE)
    stain = float(rng.choice(STAINS)) * rng.normal(size=(4, 4, 3)).astype(np.float32)
    stains = cv2.resize(stain, (width, height), interpolation=cv2.INTER_CUBIC)
    is_white = (blurred.min(axis=-1, keepdims=True) > 0.985).astype(np.float32)
    return (blurred + stains * (1 - is_white)).clip(0, 1)


def missing_cases(folder: Path, scenes: int) -> Iterator[tuple[int, Path]]:
    """The numbers of scenes whose cases are not there yet, and their files."""
    for number in range(scenes):
        path = folder / f"{number:05}.safetensors"
        if not path.exists():
            yield number, path
