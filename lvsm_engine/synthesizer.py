"""Synthesizer: a model at work. Photos with cameras in, images of other cameras out; sizes, precision, memory.

synthesizer = Synthesizer.load("default")
scene = synthesizer.encode(views)               # once
images = scene.render(cameras)                  # (T, H, W, 3) float32 in [0, 1], any number of times
passes = scene.render_detail(cameras)           # the same sharpened by the photos, with depth and confidence
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .detail import Passes, PhotoDetail, joined
from .devices import choose_device, choose_precision, free_bytes
from .digests import file_sha256
from .errors import ADD_PHOTOS, CHOOSE_MODEL, USE_FEWER_VIEWS, CameraError, CaptureError, CheckpointError, DeviceError
from .kept_tokens import draw_kept_tokens, kept_count, subject_mask
from .known_models import recorded_sha256
from .model.checkpoint import Model, ModelCard, find_model_file, load_checkpoint
from .model.config import ModelConfig, model_size
from .model.costs import bytes_a_target, bytes_of_inputs, checks_of, context_tokens, tokens_a_target
from .model.plane_sweep.blend import Blend
from .model.plane_sweep.blend_file import BUNDLED as BUNDLED_DETAIL
from .model.plane_sweep.blend_file import load_blend
from .model.rays import rays_for
from .nearest_scenes import EncodedScene, NearestScenes, common_size
from .photos import WHITE, fit_photo, load_cut_out, resize_image
from .progress import Cancel, OnProgress, Tracker
from .scene.camera import Camera, View, check_picture_size, cropped, resized, square_pixels
from .scene.frame import poses_in_frame, world_to_model
from .scene.selection import PAIR, feeding_views, goes_by_target
from .scene.subject import Subject
from .scene.trust import doubts
from .silhouettes import background_warning, cut_off_warning, silhouette
from .subject_by_depth import asked_photos, subject_by_depth

# Where photos agree on less of a picture than this share, it is said to be guessed. Photos that do not agree at all have 0.03, a
# beach whose trees move 0.3, things 0.9.
MOSTLY_GUESSED = 0.2
# Photos that differ in exposure by more stops than this are told.
MAX_STOPS_APART = 0.7
# Where a model takes pictures of one shape alone, and photos lose more than this share when they are cut to it, that is told.
MAX_CUT_AWAY = 0.5
# Where the system does not tell how much memory is free.
ASSUMED_FREE_BYTES = 2 * 2**30
# The part of what is free that a batch may take: allocators round up, others live here too.
USABLE_SHARE = 0.6
# A cancel is seen between blocks, so a block of a batch must end soon; larger batches are hardly faster.
MAX_TOKENS_A_BATCH = {"cpu": 1024, "cuda": 32768}
FreeBytes = Callable[[torch.device], float | None]
# torch has an exception class for a full card, and for a full CPU only these words.
CPU_OUT_OF_MEMORY = "DefaultCPUAllocator"


class Synthesizer:
    """A loaded model on a device. Raises the typed errors of lvsm_engine.errors.

    free_bytes: tells what may be taken of a device's memory; None where that is not known. max_batch_tokens: so many pass
    through the blocks at once, unless one target has more. detail_weights: the file of what sharpens any model's pictures.
    """

    def __init__(
        self,
        model: Model,
        card: ModelCard,
        device: torch.device,
        precision: torch.dtype,
        *,
        free_bytes: FreeBytes = free_bytes,
        max_batch_tokens: int | None = None,
        detail_weights: Path = BUNDLED_DETAIL,
        model_sha256: str = "",
    ) -> None:
        self.model, self.card, self.device, self.precision = model.to(device), card, device, precision
        self.free_bytes = free_bytes
        self.max_batch_tokens = max_batch_tokens or MAX_TOKENS_A_BATCH[device.type]
        self._detail_weights = detail_weights
        self.model_sha256 = model_sha256

    @classmethod
    def load(
        cls,
        path: str | Path = "default",
        device: str = "auto",
        precision: str = "auto",
        detail_weights: Path = BUNDLED_DETAIL,
    ) -> "Synthesizer":
        """The model in a file (ours or published), or the bundled one. Raises CheckpointError, DeviceError."""
        chosen = choose_device(device)
        model, card = load_checkpoint(path)
        file = find_model_file(path)
        sha256 = recorded_sha256(file) or file_sha256(file)
        chosen_precision = choose_precision(chosen, precision)
        try:
            return cls(model, card, chosen, chosen_precision, detail_weights=detail_weights, model_sha256=sha256)
        except torch.OutOfMemoryError as error:
            size = sum(parameter.nbytes for parameter in model.parameters()) / 1e9
            raise DeviceError(f"The model's {size:.1f} GB do not fit on {chosen}: choose the device cpu.") from error

    @functools.cached_property
    def blend(self) -> Blend:
        """What weighs the photos' colours; read when detail is first asked for. Raises CheckpointError."""
        return load_blend(self._detail_weights).to(self.device)

    @property
    def config(self) -> ModelConfig:
        """The model's configuration."""
        return self.model.config

    def encode(
        self,
        photos: Sequence[View],
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
        max_model_views: int | None = None,
        detail: PhotoDetail | None = None,
        subject: Subject | None = None,
    ) -> EncodedScene:
        """Take in the photos once: at most `max_model_views` of them, spread around the subject, feed the model (None: 8, or
        as many as it was trained with; one that was trained on pairs gets the two nearest to each target, when they are
        wanted); detail comes from all, or from the photos that are named. subject: what the photos are of, where someone names
        it; None: what they look at, by their depth where cameras look nearly the same way.

        Raises CaptureError, CameraError, DeviceError, Cancelled.
        """
        if not photos:
            raise CaptureError("There are no input views: give at least one camera a photo.", ADD_PHOTOS)
        cameras, trained = [view.camera for view in photos], self.card.input_views[1]
        detail = detail or self.photo_detail(photos, subject, on_progress, cancel)
        if goes_by_target(len(photos), trained, max_model_views):
            return NearestScenes(functools.partial(self._encode, photos, detail), cameras, PAIR)
        feeding = feeding_views(cameras, trained, max_model_views, detail.subject)
        return self._encode(photos, detail, feeding, on_progress, cancel)

    def _encode(
        self,
        photos: Sequence[View],
        detail: PhotoDetail,
        feeding: Sequence[int],
        on_progress: OnProgress | None,
        cancel: Cancel | None,
    ) -> "Scene":
        """Have the photos at these positions feed the model."""
        views = [photos[position] for position in feeding]
        width, height = self.size_for(_usual_aspect(views))
        tokens_a_view = kept_count(width * height // self.config.input_stride**2, self.card.input_keep_ratio)
        tokens = len(views) * tokens_a_view
        need = bytes_of_inputs(self.config, tokens, len(views) * width * height, len(views))
        free = self.free_bytes(self.device)
        shortage = _shortage(f"{len(views)} input views of {width}x{height} pixels need", need, free, self.device)
        if free is not None and need > free:
            raise shortage
        images, silhouettes, cameras = self._load_photos(views, width, height, on_progress, cancel)
        cut_outs = [one for one in silhouettes if one is not None]
        similarity, warning = world_to_model(
            self.card.scene_frame, cameras, cut_outs if len(cut_outs) == len(cameras) else None, detail.subject
        )
        checks = checks_of(self.config, True, len(views), tokens_a_view)
        tracker = Tracker("Reading the photos", checks, on_progress, cancel)
        try:
            with self.computing():
                rays = self.rays(cameras, similarity)
                encoding = self.model.encode(images, rays, check=tracker.step, kept=self._kept_tokens(images))
        except torch.OutOfMemoryError as error:
            raise shortage from error
        warnings = (warning, *self._warnings(views, silhouettes, width, height))
        context = context_tokens(self.config, tokens)
        told = tuple(filter(None, warnings))
        return Scene(self, encoding, similarity, len(views), photos, context, told, detail)

    def photo_detail(
        self,
        photos: Sequence[View],
        subject: Subject | None = None,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
    ) -> PhotoDetail:
        """The photos, ready to sharpen pictures, and to tell where their subject is: the one that is named, else, where the
        cameras look nearly the same way, by their depth. Raises CaptureError, CameraError, Cancelled."""
        detail = PhotoDetail(photos, self.background, self.device, subject)
        if subject is not None or not (asked := asked_photos(photos)):
            return detail
        tracker = Tracker("Finding the subject", len(asked), on_progress, cancel)
        with self.computing(exactly=True):
            found = subject_by_depth(photos, asked, detail, tracker.step)
        return detail if found is None else detail.around(found)

    def _warnings(
        self, views: Sequence[View], silhouettes: Sequence[np.ndarray | None], width: int, height: int
    ) -> Iterator[str]:
        """What is unlike the model's training in the views that feed it at this size; "" for nothing."""
        card, count = self.card, len(views)
        fewest, most = card.input_views
        if not fewest <= count <= most:
            numbers = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            yield f"{card.name} was trained with {numbers} input views, and gets {count}."
        factor = _usual_aspect(views) / (width / height)
        cut_away = 1 - min(factor, 1 / factor)
        if card.aspect is not None and cut_away > MAX_CUT_AWAY:
            yield (
                f"{card.name} takes pictures of {width}x{height} pixels, and {cut_away:.0%} of these photos is cut away for it:"
                " a file for pictures of their shape draws them better."
            )
        if card.scene_frame.kind == "subject_size":
            yield background_warning(views, silhouettes, card.name)
            yield cut_off_warning(views, silhouettes, card.name)

    def size_for(self, aspect: float) -> tuple[int, int]:
        """The size (width, height) of the model's own for pictures of this width / height, the only one where it has one."""
        return model_size(self.card.resolution, self.config.size_multiple, self.card.aspect or aspect)

    def _load_photos(
        self, views: Sequence[View], width: int, height: int, on_progress: OnProgress | None, cancel: Cancel | None
    ) -> tuple[Tensor, list[np.ndarray | None], list[Camera]]:
        """Images (1, V, 3, H, W), where they show their subject (H, W), if known, and their cameras; one photo at a time is
        held at its full size."""
        tracker = Tracker("Loading photos", len(views), on_progress, cancel)
        wants_silhouettes = self.card.scene_frame.kind == "subject_size"
        images, silhouettes, cameras = [], [], []
        for view in views:
            photo, alpha, of_photo = load_cut_out(view, self.background, max(width, height))
            image, camera = fit_photo(photo, of_photo, width, height)
            alpha = None if alpha is None else fit_photo(alpha, of_photo, width, height)[0]
            images.append(torch.from_numpy(image))
            silhouettes.append(silhouette(image, alpha, self.background) if wants_silhouettes else None)
            cameras.append(camera)
            tracker.step()
        stacked = torch.stack(images).permute(0, 3, 1, 2)[None]
        return stacked.float().contiguous().to(self.device), silhouettes, cameras

    def _kept_tokens(self, images: Tensor) -> Tensor | None:
        """The numbers (1, V, k) of the tokens of images (1, V, 3, H, W) that the model gets, always the same; None: all."""
        if self.card.input_keep_ratio == 1:
            return None
        subject = subject_mask(images[0].permute(0, 2, 3, 1).cpu().numpy(), self.background)
        generator = np.random.default_rng(0)
        kept = draw_kept_tokens(generator, subject, self.config.input_stride, self.card.input_keep_ratio)
        return torch.from_numpy(kept)[None].to(self.device)

    @property
    def background(self) -> tuple[float, float, float]:
        """What transparent photos are laid over."""
        return self.card.background or WHITE

    def rays(self, cameras: Sequence[Camera], similarity: np.ndarray) -> Tensor:
        """Rays (1, V, C, H, W) float32 of cameras of one size, in the model's coordinates; made one view at a time, since in
        float64 they are larger than the images."""
        poses = poses_in_frame(similarity, np.stack([camera.camera_to_world for camera in cameras]))
        lenses = np.stack([camera.fxfycxcy for camera in cameras])
        height, width = cameras[0].height, cameras[0].width
        views = zip(torch.from_numpy(poses)[None].split(1, 1), torch.from_numpy(lenses)[None].split(1, 1), strict=True)
        rays = [rays_for(self.config, pose, lens, height, width).float() for pose, lens in views]
        return torch.cat(rays, dim=1).to(self.device)

    @contextlib.contextmanager
    def computing(self, exactly: bool = False) -> Iterator[None]:
        """Within it all is computed: no gradients, the chosen precision, or float32; torch.OutOfMemoryError on the CPU too.

        Raises CameraError for cameras whose rays do not tell where they stand.
        """
        is_fast = self.precision != torch.float32 and not exactly
        try:
            with torch.inference_mode(), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_fast):
                yield
        except torch.linalg.LinAlgError as error:
            raise CameraError(
                "The cameras stand too far apart to be computed with: leave out those that are far away, or solve them again."
            ) from error
        except RuntimeError as error:
            if CPU_OUT_OF_MEMORY in str(error):
                raise torch.OutOfMemoryError(str(error)) from error
            raise


