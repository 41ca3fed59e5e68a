"""How a model in training does on scenes that it never sees: PSNR at the stage's size, and pictures to look at.

Scores worth quoting come from training.evaluate, through the engine; these are for the learning curve.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .. import protocol
from ..batches.scene_batch import scene_batch
from ..batches.steps import FramedBatch, framed_batch, kept_tokens
from ..configs import TrainingConfig
from ..views.sources import BYTES_PER_PIXEL, SceneSource, open_source
from ..views.stored import Scene, ViewsError
from .log import psnr_of, strip
from .parallel import Processes
from .prediction import predict

INPUTS = 4
# Scenes of the first process whose pictures are shown.
SHOWN_SCENES = 4


class ValidationScenes:
    """A process's share of the scenes to validate on: every count-th from its rank on, kept at one size as 8-bit codes.

    Of each scene the inputs and the protocol's targets are read, and no other view. memory: bytes that may be kept.
    opener: what opens a folder at a size.
    """

    def __init__(
        self,
        folder: str,
        processes: Processes,
        memory: int,
        opener: Callable[[Path, int], SceneSource] = open_source,
    ) -> None:
        self._folder, self._memory, self._open = folder, memory, opener
        self._processes = processes
        self._scenes: list[Scene] = []
        self._size = 0
        self.total = 0
        """Scenes of all processes, once some were read."""

    def check(self, sizes: Sequence[int]) -> int:
        """Bytes that will be kept at the most, of these sizes; reads the scenes' heads alone.

        Raises ViewsError for a folder whose scenes cannot be validated on.
        """
        return max(self._bytes(self._checked(size), size) for size in sizes)

    def at_size(self, size: int) -> list[Scene]:
        """The process's own scenes (where there are fewer than processes, at least the first). Raises ViewsError."""
        if size != self._size:
            self._scenes = []  # before others come
            source = self._checked(size)
            self._scenes = [source.read(scene, _views(source, scene)) for scene in self._own(source)]
            self._size, self.total = size, len(source.names)
        return self._scenes

    def _own(self, source: SceneSource) -> range:
        return range(self._processes.rank, len(source.names), self._processes.count) or range(1)

    def _bytes(self, source: SceneSource, size: int) -> int:
        return sum(len(_views(source, scene)) for scene in self._own(source)) * size**2 * BYTES_PER_PIXEL

    def _checked(self, size: int) -> SceneSource:
        source = self._open(Path(self._folder), size)
        fewest = int(source.views.argmin())
        if source.views[fewest] <= INPUTS:
            raise ViewsError(
                f"{self._folder}: {source.names[fewest]} has {source.views[fewest]} views, and validation takes {INPUTS} as"
                " inputs: render more (training.render --sampling protocol), or give another --validation."
            )
        needed = self._bytes(source, size)
        if needed > self._memory:
            raise ViewsError(
                f"{self._folder}: its scenes take {needed / 2**30:.1f} GiB of a process at {size} px, and it may keep"
                f" {self._memory / 2**30:.1f}: validate on fewer scenes, or allow more (--memory-gb)."
            )
        return source


def _views(source: SceneSource, scene: int) -> np.ndarray:
    """Of the protocol's views those for other numbers of inputs are left out."""
    return np.arange(min(source.views[scene], protocol.TARGETS.stop))


@torch.no_grad()
def validate(
    model: nn.Module,
    config: TrainingConfig,
    scenes: ValidationScenes,
    size: int,
    precision: torch.dtype,
    processes: Processes,
) -> tuple[float, Tensor]:
    """Mean PSNR over the scenes to validate on, from their first 4 views, the same in all processes, and a picture.

    Inputs are shown as the engine will show them. The picture (3, H, W) shows some: inputs, the truth above the answer.
    """
    model.eval()
    own = scenes.at_size(size)
    sums = torch.zeros(2, dtype=torch.float64, device=processes.device)
    strips = []
    # All make as many forward passes, since sharded weights are gathered in each: the last may be for nothing.
    for turn in range(math.ceil(scenes.total / processes.count)):
        batch = _as_in_the_engine(own[min(turn, len(own) - 1)], config, processes.device)
        answer = predict(model, batch, precision)
        errors = (answer - batch.truth).square().mean(dim=(0, 2, 3, 4))
        if turn * processes.count + processes.rank < scenes.total:
            sums += torch.tensor([sum(map(psnr_of, errors.tolist())), len(errors)], device=processes.device)
        if turn < SHOWN_SCENES:
            strips.append(strip(batch.images[0], batch.truth[0], answer[0]))
    if processes.count > 1:
        torch.distributed.all_reduce(sums)
    return float(sums[0] / sums[1]), torch.cat(strips, dim=1)


def _as_in_the_engine(scene: Scene, config: TrainingConfig, device: torch.device) -> FramedBatch:
    posed = scene_batch([scene])
    batch = framed_batch(posed, INPUTS, config, device)
    ratio = config.schedule.last_stage.input_keep_ratio
    if ratio == 1:
        return batch
    kept = kept_tokens(posed.alpha[:, :INPUTS], config.model.input_stride, ratio, config.seed, (0,))
    return replace(batch, kept=kept.to(device))
