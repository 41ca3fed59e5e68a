"""A step's scenes as the model sees them: which scenes, how many inputs, varied, framed, as images and rays.

Scene i of step s is number s * batch + i of the data's stream, whatever the number of processes: of P processes, process r
takes scenes r, r + P, r + 2 P ... of a step, and its micro-batches are equal parts of these. So the sum of all gradients is
the same for any split. All that is drawn is a function of the seed, the step and the scene's number alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lvsm_engine.kept_tokens import draw_kept_tokens
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.model.rays import rays_for
from lvsm_engine.scene.camera import camera_of
from lvsm_engine.scene.frame import poses_in_frame, world_to_model

from ..configs import TrainingConfig
from .augment import RandomStream, augmented, rng_of
from .sampler import SceneSampler
from .scene_batch import SceneBatch, concatenated
from .target_crops import crop_size, draw_corners


@dataclass(frozen=True, slots=True)
class FramedBatch:
    """Scenes in a model's coordinates.

    Of the inputs: images (B, V, 3, H, W) in [0, 1] and rays (B, V, C, H, W). Of the targets, which are smaller where they
    are crops: target_rays (B, T, C, h, w) and the true images, truth (B, T, 3, h, w). kept: the numbers (B, V, k) of the
    inputs' tokens that the model gets; None: all.
    """

    images: Tensor
    rays: Tensor
    target_rays: Tensor
    truth: Tensor
    kept: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """A process's share of each step: every `processes`-th scene from `rank` on, in `accumulate` micro-batches."""

    rank: int = 0
    processes: int = 1
    accumulate: int = 1

    def numbers(self, first_step: int, last_step: int, batch: int) -> range:
        """The numbers of this process's scenes in steps first to last - 1, of `batch` scenes in all processes each."""
        return range(first_step * batch + self.rank, last_step * batch, self.processes)

    def micro_batches(self, step: int, batch: int) -> list[range]:
        """The numbers of this process's scenes in a step, a range a micro-batch."""
        numbers = self.numbers(step, step + 1, batch)
        size = len(numbers) // self.accumulate
        return [numbers[part * size : (part + 1) * size] for part in range(self.accumulate)]


class SceneStream:
    """A process's scenes, step after step, one at a time: each stage's from its sources at its size.

    memory: bytes of views that may be kept. workers: processes that load a step's scenes ahead; 0 loads each when it is
    asked for.
    """

    def __init__(self, config: TrainingConfig, share: Share, memory: int, workers: int = 0) -> None:
        self._config, self._share = config, share
        self._memory, self._workers = memory, workers
        self._scenes: Iterator[SceneBatch] | None = None
        self._next_step = -1

    def from_step(self, step: int) -> Iterator[SceneBatch]:
        """The scenes from a step on; the same iterator while steps follow each other in one stage. Raises ViewsError."""
        _, first = self._config.schedule.stage_at(step)
        if step != self._next_step or step == first or self._scenes is None:
            self._scenes = None  # its data go before others come
            self._scenes = self._opened(step)
        self._next_step = step + 1
        return self._scenes

    def _opened(self, step: int) -> Iterator[SceneBatch]:
        config, data, schedule = self._config, self._config.data, self._config.schedule
        stage, _ = schedule.stage_at(step)
        sources = [(source.folder, source.weight) for source in data.sources]
        size = stage.size * config.augmentations.crops.oversample
        sampler = SceneSampler(sources, size, config.seed, self._memory)
        last = schedule.steps if stage.until == 1 else round(stage.until * schedule.steps)
        numbers = self._share.numbers(step, last, data.batch)
        ahead = data.batch // self._share.processes
        return sampler.stream(numbers, 1, data.views, self._workers, ahead)


