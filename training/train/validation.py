"""How a model in training does on scenes that it never sees: PSNR at the stage's size, and pictures to look at.

Scores worth quoting come from training.evaluate, through the engine; these are for the learning curve.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..batches.sampler import SceneBatch, load_validation
from ..batches.steps import FramedBatch, kept_tokens, to_batch
from ..configs import TrainingConfig
from ..render.cameras import PROTOCOL_TARGETS
from ..views.sources import open_source
from ..views.stored import ViewsError
from .log import psnr_of, strip
from .parallel import Processes
from .prediction import predict

INPUTS = 4
# Scenes of the first process whose pictures are shown.
SHOWN_SCENES = 4


@torch.no_grad()
def validate(
    model: nn.Module, config: TrainingConfig, size: int, precision: torch.dtype, processes: Processes
) -> tuple[float, Tensor]:
    """Mean PSNR over the scenes to validate on, from their first 4 views, the same in all processes, and a picture.

    Inputs are shown as the engine will show them. Every process does its share of the scenes. The picture (3, H, W) shows
    some: inputs, the truth above the answer.
    """
    assert config.validation is not None
    model.eval()
    scenes = _scenes(config.validation, size)
    total = torch.zeros(2, dtype=torch.float64, device=processes.device)
    strips = []
    # All make as many forward passes, since sharded weights are gathered in each: the last may be for nothing.
    for turn in range(math.ceil(len(scenes) / processes.count)):
        number = turn * processes.count + processes.rank
        batch = _as_in_the_engine(scenes[number % len(scenes)], config, processes.device)
        answer = predict(model, batch, precision)
        errors = (answer - batch.truth).square().mean(dim=(0, 2, 3, 4))
        if number < len(scenes):
            total += torch.tensor([sum(map(psnr_of, errors.tolist())), len(errors)], device=processes.device)
        if turn < SHOWN_SCENES:
            strips.append(strip(batch.images[0], batch.truth[0], answer[0]))
    if processes.count > 1:
        torch.distributed.all_reduce(total)
    return float(total[0] / total[1]), torch.cat(strips, dim=1)


def _as_in_the_engine(scene: SceneBatch, config: TrainingConfig, device: torch.device) -> FramedBatch:
    batch = to_batch(scene, INPUTS, config.scene_frame, device)
    if config.input_keep_ratio == 1:
        return batch
    kept = kept_tokens(scene.alpha[:, :INPUTS], config.model.input_stride, config.input_keep_ratio, config.seed, (0,))
    return replace(batch, kept=kept.to(device))


def check_validation(folder: str, sizes: Sequence[int]) -> None:
    """Raises ViewsError for a folder whose scenes cannot be validated on at one of these sizes; reads their heads alone."""
    for size in sizes:
        source = open_source(Path(folder), size)
        fewest = int(source.views.argmin())
        if source.views[fewest] <= INPUTS:
            raise ViewsError(
                f"{folder}: {source.names[fewest]} has {source.views[fewest]} views, and validation takes {INPUTS} as inputs:"
                " render more (training.render --sampling protocol), or give another --validation."
            )


@functools.lru_cache(maxsize=1)
def _scenes(folder: str, size: int) -> list[SceneBatch]:
    """The scenes at one size: read once a stage. Of the protocol's views those for other numbers of inputs are left out."""
    return [of_protocol(scene) for scene in load_validation(folder, size)]


def of_protocol(scene: SceneBatch) -> SceneBatch:
    """The first 4 views as inputs and the protocol's targets, where a scene has more; else the scene as it is."""
    last = PROTOCOL_TARGETS.stop
    return replace(
        scene,
        images=scene.images[:, :last],
        alpha=scene.alpha[:, :last],
        camera_to_world=scene.camera_to_world[:, :last],
        fxfycxcy=scene.fxfycxcy[:, :last],
    )
