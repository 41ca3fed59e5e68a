"""Seconds of checks before a card's time is spent: does it compute what the CPU computes?

    python -m training.card.checks --preset one_card --data data/on_a_card/train      # the words of training.train

The run's own first scenes go through its model, cut to CHECKED_BLOCKS blocks, forward and backward: on the card against the
CPU in float32, in bf16 against float32, compiled against not. Exit status 0: all is equal; 1: something is not, which is
told. Without a card the CPU is checked against itself.
"""

import dataclasses
import sys
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lvsm_engine.devices import peak_flops
from lvsm_engine.model.checkpoint import build_model

from ..batches.steps import FramedBatch, SceneStream, Share, step_batches
from ..configs import TrainingConfig, changed
from ..exit_status import DONE, NOT_ALL_DONE, exit_status
from ..train.options import parse
from ..train.parallel import Processes, join_processes, parallelize
from ..train.prediction import predict

CHECKED_BLOCKS = 2
# Relative to the norm of what is compared: of the pictures, and of all gradients.
IN_FLOAT32 = (1e-4, 1e-3)
IN_BFLOAT16 = (0.03, 0.1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the scenes, on the CPU: pictures, and all gradients in one row."""

    pictures: Tensor
    gradients: Tensor


def answer_of(model: nn.Module, trained: nn.Module, batch: FramedBatch, precision: torch.dtype) -> Answer:
    """Forward and backward of a mean squared error; trained: what is called in the model's place."""
    model.zero_grad(set_to_none=True)
    pictures = predict(trained, batch, precision)
    (pictures - batch.truth).square().mean().backward()
    gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return Answer(pictures.detach().cpu(), torch.cat(gradients).float().cpu())


def differences(answer: Answer, reference: Answer) -> tuple[float, float]:
    """Of the pictures and of the gradients, relative to the reference."""
    pairs = ((answer.pictures, reference.pictures), (answer.gradients, reference.gradients))
    return tuple(float((one - other).norm() / other.norm()) for one, other in pairs)  # type: ignore[return-value]


def is_equal(words: str, answer: Answer, reference: Answer, allowed: tuple[float, float]) -> bool:
    """Tell the differences, and whether both are within what is allowed."""
    found = differences(answer, reference)
    equal = all(difference <= most for difference, most in zip(found, allowed, strict=True))
    print(
        f"{words}: pictures {found[0]:.1e} (at most {allowed[0]:g}), gradients {found[1]:.1e} (at most {allowed[1]:g}):"
        f" {'equal' if equal else 'NOT EQUAL'}"
    )
    return equal


def checked_config(config: TrainingConfig) -> TrainingConfig:
    """The run's, of few blocks, on one scene of its first stage from the most inputs."""
    model = dataclasses.replace(config.model, blocks=CHECKED_BLOCKS)
    return changed(config, model=model, batch=1, input_views=(max(config.data.input_views),))


def check(config: TrainingConfig, processes: Processes, memory: int, compiles: bool) -> bool:
    """Whether the device, its bf16 and the compiler (where asked for) all give what they should; each is told."""
    scene = next(SceneStream(config, Share(), memory).from_step(0))
    torch.manual_seed(config.seed)
    model = build_model(config.model).requires_grad_(True)
    answers = {}
    for device in dict.fromkeys((torch.device("cpu"), processes.device)):
        model = model.to(device)
        (batch,) = step_batches(iter([scene]), config, 0, Share(), device)
        answers[device] = answer_of(model, model, batch, torch.float32)
    device, reference = processes.device, answers[processes.device]
    found = [is_equal(f"{device.type} against cpu, float32", reference, answers[torch.device("cpu")], IN_FLOAT32)]
    in_bf16 = answer_of(model, model, batch, torch.bfloat16)
    found.append(is_equal(f"bfloat16 against float32, {device.type}", in_bf16, reference, IN_BFLOAT16))
    if compiles:
        compiled = answer_of(model, parallelize(model, "ddp", processes, False, "inductor"), batch, torch.float32)
        found.append(is_equal(f"compiled against not, {device.type}", compiled, reference, IN_FLOAT32))
    return all(found)


def describe(device: torch.device) -> str:
    """What computes, in words."""
    words = f"torch {torch.__version__}, Python {sys.version.split()[0]}, {torch.get_num_threads()} threads"
    if device.type != "cuda":
        return f"{words}, no card"
    peak, total = peak_flops(device), torch.cuda.mem_get_info(device)[1]
    known = "peak not known" if peak is None else f"peak {peak / 1e12:.0f} TFLOP/s in bf16"
    return f"{words}, {torch.cuda.get_device_name(device)}, {total / 2**30:.0f} GiB, {known}"


def main() -> int:
    """Raises LvsmError for a run that cannot be."""
    began = time.monotonic()
    options, processes = parse(sys.argv[1:]), join_processes()
    print(describe(processes.device))
    config, memory = checked_config(options.config), round(options.memory_gb * 2**30)
    all_equal = check(config, processes, memory, options.compile_blocks)
    print(f"checked in {time.monotonic() - began:.0f} s")
    return DONE if all_equal else NOT_ALL_DONE


if __name__ == "__main__":
    sys.exit(exit_status(main))
