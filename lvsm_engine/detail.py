"""Detail: pictures of a model, sharpened by the photos nearest to each target; with depth and confidence.

Which photos serve a target, beside which others their depth is found, and how large they are read. How colours and depth are
found in them is model/plane_sweep's.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from .model.plane_sweep.blend import Blend
from .model.plane_sweep.depth_maps import DepthMaps
from .model.plane_sweep.emptiness import emptiness
from .model.plane_sweep.exposure import stops_apart
from .model.plane_sweep.photo_depth import SIDES, depth_map, depth_quartiles
from .model.plane_sweep.reprojection import Photos, Target
from .model.plane_sweep.sweep import Search, bands_of, search
from .photos import load_cut_out, resize_image, to_bytes
from .scene.camera import Camera, View, resized, square_pixels
from .scene.frame import poses_in_frame
from .scene.selection import PHOTOS_A_TARGET, photos_beside, presences
from .scene.subject import Subject, subject_similarity

# Photos beside which a photo's depth is found; those that stand nearer to it or to each other than this share of the distance
# to their subject tell less of depth, and come last.
NEIGHBOURS, NARROW_BASELINE = 3, 0.03
# In the frame of the sweep the cameras stand so far from their subject on average.
MEAN_DISTANCE = 2.0
# Bytes of decoded photos that are kept between targets.
MAX_KEPT_BYTES = 2**30


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """Pictures of T targets and what is known of them.

    images: (T, H, W, 3) float32 in [0, 1], sRGB-encoded. depths: (T, H, W) float32, along the optical axis, in world units.
    confidences: (T, H, W) float32 in [0, 1], how far a pixel is known, since photos agree. alphas: (T, H, W) float32 in [0, 1],
    0 where photos of cut-out subjects show that nothing is there. main_photos: (T, H, W) float32, the number of the view, 1 the
    first, whose photo a pixel's colour is most of, 0 where it is mostly guessed or background. None: not known.
    """

    images: np.ndarray
    depths: np.ndarray | None = None
    confidences: np.ndarray | None = None
    alphas: np.ndarray | None = None
    main_photos: np.ndarray | None = None


def joined(passes: Sequence[Passes]) -> Passes:
    """The passes of several targets of one size as one, in their order."""
    columns = zip(*([getattr(one, field.name) for field in fields(Passes)] for one in passes), strict=True)
    return Passes(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True, slots=True, eq=False)
class _Photo:
    """image (h, w, 3) uint8; alpha (h, w) uint8 of a photo that has any, else None; its camera."""

    image: np.ndarray
    alpha: np.ndarray | None
    camera: Camera


class PhotoDetail:
    """The photos of some views, ready to sharpen pictures of any target. Raises CaptureError, CameraError when they are read.

    subject: what they are of, where someone names it; None: what they look at. stops_apart: by how many stops the photos that
    served the last target differ in exposure, before they were levelled.
    """

    def __init__(
        self,
        views: Sequence[View],
        background: tuple[float, float, float],
        device: torch.device,
        subject: Subject | None = None,
    ) -> None:
        self._views, self._background, self._device = views, background, device
        self._cameras = [square_pixels(view.camera) for view in views]
        poses = np.stack([camera.camera_to_world for camera in self._cameras])
        self.subject, self._similarity = subject, subject_similarity(poses, MEAN_DISTANCE, subject)
        self._scale = float(np.cbrt(np.linalg.det(self._similarity[:3, :3])))
        self._there = list(range(len(views)))
        self._kept: OrderedDict[tuple[int, int], _Photo] = OrderedDict()
        self._depth_maps: dict[tuple[int, ...], DepthMaps] = {}
        self.stops_apart = 0.0

    def without(self, number: int) -> "PhotoDetail":
        """The same in which a photo, by its view's position, serves no target and tells of no other's depth.

        What is found by either serves both: the depth of most photos does not depend on one of the others.
        """
        rest = copy.copy(self)
        rest._there = [other for other in self._there if other != number]
        return rest

    def around(self, subject: Subject) -> "PhotoDetail":
        """The same around another subject. What was read of the photos serves both."""
        detail = PhotoDetail(self._views, self._background, self._device, subject)
        detail._there, detail._kept = self._there, self._kept
        return detail

    def depth_quartiles(self, numbers: Sequence[int], check: Callable[[], None]) -> np.ndarray:
        """(N, 3), of photos by their views' positions: the depths, in world units, before which about a quarter, half, and three
        quarters of what each shows lie."""
        found = []
        for number in numbers:
            check()
            found.append(depth_quartiles(*self._beside(number))[0].cpu().numpy() / self._scale)
        return np.array(found)

    def checks_of(self, cameras: Sequence[Camera]) -> int:
        """How often `passes_of` calls its check for these targets, all together."""
        chosen = {number for camera in cameras for number in self._serving(camera)}
        unknown = {(number, *self._neighbours(number)) for number in chosen} - self._depth_maps.keys()
        return len(unknown) + sum(bands_of(camera.height, camera.width) for camera in cameras)

    def passes_of(self, guide: np.ndarray, camera: Camera, blend: Blend, check: Callable[[], None]) -> Passes:
        """A target's picture, depth, confidence and alpha. guide: a model's picture of it, (h, w, 3) of any size. blend: what
        weighs the photos' colours."""
        searched = self.search(guide, camera, check)
        self.stops_apart = float(stops_apart(searched.exposures).max())
        found = searched.blended(blend, check)
        depths = 1 / (found.inverse_depth * self._scale)
        assert found.main_photo is not None  # a blend tells
        numbers = self._tensor([0, *(number + 1 for number in self._serving(camera))])
        passes = (
            found.picture.permute(0, 2, 3, 1),
            depths,
            found.confidence,
            found.alpha,
            numbers[found.main_photo + 1],
        )
        return Passes(*(values.cpu().numpy() for values in passes))

    def _serving(self, camera: Camera) -> dict[int, float]:
        """How far each photo that serves a target counts, by the view's position."""
        shares = presences(camera, [self._cameras[number] for number in self._there], PHOTOS_A_TARGET)
        return {self._there[position]: share for position, share in shares.items()}

    def _neighbours(self, number: int) -> list[int]:
        """Beside which photos this one's depth is found; none where there is no other."""
        cameras = [self._cameras[other] for other in self._there]
        beside = photos_beside(self._there.index(number), cameras, NEIGHBOURS, NARROW_BASELINE, self.subject)
        return [self._there[position] for position in beside]

    def search(self, guide: np.ndarray, camera: Camera, check: Callable[[], None]) -> Search:
        """Where the target's surfaces are, by the photos that serve it."""
        chosen = self._serving(camera)
        maps = DepthMaps.stacked([self._depth_map(number, check) for number in chosen])
        pose = self._poses([camera])[0]
        distance = self._distance(pose)
        target = Target(self._tensor(pose[None]), self._tensor(camera.fxfycxcy[None]), camera.height, camera.width)
        shown = self._tensor(resize_image(guide, camera.width, camera.height)).permute(2, 0, 1)[None]
        photos = self._photos(list(chosen), max(camera.fx, camera.fy))
        presence = self._tensor([list(chosen.values())])
        return search(photos, maps, presence, target, distance, shown, self._background, check)

    def _depth_map(self, number: int, check: Callable[[], None]) -> DepthMaps:
        """Of this photo, found once: a function of the views alone, whatever targets were asked for before."""
        neighbours = self._neighbours(number)
        key = (number, *neighbours)
        if key not in self._depth_maps:
            check()
            photo, others, distance = self._beside(number)
            empty = self._empty(number, photo.images[:, 0])
            self._depth_maps[key] = depth_map(photo, others, distance, empty)
        return self._depth_maps[key]

    def _beside(self, number: int) -> tuple[Photos, Photos, Tensor]:
        """A photo and its neighbours, as fine as depth is found in them, and how far from the subject it stands, (1,)."""
        focal = self._focal_for_depth(number)
        photo, others = (self._photos(numbers, focal) for numbers in ([number], self._neighbours(number) or [number]))
        return photo, others, self._distance(self._poses([self._cameras[number]])[0])

    def _focal_for_depth(self, number: int) -> float:
        camera = self._cameras[number]
        return camera.fx * max(SIDES) / max(camera.width, camera.height)

    def _distance(self, pose: np.ndarray) -> Tensor:
        """(1,), of a pose in the sweep's frame from the subject."""
        return self._tensor([max(float(np.linalg.norm(pose[:3, 3])), 1e-3)])

    def _empty(self, number: int, images: Tensor) -> Tensor:
        """Where a photo shows that nothing is there, (1, h, w) bool: by its alpha, else by its background's colour."""
        alpha = self._photo(number, self._focal_for_depth(number)).alpha
        return emptiness(images, self._background) if alpha is None else self._tensor(alpha == 0)[None] > 0

    def _photos(self, numbers: Sequence[int], focal: float) -> Photos:
        """These photos, at least as fine as with a focal length in pixels, edge pixels repeated where they differ in size."""
        read = [self._photo(number, focal) for number in numbers]
        images, cameras = [photo.image for photo in read], [photo.camera for photo in read]
        height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
        same_size = [
            np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)), mode="edge")
            for image in images
        ]
        stacked = self._tensor(np.stack(same_size)).permute(0, 3, 1, 2)[None] / 255
        intrinsics = self._tensor(np.stack([camera.fxfycxcy for camera in cameras])[None])
        sizes = self._tensor([[[image.shape[1], image.shape[0]] for image in images]])
        return Photos(stacked, self._tensor(self._poses(cameras)[None]), intrinsics, sizes)

    def _photo(self, number: int, focal: float) -> "_Photo":
        """A photo, halved as often as its focal length in pixels stays above this one."""
        camera = self._cameras[number]
        halvings = max(0, int(np.floor(np.log2(camera.fx / focal))))
        key = (number, halvings)
        if key not in self._kept:
            width, height = (max(1, round(side / 2**halvings)) for side in (camera.width, camera.height))
            image, alpha, camera = load_cut_out(self._views[number], self._background, max(width, height))
            shown = None if alpha is None else to_bytes(resize_image(alpha, width, height))
            if shown is not None and shown.min() == 255:
                shown = None
            self._kept[key] = _Photo(
                to_bytes(resize_image(image, width, height)), shown, resized(camera, width, height)
            )
            while sum(photo.image.nbytes for photo in self._kept.values()) > MAX_KEPT_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _poses(self, cameras: Sequence[Camera]) -> np.ndarray:
        """(N, 4, 4) in the sweep's frame."""
        return poses_in_frame(self._similarity, np.stack([camera.camera_to_world for camera in cameras]))

    def _tensor(self, values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=torch.float32, device=self._device)
