"""Muon (Jordan et al. 2024): momentum whose update is brought to the nearest orthogonal matrix.

Beside torch.optim.Muon for two reasons, both measured: torch orthogonalises in bfloat16 whatever the hardware (on a CPU
without the instructions 16 s a step for the default model, in float32 0.8 s), and takes a matrix of stacked queries,
keys and values for one.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

# The quintic Newton-Schulz iteration: steepest at 0, so that 5 rounds bring all singular values near 1.
COEFFICIENTS = (3.4445, -4.775, 2.0315)
ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; decoupled weight decay.

    groups: parameter groups of (rows, columns) matrices; a group's "stacked" (1 where it is not given) tells of how many
    matrices, one above the other, each of its parameters is made. precision: what the iteration multiplies in.
    """

    def __init__(
        self,
        groups: Iterable[dict],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "stacked": 1})
        self._precision = precision

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict) -> None:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        direction = gradient.lerp(state["momentum"], group["momentum"])
        matrices = direction.unflatten(0, (group["stacked"], -1))  # (S, rows, columns)
        rows, columns = matrices.shape[1:]
        update = orthogonalised(matrices.to(self._precision)).to(parameter.dtype).flatten(0, 1)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(update, alpha=-group["lr"] * math.sqrt(max(1.0, rows / columns)))


def orthogonalised(matrices: Tensor) -> Tensor:
    """(S, rows, columns) -> the same shape: singular values near 1 (0.7 to 1.2, tiny ones less), singular vectors kept."""
    a, b, c = COEFFICIENTS
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if is_tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if is_tall else x
