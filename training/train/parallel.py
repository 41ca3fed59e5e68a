"""How a model is spread over processes and cards. The model itself knows nothing of it.

One process needs nothing. DDP keeps a whole copy in each; FSDP2 keeps a part of each block's weights, gradients and
optimizer state in each, for models that do not fit beside their activations.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from lvsm_engine.model.fast_weight_model import FastWeightBlock
from lvsm_engine.model.transformer import Block

Kind = Literal["ddp", "fsdp"]

# A process that is slower than this is taken for lost (the first step compiles, the slowest validates).
PATIENCE = timedelta(minutes=15)
# How the back ends say, in a RuntimeError, that a process on the other side is gone.
LOSS_WORDS = ("gloo", "NCCL", "Connection closed", "Connection reset", "timed out")


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run: this one's rank, their number, and its device."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and the log."""
        return self.rank == 0


def join_processes() -> Processes:
    """The processes that torchrun started, or this one alone; each takes its own card, where there are any."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    if count > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    return Processes(rank, count, device)


def leave_processes(processes: Processes) -> None:
    """Say goodbye to the others, so that none is waited for."""
    if processes.count > 1:
        dist.destroy_process_group()


def parallelize(
    model: nn.Module,
    kind: Kind,
    processes: Processes,
    checkpoint_blocks: bool = False,
    compiler: str | Callable | None = None,
) -> nn.Module:
    """What to call instead of the model when training, with the same parameters' names in the model itself.

    checkpoint_blocks: keep a block's input alone and compute the rest again for the gradients.
    compiler: a back end of torch.compile ("inductor"), block by block, so that all blocks share what was compiled, and once
    for all numbers of input views.
    """
    if compiler is not None:
        # Else a block is cut in pieces where DDP's buckets end, and compiled again where sizes are no longer equal by chance.
        torch._dynamo.config.optimize_ddp = False
        torch.fx.experimental._config.use_duck_shape = False
    blocks = [module for module in model.modules() if isinstance(module, Block | FastWeightBlock)]
    for block in blocks:
        forward: Callable = block.forward
        if compiler is not None:
            forward = torch.compile(forward, backend=compiler, dynamic=True)
        if checkpoint_blocks:  # around what is compiled: the compiler passes over a checkpoint without a word
            forward = functools.partial(checkpoint, forward, use_reentrant=False)
        block.forward = forward  # type: ignore[method-assign]
    if processes.count == 1:
        return model
    if kind == "ddp":
        return DistributedDataParallel(model)
    for block in blocks:
        fully_shard(block)
    fully_shard(model)
    return model


@contextlib.contextmanager
def gradients_stay(trained: nn.Module, apart: bool) -> Iterator[None]:
    """Within it, where `apart`, backward keeps gradients in this process: more micro-batches of the step follow."""
    if isinstance(trained, DistributedDataParallel) and apart:
        with trained.no_sync():
            yield
    else:
        if isinstance(trained, FSDPModule):
            trained.set_requires_gradient_sync(not apart)
        yield


def means_and_any(values: Sequence[float], flag: bool, processes: Processes) -> tuple[list[float], bool]:
    """The mean of each value and whether any flag is set, over all processes: the same answer in all of them."""
    if processes.count == 1:
        return list(values), flag
    sums = torch.tensor([*values, float(flag)], dtype=torch.float64, device=processes.device)
    dist.all_reduce(sums)
    return (sums[:-1] / processes.count).tolist(), bool(sums[-1] > 0)


def is_loss_of_a_process(error: RuntimeError) -> bool:
    """Whether the error says that another process is gone."""
    return isinstance(error, dist.DistError) or any(word in str(error) for word in LOSS_WORDS)
