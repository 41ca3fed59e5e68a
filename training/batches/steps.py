"""A step's scenes as the model sees them: which scenes, how many inputs, mirrored, recoloured, cropped, framed, as rays.

Scene i of step s is number s * batch + i of the data's stream, whatever the number of processes: of P processes, process r
takes scenes r, r + P, r + 2 P ... of a step, and its micro-batches are equal parts of these. So the sum of all gradients is
the same for any split. All that is drawn is a function of the seed, the step and the scene's number alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lvsm_engine.kept_tokens import draw_kept_tokens
from lvsm_engine.model.rays import plucker_rays
from lvsm_engine.scene.camera import camera_of
from lvsm_engine.scene.frame import SceneFrame, poses_in_frame, world_to_model

from ..configs import TrainingConfig
from .augment import (
    crop,
    crop_size,
    draw_image_size,
    draw_jitter,
    draw_order_of_channels,
    draw_target_corners,
    draw_windows,
    mirrored,
    resized_windows,
)
from .sampler import PosedImages

# What a generator draws for: no two draw from the same numbers.
OF_STEP, OF_CROP, OF_JITTER, OF_TARGETS, OF_INPUTS, OF_MIRROR, OF_COLOURS = 1, 2, 3, 4, 5, 6, 7


class SceneStream(Protocol):
    """Where scenes come from: training.views.Views, or what stands in for it."""

    def stream(self, numbers: range, scenes: int, views: int, workers: int, ahead: int) -> Iterator[PosedImages]:
        """The batches with these numbers in their order, each a function of its number alone."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Scenes in a model's coordinates.

    Of the inputs: images (B, V, 3, H, W) in [0, 1] and rays (B, V, 6, H, W). Of the targets, which are smaller where they
    are windows: target_rays (B, T, 6, h, w) and the true images, truth (B, T, 3, h, w). kept: the numbers (B, V, k) of the
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


