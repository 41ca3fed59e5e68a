"""Detail: pictures of a model, sharpened by the photos nearest to each target; with depth and confidence.

Which photos serve a target, how large they are read, and between which depths surfaces are looked for. How colours and depth
are found in them is model/plane_sweep.py's.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .model.plane_sweep import Photos, Target, bands_of, sweep
from .photos import load_photo, resize_image, to_bytes
from .scene.camera import Camera, View, resized, square_pixels
from .scene.frame import poses_in_frame, subject_similarity
from .scene.selection import photos_for

# Photos that serve a target: more of them stand further away, and blur it.
PHOTOS_A_TARGET = 5
# In the frame of the sweep the cameras stand so far from their subject on average.
MEAN_DISTANCE = 2.0
# Surfaces are looked for between these multiples of a target's own distance to the subject.
NEAREST_SHARE, FARTHEST_SHARE = 0.3, 6.0
# Bytes of decoded photos that are kept between targets.
MAX_KEPT_BYTES = 2**30


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """Pictures of T targets and what is known of them.

    images: (T, H, W, 3) float32 in [0, 1], sRGB-encoded. depths: (T, H, W) float32, along the optical axis, in world units.
    confidences: (T, H, W) float32 in [0, 1], how far a pixel is copied from photos that agree. None: not known.
    """

    images: np.ndarray
    depths: np.ndarray | None = None
    confidences: np.ndarray | None = None


def joined(passes: Sequence[Passes]) -> Passes:
    """The passes of several targets of one size as one, in their order."""
    columns = zip(*((one.images, one.depths, one.confidences) for one in passes), strict=True)
    return Passes(*(np.concatenate(column) for column in columns))


class PhotoDetail:
    """The photos of some views, ready to sharpen pictures of any target. Raises CaptureError, CameraError when they are read."""

    def __init__(self, views: Sequence[View], background: tuple[float, float, float], device: torch.device) -> None:
        self._views, self._background, self._device = views, background, device
        self._cameras = [square_pixels(view.camera) for view in views]
        poses = np.stack([camera.camera_to_world for camera in self._cameras])
        self._similarity = subject_similarity(poses, MEAN_DISTANCE)
        self._scale = float(np.cbrt(np.linalg.det(self._similarity[:3, :3])))
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()

    @staticmethod
    def checks_of(camera: Camera) -> int:
        """How often `passes_of` calls its check for this target."""
        return bands_of(camera.height, camera.width)

    def passes_of(self, guide: np.ndarray, camera: Camera, check: Callable[[], None]) -> Passes:
        """A target's picture, depth and confidence. guide: a model's picture of it, (h, w, 3) of any size."""
        chosen = photos_for(camera, self._cameras, PHOTOS_A_TARGET)
        pose = self._poses([camera])[0]
        distance = float(np.linalg.norm(pose[:3, 3]))
        near, far = (self._tensor([share * max(distance, 1e-3)]) for share in (NEAREST_SHARE, FARTHEST_SHARE))
        target = Target(self._tensor(pose[None]), self._tensor(camera.fxfycxcy[None]), camera.height, camera.width)
        shown = self._tensor(resize_image(guide, camera.width, camera.height)).permute(2, 0, 1)[None]
        found = sweep(self._photos(chosen, camera), target, near, far, shown, check)
        depth = (1 / (found.inverse_depth[0] * self._scale)).cpu().numpy()
        picture = found.picture[0].permute(1, 2, 0).cpu().numpy()
        return Passes(picture[None], depth[None], found.confidence[0].cpu().numpy()[None])

    def _photos(self, chosen: Sequence[int], target: Camera) -> Photos:
        """These photos, as large as a target needs them, edge pixels repeated where they differ in size."""
        images, cameras = zip(*(self._photo(position, target) for position in chosen), strict=True)
        height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
        same_size = [
            np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)), mode="edge")
            for image in images
        ]
        stacked = self._tensor(np.stack(same_size)).permute(0, 3, 1, 2)[None] / 255
        intrinsics = self._tensor(np.stack([camera.fxfycxcy for camera in cameras])[None])
        sizes = self._tensor([[[image.shape[1], image.shape[0]] for image in images]])
        return Photos(stacked, self._tensor(self._poses(cameras)[None]), intrinsics, sizes)

    def _photo(self, position: int, target: Camera) -> tuple[np.ndarray, Camera]:
        """A photo (h, w, 3) uint8 and its camera: halved as often as its pixels stay at least as fine as the target's."""
        camera = self._cameras[position]
        halvings = max(0, int(np.floor(np.log2(camera.fx / max(target.fx, target.fy)))))
        width, height = (max(1, round(side / 2**halvings)) for side in (camera.width, camera.height))
        key = (position, halvings)
        if key not in self._kept:
            image, _ = load_photo(self._views[position], self._background)
            self._kept[key] = to_bytes(resize_image(image, width, height))
            while sum(image.nbytes for image in self._kept.values()) > MAX_KEPT_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key], resized(camera, width, height)

    def _poses(self, cameras: Sequence[Camera]) -> np.ndarray:
        """(N, 4, 4) in the sweep's frame."""
        return poses_in_frame(self._similarity, np.stack([camera.camera_to_world for camera in cameras]))

    def _tensor(self, values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=torch.float32, device=self._device)
