"""How fast steps are: images a second, and the part of the card's peak that the model's own operations reach."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from lvsm_engine.model.costs import TRAINING_FACTOR, forward_flops

from ..batches.target_crops import crop_size
from ..configs import Stage, TrainingConfig


class SpeedMeter:
    """Measures the time of steps, and of nothing between them. clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds, self._steps = 0.0, 0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Within it a step is computed."""
        begun = self._clock()
        yield
        self._seconds, self._steps = self._seconds + self._clock() - begun, self._steps + 1

    def take_seconds_a_step(self) -> float:
        """The mean since it was last asked for."""
        mean = self._seconds / self._steps
        self._seconds, self._steps = 0.0, 0
        return mean


def images_per_second(config: TrainingConfig, seconds_a_step: float) -> float:
    """Views, inputs and targets, of all processes."""
    return config.data.batch * config.data.views / seconds_a_step


def utilisation(config: TrainingConfig, step: int, seconds_a_step: float, peak: float) -> float:
    """Model FLOPs of a step, of its mean number of inputs, over what cards of this peak (FLOP/s, all of them) could do."""
    stage, _ = config.schedule.stage_at(step)
    return step_flops(config, stage, config.data.input_views) / seconds_a_step / peak


def step_flops(config: TrainingConfig, stage: Stage, input_views: Sequence[int]) -> float:
    """Model FLOPs of a stage's step, forward and backward: the mean over these numbers of inputs."""
    model, data = config.model, config.data
    crop = crop_size((stage.size, stage.size), stage.target_crop, model.size_multiple)
    target_tokens = math.prod(crop) // model.target_stride**2
    tokens = round(stage.input_keep_ratio * stage.size**2 / model.input_stride**2)
    flops = [forward_flops(model, v, data.views - v, tokens, target_tokens) for v in input_views]
    return TRAINING_FACTOR * data.batch * float(np.mean(flops))
