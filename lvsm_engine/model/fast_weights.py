"""Fast weights (LaCT, arXiv 2505.23884): a small network in each block, whose weights are taught by a scene's photos in one step.

Letters in shapes: B scenes, N tokens, H heads of fast weights, d channels a head, h hidden channels, D = H * d the width.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu, softplus

from .config import ModelConfig
from .newton_schulz import orthogonalised
from .transformer import HeadNorm, at_least_float32

# What a token's rates are before anything is learned. The step is orthogonalised: only their ratios matter.
BASE_RATE = 0.01
# Added to lengths that are divided by.
LENGTH_EPSILON = 1e-5


class FastWeights(NamedTuple):
    """The gated network of each head, or a step of its weights: gate and up (B, H, d, h), down (B, H, h, d)."""

    gate: Tensor
    down: Tensor
    up: Tensor

    def answers(self, queries: Tensor) -> Tensor:
        """(B, H, N, d) -> the same shape."""
        return (silu(queries @ self.gate) * (queries @ self.up)) @ self.down

    def plus(self, other: "FastWeights") -> "FastWeights":
        """The sum of two steps."""
        return FastWeights(*(mine + its for mine, its in zip(self, other, strict=True)))

    def to(self, dtype: torch.dtype) -> "FastWeights":
        """The same in another precision."""
        return FastWeights(*(tensor.to(dtype) for tensor in self))


class FastWeightLayer(nn.Module):
    """Inputs teach the network, inputs and targets ask it.

    iteration_precision: what Newton-Schulz multiplies in. None: bfloat16 on CUDA, as published; elsewhere, where it is
    slower, float32.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        H, d, h = config.fast_heads, config.fast_head_width, config.fast_hidden
        self.gate = nn.Parameter(torch.randn(H, d, h) / math.sqrt(d))
        self.down = nn.Parameter(torch.randn(H, h, d) / math.sqrt(h))
        self.up = nn.Parameter(torch.randn(H, d, h) / math.sqrt(d))
        self.to_qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.to_rates = nn.Linear(config.width, 3 * H)
        self.out_norm = HeadNorm(d)
        self.to_out = nn.Linear(config.width, config.width, bias=False)
        self.iteration_precision: torch.dtype | None = None
        nn.init.zeros_(self.to_rates.bias)

    def lesson(self, x: Tensor) -> FastWeights:
        """What tokens x (B, N, D) teach: minus the gradient, at the initial weights, of the sum over tokens of
        -answer(key) . value, each token's at its own rates. Lessons of parts of a scene add up to that of the whole."""
        D = x.shape[-1]
        k, v = self._by_heads(silu(linear(x, self.to_qkv.weight[D:])), 2)
        k = _of_length_1(k)
        of_gate, of_down, of_up = self._rates(x)
        g, u = k @ self.gate, k @ self.up  # (B, H, N, h)
        openness = g.sigmoid()
        opened = g * openness
        of_hidden = v @ self.down.mT
        slope = openness * (1 + g * (1 - openness))
        return FastWeights(
            gate=at_least_float32((k * of_gate).mT @ (of_hidden * u * slope)),
            down=at_least_float32((opened * u * of_down).mT @ v),
            up=at_least_float32((k * of_up).mT @ (of_hidden * opened)),
        )

    def taught(self, lesson: FastWeights) -> FastWeights:
        """The weights of a scene that teaches this in all."""
        initial = (self.gate, self.down, self.up)
        with torch.autocast(lesson.gate.device.type, enabled=False):
            return FastWeights(*(self._moved(old, step) for old, step in zip(initial, lesson, strict=True)))

    def ask(self, x: Tensor, weights: FastWeights) -> Tensor:
        """What tokens x (B, N, D) learn from a scene's weights: (B, N, D)."""
        (q,) = self._by_heads(silu(linear(x, self.to_qkv.weight[: x.shape[-1]])), 1)
        answers = self.out_norm(weights.answers(_of_length_1(q)))
        return self.to_out(answers.transpose(1, 2).flatten(2))

    def _by_heads(self, x: Tensor, parts: int) -> list[Tensor]:
        """(B, N, parts * D) -> parts tensors (B, H, N, d)."""
        return [part.transpose(1, 2) for part in x.unflatten(-1, (parts, len(self.gate), -1)).unbind(2)]

    def _rates(self, x: Tensor) -> list[Tensor]:
        """How much each token counts for gate, down and up: (B, H, N, 1) each."""
        with torch.autocast(x.device.type, enabled=False):
            offset = math.log(math.expm1(BASE_RATE))
            return self._by_heads(softplus(self.to_rates(at_least_float32(x)) + offset), 3)

    def _moved(self, initial: Tensor, step: Tensor) -> Tensor:
        """Initial weights (H, in, out) after a step (B, H, in, out) whose length is of no account; columns keep theirs."""
        precision = self.iteration_precision
        if precision is None:
            precision = torch.bfloat16 if step.device.type == "cuda" and step.dtype == torch.float32 else step.dtype
        moved = initial + orthogonalised(step.to(precision)).to(step.dtype)
        return moved / (moved.norm(dim=-2, keepdim=True) + LENGTH_EPSILON) * initial.norm(dim=-2, keepdim=True)


def _of_length_1(x: Tensor) -> Tensor:
    wide = at_least_float32(x)
    return (wide / (wide.norm(dim=-1, keepdim=True) + LENGTH_EPSILON)).to(x.dtype)