class Scene:
    """Encoded input views, ready to be seen from anywhere. Made by Synthesizer.encode.

    warnings: sentences about the input views and about the last render.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        encoding,
        similarity: np.ndarray,
        model_views: int,
        photos: Sequence[View],
        context: int,
        warnings: tuple[str, ...],
        detail: PhotoDetail,
    ) -> None:
        self._synthesizer, self._encoding, self._similarity = synthesizer, encoding, similarity
        self._model_views, self._photos, self._detail = model_views, tuple(photos), detail
        self._context, self._warnings_of_inputs = context, warnings
        self.warnings = warnings

    def render(
        self, cameras: Sequence[Camera], on_progress: OnProgress | None = None, cancel: Cancel | None = None
    ) -> np.ndarray:
        """What cameras of one size see: (T, H, W, 3) float32 in [0, 1], sRGB-encoded.

        A size that is not the model's own is rendered at the nearest one and resized; `warnings` says so then.
        Raises CameraError for cameras of several sizes or of more pixels than a picture may have, CheckpointError for a
        picture that is not finite, DeviceError, Cancelled.
        """
        images = self._render_near_size(cameras, on_progress, cancel)
        (height, width), asked = images.shape[1:3], cameras[0]
        if (width, height) == (asked.width, asked.height):
            return images
        resizing = f"renders {width}x{height} pixels; the picture is resized to {asked.width}x{asked.height}."
        self.warnings = (*self.warnings, f"{self._synthesizer.card.name} {resizing}")
        return np.stack([resize_image(image, asked.width, asked.height) for image in images])

    def render_detail(
        self, cameras: Sequence[Camera], on_progress: OnProgress | None = None, cancel: Cancel | None = None
    ) -> Passes:
        """The same sharpened by the photos nearest to each camera, at the cameras' own size; with depth and confidence.

        Where photos do not agree, or none sees, the model's picture is shown; `warnings` says so where that is nearly all of
        it. Raises what `render` raises, and CaptureError for a photo that cannot be read again.
        """
        synthesizer = self._synthesizer
        guides = self._render_near_size(cameras, on_progress, cancel)
        steps, blend = self._detail.checks_of(cameras), synthesizer.blend
        tracker = Tracker("Adding detail from the photos", steps, on_progress, cancel)
        found, stops_apart = [], 0.0
        try:
            with synthesizer.computing(exactly=True):
                for guide, camera in zip(guides, cameras, strict=True):
                    found.append(self._detail.passes_of(guide, camera, blend, tracker.step))
                    stops_apart = max(stops_apart, self._detail.stops_apart)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"The detail from the photos does not fit into the memory of {synthesizer.device}: render without it, or"
                " smaller pictures."
            ) from error
        passes = joined(found)
        self.warnings = (*self.warnings, *_doubts_of(passes, stops_apart))
        return passes

    def _render_near_size(
        self, cameras: Sequence[Camera], on_progress: OnProgress | None, cancel: Cancel | None
    ) -> np.ndarray:
        """The model's pictures (T, h, w, 3) at the size of its own that is nearest to the cameras' in shape; cut from pictures
        around it where the model knows one shape alone."""
        (width, height), first = common_size(cameras), cameras[0]
        self._check_output(len(cameras), width, height)
        self.warnings = self._warnings_of_inputs
        aspect = (width / first.fx) / (height / first.fy)  # of the angle it covers: its pixels need not be square
        own = self._synthesizer.size_for(aspect)
        across, down = own if self._synthesizer.card.aspect is None else _largest_within(own, aspect)
        left, top = (own[0] - across) // 2, (own[1] - down) // 2
        around = [cropped(resized(camera, across, down), -left, -top, *own) for camera in cameras]
        images = self._render_own_size(around, on_progress, cancel)[:, top : top + down, left : left + across]
        self.warnings = (*self.warnings, *doubts(cameras, [view.camera for view in self._photos], self._detail.subject))
        return images

    def _check_output(self, count: int, width: int, height: int) -> None:
        """Before anything is computed for them. Raises CameraError, DeviceError."""
        try:
            check_picture_size(width, height)
        except ValueError as error:
            raise CameraError(f"The picture cannot be made: {error}. Render a smaller one.") from error
        need = 2 * count * width * height * 3 * 4  # each of them, and all in one array
        free = self._synthesizer.free_bytes(torch.device("cpu"))
        if free is not None and need > free:
            raise DeviceError(
                f"{count} pictures of {width}x{height} pixels need about {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB of main"
                " memory are free: render fewer or smaller ones at a time."
            )

    def _render_own_size(
        self, cameras: Sequence[Camera], on_progress: OnProgress | None, cancel: Cancel | None
    ) -> np.ndarray:
        config, device = self._synthesizer.config, self._synthesizer.device
        tokens = cameras[0].width * cameras[0].height // config.target_stride**2
        need = bytes_a_target(config, tokens, self._context)
        free = self._synthesizer.free_bytes(device)
        picture = (
            f"A picture of {cameras[0].width}x{cameras[0].height} pixels from {self._model_views} input views needs"
        )
        shortage = _shortage(picture, need, free, device)
        if free is not None and need > free:
            raise shortage
        fit = int(USABLE_SHARE * (ASSUMED_FREE_BYTES if free is None else free) // need)
        soon = self._synthesizer.max_batch_tokens // tokens_a_target(config, tokens, self._context)
        batch = max(1, min(len(cameras), fit, soon))
        try:
            return self._render_batches(cameras, batch, on_progress, cancel)
        except torch.OutOfMemoryError:
            pass  # outside of this clause, so that the failed attempt's tensors are gone
        try:
            return self._render_batches(cameras, max(1, batch // 2), on_progress, cancel)
        except torch.OutOfMemoryError as error:
            raise shortage from error

    def _render_batches(
        self, cameras: Sequence[Camera], batch: int, on_progress: OnProgress | None, cancel: Cancel | None
    ) -> np.ndarray:
        synthesizer = self._synthesizer
        steps = math.ceil(len(cameras) / batch) * checks_of(synthesizer.config, encoding=False)
        tracker = Tracker("Synthesizing", steps, on_progress, cancel)
        images = []
        for first in range(0, len(cameras), batch):
            rays = synthesizer.rays(cameras[first : first + batch], self._similarity)
            images.append(self._decode(rays, tracker.step))
        return np.concatenate(images)

    def _decode(self, rays: Tensor, check: Callable[[], None]) -> np.ndarray:
        with self._synthesizer.computing():
            decoded = self._synthesizer.model.decode(self._encoding, rays, check=check)  # (1, T, 3, H, W)
            images = decoded[0].permute(0, 2, 3, 1).float().clamp(0, 1).cpu().numpy()
        if not np.isfinite(images).all():
            raise CheckpointError(
                f"{self._synthesizer.card.name} gave a picture with values that are not finite: its weights, or distances"
                " between the cameras, are beyond what can be computed. Choose another model, or solve the cameras again.",
                CHOOSE_MODEL,
            )
        return images


def _usual_aspect(views: Sequence[View]) -> float:
    """Width / height of most photos, as their cameras tell."""
    cameras = [square_pixels(view.camera) for view in views]
    return float(np.median([camera.width / camera.height for camera in cameras]))


def _largest_within(size: tuple[int, int], aspect: float) -> tuple[int, int]:
    """The largest (width, height) of this width / height that lies in a picture of this size."""
    width, height = size
    return min(width, max(1, round(height * aspect))), min(height, max(1, round(width / aspect)))


def _doubts_of(passes: Passes, stops_apart: float) -> Iterator[str]:
    """What is to be said of pictures with detail. stops_apart: PhotoDetail's, the most of all pictures."""
    if stops_apart > MAX_STOPS_APART:
        yield (
            f"The photos near this view differ in exposure by {stops_apart:.1f} stops, and were levelled: pictures are truer with"
            " exposure and white balance locked."
        )
    assert passes.confidences is not None
    count, guessed = len(passes.images), int((passes.confidences.mean(axis=(1, 2)) < MOSTLY_GUESSED).sum())
    if guessed:
        what = "The picture is" if count == 1 else f"{guessed} of {count} pictures are"
        yield (
            f"{what} mostly the model's own guess: the photos hardly see this view, or do not agree on it. Add photos taken near"
            " it, or solve the cameras again."
        )


def _shortage(what: str, need: int, free: float | None, device: torch.device) -> DeviceError:
    """For what does not fit; `what` begins the sentence."""
    there = "more than there is" if free is None else f"and {free / 1e9:.1f} GB are free"
    return DeviceError(
        f"{what} about {need / 1e9:.1f} GB, {there} on {device}: use fewer input views.", USE_FEWER_VIEWS
    )
