"""Fit a blend to cases: its colours to the truth, its alpha to the truth's."""

import numpy as np
import torch
from torch import Tensor
from tqdm import trange

from lvsm_engine.model.plane_sweep.blend import Blend
from lvsm_engine.model.plane_sweep.evidence import GUESSES, Evidence

from .cases import Cases

PIXELS_A_STEP = 4096
LEARNING_RATE, WARMUP, WEIGHT_DECAY = 3e-3, 100, 0.01
# How much a squared error of alpha counts beside one of colours: enough to tell a white subject from nothing. At 0.1 colours
# suffer, most of all from few photos (24.8 dB instead of 26.4).
ALPHA_WEIGHT = 0.003
BACKGROUND = GUESSES.index("background")


def fit(cases: Cases, steps: int, seed: int) -> tuple[Blend, tuple[float, float]]:
    """The blend, and the mean errors before, as the rule decides, and at the end."""
    torch.manual_seed(seed)
    blend = Blend()
    optimizer = torch.optim.AdamW(blend.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    generator = np.random.default_rng(seed)
    errors = []
    for step in trange(steps, unit="step", disable=None):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / WARMUP) * (1 - step / steps)
        error = _error(blend, cases, generator.integers(len(cases.truth), size=PIXELS_A_STEP))
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    some = max(1, steps // 20)
    return blend.requires_grad_(False).eval(), (float(np.mean(errors[:10])), float(np.mean(errors[-some:])))


def _error(blend: Blend, cases: Cases, chosen: np.ndarray) -> Tensor:
    """Mean weighted squared error of these pixels."""

    def column(name: str) -> Tensor:
        return torch.from_numpy(getattr(cases, name)[chosen]).float()

    evidence = Evidence(*(column(name) for name in Evidence.__slots__))
    truth = column("truth")
    weights = blend(evidence)
    colours = ((weights[..., None] * evidence.colours).sum(-2) - truth[:, :3]).square().mean(-1)
    alpha = (1 - weights[:, BACKGROUND] - truth[:, 3]).square()
    return ((colours + ALPHA_WEIGHT * alpha) * column("counts")).mean()
