"""What an update is: optimizers, their learning rates, and what keeps a broken gradient from doing harm.

Knows nothing of data, losses or processes, but that a gradient may be in shards.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from ..configs import TrainingConfig
from .muon import Muon

BETAS = (0.9, 0.95)


def build_optimizers(
    model: nn.Module,
    config: TrainingConfig,
    precision: torch.dtype = torch.float32,
    share: tuple[int, int] = (0, 1),
) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices (where muon_lr is set) and for the ends' (muon_tokenizer_head_lr), AdamW for the rest.

    The ends are the tokenizers and the head. What is one-dimensional does not decay. share: this process's rank and the
    number of those whose gradients are the same.
    """
    matrices: list[Tensor] = []
    stacked: list[Tensor] = []
    ends: list[Tensor] = []
    others: list[Tensor] = []
    vectors: list[Tensor] = []
    for name, parameter in model.named_parameters():
        in_block = name.startswith(("blocks.", "encoder.", "decoder.")) and "to_depth" not in name
        is_end = name.startswith(("tokenize_", "to_pixels.")) and config.muon_tokenizer_head_lr > 0
        if parameter.dim() < 2:
            vectors.append(parameter)
        elif config.muon_lr == 0 or not (in_block or is_end):
            others.append(parameter)
        elif is_end:
            ends.append(parameter)
        else:
            (stacked if "to_qkv" in name else matrices).append(parameter)
    groups = [{"params": others, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=config.adamw_lr, betas=BETAS, eps=1e-8, fused=True)
    ]
    if matrices:
        by_kind: list[dict] = [{"params": matrices}, {"params": stacked, "stacked": 3}]  # queries, keys, values
        if ends:
            by_kind.append({"params": ends, "lr": config.muon_tokenizer_head_lr})
        # Its decay is multiplied by a ten times larger learning rate than AdamW's.
        decay = config.weight_decay / 10
        optimizers.append(Muon(by_kind, lr=config.muon_lr, weight_decay=decay, precision=precision, share=share))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["full_lr"] = group["lr"]
    return optimizers


def learning_rate_factor(config: TrainingConfig, step: int) -> float:
    """Linear warm-up from 0 in each stage, constant, then the decay to 0 at the last step's end (a line or half a cosine)."""
    _, first = config.stage_at(step)
    warmup = min(1.0, (step - first) / config.warmup) if config.warmup else 1.0
    begins = config.decay_begins
    if step < begins or begins >= config.steps:
        return warmup
    passed = (step - begins) / (config.steps - begins)
    remaining = 0.5 * (1 + math.cos(math.pi * passed)) if config.decay_shape == "cosine" else 1 - passed
    return min(warmup, remaining)


def set_learning_rates(optimizers: Sequence[torch.optim.Optimizer], factor: float) -> None:
    """This factor of the full learning rate, for every group."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = factor * group["full_lr"]


def mend_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """As in the published code: what is not a number becomes 0, what is infinite 1e-6 of its sign."""
    for parameter in parameters:
        if parameter.grad is not None:
            gradient = parameter.grad.to_local() if isinstance(parameter.grad, DTensor) else parameter.grad
            torch.nan_to_num_(gradient, nan=0.0, posinf=1e-6, neginf=-1e-6)


def clip_gradients(parameters: Iterable[nn.Parameter], most: float) -> float:
    """Scale all gradients down to a norm of at most `most`; returns the norm before."""
    norm = nn.utils.clip_grad_norm_(parameters, most)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
