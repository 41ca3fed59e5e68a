"""Steps: what becomes of a model when it sees a step's scenes. Knows nothing of files, logs and schedules of saving."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from lvsm_engine.model.checkpoint import Model

from ..batches.scene_batch import SceneBatch
from ..batches.steps import FramedBatch, Share, step_batches
from ..configs import TrainingConfig
from .averaging import AveragedWeights
from .log import StepReport
from .losses import Objective, Terms
from .optimizers import clip_gradients, learning_rate_factor, mend_gradients, set_learning_rates
from .parallel import Processes, gradients_stay, means_and_any
from .prediction import autocast, predict


@dataclass(frozen=True, slots=True)
class Execution:
    """Where and how steps are computed, which does not change what comes of them but for rounding."""

    processes: Processes
    precision: torch.dtype = torch.float32
    accumulate: int = 1
    """Micro-batches of a process in each step."""

    @property
    def share(self) -> Share:
        """This process's scenes of each step."""
        return Share(self.processes.rank, self.processes.count, self.accumulate)

    @property
    def device(self) -> torch.device:
        """Where all is computed."""
        return self.processes.device


@dataclass
class Trainer:
    """A model under training.

    trained: what is called in the model's place, see parallelize. averaged: of the model's weights, where they are kept.
    """

    config: TrainingConfig
    execution: Execution
    model: Model
    trained: nn.Module
    optimizers: list[torch.optim.Optimizer]
    objective: Objective
    averaged: AveragedWeights | None = None

    def step(self, step: int, scenes: Iterator[SceneBatch], terminated: Sequence[bool] = ()) -> tuple[StepReport, bool]:
        """One update, and whether any process was told to end by then. A wild or broken step is skipped by all alike.

        scenes: from which this step's are the next.
        """
        set_learning_rates(self.optimizers, learning_rate_factor(self.config.schedule, step))
        self.trained.train()
        self._seed_torch(step)
        own, processes = self._gradients(step, scenes), self.execution.processes
        (loss, squared_error, perceptual), is_terminated = means_and_any(own, bool(terminated), processes)
        norm, is_taken = self._update(loss)
        if self.averaged is not None and is_taken:
            self.averaged.update(step)
        return StepReport(loss, squared_error, perceptual, norm, not is_taken), is_terminated

    def _seed_torch(self, step: int) -> None:
        """Whatever draws from torch's own generator is a function of the step, too."""
        entropy = (self.config.seed, step, self.execution.processes.rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    def _gradients(self, step: int, scenes: Iterator[SceneBatch]) -> list[float]:
        """Let all micro-batches leave their gradients; returns this process's loss, squared error and perceptual distance."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        execution = self.execution
        sums = torch.zeros(3, dtype=torch.float64)
        batches = step_batches(scenes, self.config, step, execution.share, execution.device)
        for number, batch in enumerate(batches, start=1):
            with gradients_stay(self.trained, apart=number < execution.accumulate):
                terms = self._terms(step, batch)
                (terms.loss / execution.accumulate).backward()
            sums += torch.stack(terms).detach().cpu() / execution.accumulate
        return sums.tolist()

    def _terms(self, step: int, batch: FramedBatch) -> Terms:
        answer = predict(self.trained, batch, self.execution.precision)
        weight = self.config.loss.perceptual.weight_at(step, self.config.schedule.steps)
        with autocast(self.execution.device, self.execution.precision):
            return self.objective.terms(answer, batch.truth, weight)

    def _update(self, loss: float) -> tuple[float, bool]:
        """Let the optimizers act on the gradients; returns their norm and whether that was done."""
        if not math.isfinite(loss):  # the mean over all processes: all see the same
            return math.nan, False
        parameters = list(self.model.parameters())
        mend_gradients(parameters)
        norm = clip_gradients(parameters, self.config.optimizer.clip)
        if norm > self.config.optimizer.skip_above:
            return norm, False
        for optimizer in self.optimizers:
            optimizer.step()
        return norm, True
