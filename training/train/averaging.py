"""Averaged weights: the mean over the last steps, roughly, which is better than any of them while the learning rate is high.

What a run exports without decaying its learning rate first. Costs a copy of the weights, and no time to speak of.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule


class AveragedWeights:
    """An exponential moving average of a model's weights that reaches back about `steps` steps.

    Holds as much of the weights as this process does, whole or in shards.
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        self._model = model
        self._parameters = list(model.parameters())
        self._averages: list[Tensor] = [parameter.detach().clone() for parameter in self._parameters]
        self._steps = steps

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 0: at first a plain mean."""
        weight = 1 / min(step + 1, self._steps)
        for average, parameter in zip(self._averages, self._parameters, strict=True):
            average.lerp_(parameter, weight)

    @torch.no_grad()
    def restart(self) -> None:
        """Begin anew from the model's weights as they are."""
        for average, parameter in zip(self._averages, self._parameters, strict=True):
            average.copy_(parameter)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averaged weights for the time of a `with`, and then its own again, bit for bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for module in self._model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()  # gathered weights would be used as they are
        for average, parameter in zip(self._averages, self._parameters, strict=True):
            own = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(own)
