"""What an update is: optimizers, their learning rates, and what keeps a broken gradient from doing harm.

Knows nothing of data, losses or processes, but that a gradient may be in shards.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from ..configs import OptimizerConfig, ScheduleConfig
from .muon import Muon

BETAS = (0.9, 0.95)
# Of parameters. stacked: queries, keys and values, three matrices one above the other.
KINDS = ("matrices", "stacked", "tokenizer_head", "others", "vectors")


def build_optimizers(
    model: nn.Module,
    config: OptimizerConfig,
    precision: torch.dtype = torch.float32,
    share: tuple[int, int] = (0, 1),
) -> list[torch.optim.Optimizer]:
    """AdamW, and where muon_lr is set, Muon for the blocks' matrices and, at a rate of their own, for tokenizers and head.

    share: this process's rank and the number of those whose gradients are the same.
    """
    of_kind: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    for name, parameter in model.named_parameters():
        of_kind[_kind(name, parameter, config)].append(parameter)
    groups = [
        {"params": of_kind["others"], "weight_decay": config.weight_decay},
        {"params": of_kind["vectors"], "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=config.adamw_lr, betas=BETAS, eps=1e-8, fused=True)
    ]
    if of_kind["matrices"]:
        of_muon: list[dict] = [{"params": of_kind["matrices"]}, {"params": of_kind["stacked"], "stacked": 3}]
        if of_kind["tokenizer_head"]:
            of_muon.append({"params": of_kind["tokenizer_head"], "lr": config.muon_tokenizer_head_lr})
        # Its decay is multiplied by a ten times larger learning rate than AdamW's.
        decay = config.weight_decay / 10
        optimizers.append(Muon(of_muon, lr=config.muon_lr, weight_decay=decay, precision=precision, share=share))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["full_lr"] = group["lr"]
    return optimizers


def _kind(name: str, parameter: Tensor, config: OptimizerConfig) -> str:
    """Which of KINDS a parameter is, and so who trains it. What is one-dimensional does not decay."""
    if parameter.dim() < 2:
        return "vectors"
    if config.muon_lr > 0 and config.muon_tokenizer_head_lr > 0 and name.startswith(("tokenize_", "to_pixels.")):
        return "tokenizer_head"
    is_of_block = name.startswith(("blocks.", "encoder.", "decoder."))
    # What tells of tokens rather than turning them; and fast weights, whose columns' lengths are learned.
    is_no_turn = "to_depth" in name or "to_rates" in name or parameter.dim() > 2
    if config.muon_lr == 0 or not is_of_block or is_no_turn:
        return "others"
    return "stacked" if "to_qkv" in name else "matrices"


def learning_rate_factor(schedule: ScheduleConfig, step: int) -> float:
    """Linear warm-up from 0 in each stage, constant, then the decay to 0 at the last step's end (a line or half a cosine)."""
    _, first = schedule.stage_at(step)
    warmup = min(1.0, (step - first) / schedule.warmup) if schedule.warmup else 1.0
    begins = schedule.decay_begins
    if step < begins or begins >= schedule.steps:
        return warmup
    passed = (step - begins) / (schedule.steps - begins)
    remaining = 0.5 * (1 + math.cos(math.pi * passed)) if schedule.decay_shape == "cosine" else 1 - passed
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


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> float:
    """Scale all gradients down to a norm of at most max_norm; returns the norm before."""
    norm = nn.utils.clip_grad_norm_(parameters, max_norm)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