def step_batches(
    scenes: Iterator[SceneBatch], config: TrainingConfig, step: int, share: Share, device: torch.device
) -> Iterator[FramedBatch]:
    """A process's micro-batches of a step, one at a time; scenes: from which this step's are the next."""
    rng = rng_of(config.seed, step, RandomStream.STEP)
    inputs = int(rng.choice(config.data.input_views))  # the same in all processes, so that none waits for another
    stage, _ = config.schedule.stage_at(step)
    multiple = config.model.size_multiple
    image_size = config.augmentations.crops.draw_image_size(rng, stage.size, multiple)
    augmentations = config.augmentations.in_order(image_size)
    for numbers in share.micro_batches(step, config.data.batch):
        varied = [augmented(_on(device, next(scenes)), augmentations, config.seed, number) for number in numbers]
        drawn = concatenated(varied)
        batch = framed_batch(drawn, inputs, config, device)
        if stage.target_crop < 1:
            size = crop_size(image_size, stage.target_crop, multiple)
            batch = with_cropped_targets(batch, drawn.alpha[:, inputs:], size, config.seed, numbers)
        if stage.input_keep_ratio < 1:
            alpha, stride = drawn.alpha[:, :inputs], config.model.input_stride
            kept = kept_tokens(alpha, stride, stage.input_keep_ratio, config.seed, numbers)
            batch = replace(batch, kept=kept.to(device))
        yield batch


def _on(device: torch.device, scene: SceneBatch) -> SceneBatch:
    return replace(scene, images=scene.images.to(device))


def framed_batch(scenes: SceneBatch, inputs: int, config: TrainingConfig, device: torch.device) -> FramedBatch:
    """Scenes in the run's frame of their first `inputs` views, each moved by its jitter where there are any."""
    H, W = scenes.images.shape[-2:]
    poses = []
    for scene, (camera_to_world, fxfycxcy) in enumerate(zip(scenes.camera_to_world, scenes.fxfycxcy, strict=True)):
        cameras = [camera_of(*one, W, H) for one in zip(camera_to_world[:inputs], fxfycxcy, strict=False)]
        to_frame, _ = world_to_model(config.scene_frame, cameras)
        if scenes.frame_jitter is not None:
            to_frame = scenes.frame_jitter[scene] @ to_frame
        poses.append(poses_in_frame(to_frame, camera_to_world))
    rays = _rays(config.model, np.stack(poses), scenes.fxfycxcy, (H, W), device)
    images = scenes.images.to(device)
    return FramedBatch(images[:, :inputs], rays[:, :inputs], rays[:, inputs:], images[:, inputs:])


def with_cropped_targets(
    batch: FramedBatch, alpha: Tensor, size: tuple[int, int], seed: int, numbers: Sequence[int]
) -> FramedBatch:
    """The batch with crops of size (width, height) in place of its targets, whose alpha is (B, T, H, W)."""
    width, height = size
    rays, truth = [], []
    for scene, number in enumerate(numbers):
        corners = draw_corners(rng_of(seed, number, RandomStream.TARGET_CROP), alpha[scene].numpy(), width, height)
        for target, (left, top) in enumerate(corners):
            box = (scene, target, slice(None), slice(top, top + height), slice(left, left + width))
            rays.append(batch.target_rays[box])
            truth.append(batch.truth[box])
    scenes_and_targets = alpha.shape[:2]
    return replace(
        batch,
        target_rays=torch.stack(rays).unflatten(0, scenes_and_targets),
        truth=torch.stack(truth).unflatten(0, scenes_and_targets),
    )


def kept_tokens(alpha: Tensor, stride: int, ratio: float, seed: int, numbers: Sequence[int]) -> Tensor:
    """The numbers (B, V, k) of this share of the tokens of inputs, whose alpha is (B, V, H, W)."""
    drawn = [
        draw_kept_tokens(rng_of(seed, number, RandomStream.KEPT_TOKENS), of_scene.numpy() > 0, stride, ratio)
        for of_scene, number in zip(alpha, numbers, strict=True)
    ]
    return torch.from_numpy(np.stack(drawn))


def _rays(
    model: ModelConfig, camera_to_world: np.ndarray, fxfycxcy: np.ndarray, size: tuple[int, int], device: torch.device
) -> Tensor:
    """Rays (B, V, C, H, W) float32 of images of a size (H, W), made on the device in float64 one scene at a time: they are
    larger than the images."""
    arrays = (torch.from_numpy(np.float64(array)).to(device) for array in (camera_to_world, fxfycxcy))
    scenes = zip(*(array.split(1) for array in arrays), strict=True)
    return torch.cat([rays_for(model, pose, intrinsics, *size).float() for pose, intrinsics in scenes])