def scenes_of_steps(
    stream: SceneStream, share: Share, first_step: int, last_step: int, config: TrainingConfig, workers: int
) -> Iterator[PosedImages]:
    """A process's scenes of steps first to last - 1, one at a time, in the order of their numbers.

    workers: processes that load a step's scenes ahead; 0 loads each when it is asked for.
    """
    numbers = share.numbers(first_step, last_step, config.batch)
    return stream.stream(numbers, 1, config.views, workers, ahead=config.batch // share.processes)


def step_batches(
    scenes: Iterator[PosedImages], config: TrainingConfig, step: int, share: Share, device: torch.device
) -> Iterator[Batch]:
    """A process's micro-batches of a step, one at a time; scenes: from which this step's are the next."""
    generator = np.random.default_rng((config.seed, step, OF_STEP))
    inputs = int(generator.choice(config.input_views))  # the same in all processes, so that none waits for another
    stage, _ = config.stage_at(step)
    image_size = draw_image_size(generator, config.crops, stage.size, config.model.size_multiple)
    for numbers in share.micro_batches(step, config.batch):
        drawn = joined([next(scenes) for _ in numbers])
        drawn = replace(drawn, images=drawn.images.to(device))
        if config.mirror > 0:
            drawn = mirrored_scenes(drawn, config, numbers)
        if config.recolour > 0:
            drawn = recoloured_scenes(drawn, config, numbers)
        if config.crops.is_on:
            drawn = cropped_scenes(drawn, config, numbers, image_size)
        jitters = jitters_of(config, numbers) if config.frame_jitter.is_on else ()
        batch = to_batch(drawn, inputs, config.scene_frame, device, jitters)
        if stage.target_crop < 1:
            size = crop_size(image_size, stage.target_crop, config.model.size_multiple)
            batch = in_windows(batch, drawn.alpha[:, inputs:], size, config.seed, numbers)
        if stage.input_keep_ratio < 1:
            alpha, stride = drawn.alpha[:, :inputs], config.model.input_stride
            batch = replace(
                batch, kept=kept_tokens(alpha, stride, stage.input_keep_ratio, config.seed, numbers).to(device)
            )
        yield batch


def jitters_of(config: TrainingConfig, numbers: Sequence[int]) -> list[np.ndarray]:
    """Each scene's jitter of its frame, (4, 4)."""
    return [
        draw_jitter(np.random.default_rng((config.seed, number, OF_JITTER)), config.frame_jitter) for number in numbers
    ]


def joined(batches: Sequence[PosedImages]) -> PosedImages:
    """Batches of the same number of views as one."""
    return PosedImages(
        names=tuple(name for batch in batches for name in batch.names),
        images=torch.cat([batch.images for batch in batches]),
        alpha=torch.cat([batch.alpha for batch in batches]),
        camera_to_world=np.concatenate([batch.camera_to_world for batch in batches]),
        fxfycxcy=np.concatenate([batch.fxfycxcy for batch in batches]),
    )


def mirrored_scenes(drawn: PosedImages, config: TrainingConfig, numbers: Sequence[int]) -> PosedImages:
    """The scenes, about a share of config.mirror of them in a mirror."""
    images, alpha = drawn.images.clone(), drawn.alpha.clone()
    poses, lenses = drawn.camera_to_world.copy(), drawn.fxfycxcy.copy()
    for scene, number in enumerate(numbers):
        if np.random.default_rng((config.seed, number, OF_MIRROR)).random() < config.mirror:
            images[scene], alpha[scene] = images[scene].flip(-1), alpha[scene].flip(-1)
            poses[scene], lenses[scene] = mirrored(poses[scene], lenses[scene], drawn.images.shape[-1])
    return replace(drawn, images=images, alpha=alpha, camera_to_world=poses, fxfycxcy=lenses)


def recoloured_scenes(drawn: PosedImages, config: TrainingConfig, numbers: Sequence[int]) -> PosedImages:
    """The scenes, about a share of config.recolour of them with their channels in another order, the same in all views."""
    images = drawn.images.clone()
    for scene, number in enumerate(numbers):
        generator = np.random.default_rng((config.seed, number, OF_COLOURS))
        if generator.random() < config.recolour:
            images[scene] = images[scene][:, draw_order_of_channels(generator)]
    return replace(drawn, images=images)


def cropped_scenes(
    drawn: PosedImages, config: TrainingConfig, numbers: Sequence[int], image_size: tuple[int, int]
) -> PosedImages:
    """Scenes with windows of their views, at image_size (width, height)."""
    V, _, H, W = drawn.images.shape[1:]
    images, alpha, lenses = [], [], []
    for scene, number in enumerate(numbers):
        generator = np.random.default_rng((config.seed, number, OF_CROP))
        windows = draw_windows(generator, config.crops, V, (W, H), *image_size)
        cut, lens = crop(drawn.images[scene], drawn.fxfycxcy[scene], windows, *image_size)
        images.append(cut)
        alpha.append(resized_windows(drawn.alpha[scene][:, None], windows, *image_size)[:, 0])
        lenses.append(lens)
    return replace(drawn, images=torch.stack(images), alpha=torch.stack(alpha), fxfycxcy=np.stack(lenses))


def in_windows(batch: Batch, alpha: Tensor, size: tuple[int, int], seed: int, numbers: Sequence[int]) -> Batch:
    """The batch with windows of size (width, height) in place of its targets, whose alpha is (B, T, H, W)."""
    width, height = size
    rays, truth = [], []
    for scene, number in enumerate(numbers):
        generator = np.random.default_rng((seed, number, OF_TARGETS))
        corners = draw_target_corners(generator, alpha[scene].numpy(), width, height)
        for target, (left, top) in enumerate(corners):
            window = (scene, target, slice(None), slice(top, top + height), slice(left, left + width))
            rays.append(batch.target_rays[window])
            truth.append(batch.truth[window])
    scenes_and_targets = alpha.shape[:2]
    return replace(
        batch,
        target_rays=torch.stack(rays).unflatten(0, scenes_and_targets),
        truth=torch.stack(truth).unflatten(0, scenes_and_targets),
    )


def kept_tokens(alpha: Tensor, stride: int, share: float, seed: int, numbers: Sequence[int]) -> Tensor:
    """The numbers (B, V, k) of this share of the patches of inputs, whose alpha is (B, V, H, W)."""
    drawn = [
        draw_kept_tokens(np.random.default_rng((seed, number, OF_INPUTS)), of_scene.numpy() > 0, stride, share)
        for of_scene, number in zip(alpha, numbers, strict=True)
    ]
    return torch.from_numpy(np.stack(drawn))


def to_batch(
    posed: PosedImages, inputs: int, frame: SceneFrame, device: torch.device, jitters: Sequence[np.ndarray] = ()
) -> Batch:
    """Scenes in the frame of their first `inputs` views, each moved by its jitter (4, 4) where there are any."""
    H, W = posed.images.shape[-2:]
    poses = []
    for scene, (scene_poses, lenses) in enumerate(zip(posed.camera_to_world, posed.fxfycxcy, strict=True)):
        cameras = [camera_of(*one, W, H) for one in zip(scene_poses[:inputs], lenses, strict=False)]
        to_frame, _ = world_to_model(frame, cameras)
        if jitters:
            to_frame = jitters[scene] @ to_frame
        poses.append(poses_in_frame(to_frame, scene_poses))
    rays = _rays(np.stack(poses), posed.fxfycxcy, H, W, device)
    images = posed.images.to(device)
    return Batch(images[:, :inputs], rays[:, :inputs], rays[:, inputs:], images[:, inputs:])


def _rays(poses: np.ndarray, fxfycxcy: np.ndarray, height: int, width: int, device: torch.device) -> Tensor:
    """Rays (B, V, 6, H, W) float32, made on the device in float64 one scene at a time: they are larger than the images."""
    scenes = zip(*(torch.from_numpy(np.float64(array)).to(device).split(1) for array in (poses, fxfycxcy)), strict=True)
    return torch.cat([plucker_rays(pose, lens, height, width).float() for pose, lens in scenes])
