"""Seconds of checks before a card's time is spent: does it compute what the CPU computes?

    python -m training.card.checks --preset one_card --data data/on_a_card/train      # the words of training.train

The run's own first scenes go through its model, cut to CHECKED_BLOCKS blocks, forward and backward: on the card against the
CPU in float32, in bf16 against float32, compiled against not in the run's precision (and what was compiled is kept on the
disk, for the run). Exit status 0: all is equal; 1: something is not, which is told. Without a card the CPU is checked
against itself.
"""

import dataclasses
import sys
import time
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from lvsm_engine.devices import choose_precision, peak_flops
from lvsm_engine.model.checkpoint import build_model

from ..batches.steps import FramedBatch, SceneStream, Share, step_batches
from ..configs import TrainingConfig, changed
from ..exit_status import DONE, NOT_ALL_DONE, exit_status
from ..train.options import parse
from ..train.parallel import Processes, join_processes, parallelize
from ..train.prediction import predict
from .stored_scenes import with_stored_scenes

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
    """The run's, of few blocks, on two stored scenes of its first stage from the most inputs."""
    model = dataclasses.replace(config.model, blocks=CHECKED_BLOCKS)
    # Two: what is compiled for one scene is for one scene alone.
    cut = changed(config, model=model, batch=2, input_views=(max(config.data.input_views),))
    return with_stored_scenes(cut)


def check(config: TrainingConfig, processes: Processes, memory: int, compiled_in: torch.dtype | None) -> bool:
    """Whether the device, its bf16 and the compiler (in this precision, if any) give what they should; each is told."""
    cpu, device = torch.device("cpu"), processes.device
    scenes = list(islice(SceneStream(config, Share(), memory).from_step(0), config.data.batch))
    torch.manual_seed(config.seed)
    model = build_model(config.model).requires_grad_(True)

    def answer(on: torch.device, precision: torch.dtype, compiler: str | None = None) -> Answer:
        trained = parallelize(model.to(on), "ddp", processes, compiler=compiler)
        (batch,) = step_batches(iter(scenes), config, 0, Share(), on)
        return answer_of(model, trained, batch, precision)

    of_cpu, exact, rough = answer(cpu, torch.float32), answer(device, torch.float32), answer(device, torch.bfloat16)
    found = [
        is_equal(f"{device.type} against cpu, float32", exact, of_cpu, IN_FLOAT32),
        is_equal(f"bfloat16 against float32, {device.type}", rough, exact, IN_BFLOAT16),
    ]
    if compiled_in is not None:
        plain = exact if compiled_in == torch.float32 else rough
        allowed = IN_FLOAT32 if compiled_in == torch.float32 else IN_BFLOAT16
        words = f"compiled against not, {str(compiled_in).removeprefix('torch.')}"
        found.append(is_equal(words, answer(device, compiled_in, "inductor"), plain, allowed))
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
    compiled_in = choose_precision(processes.device, options.precision) if options.compile_blocks else None
    all_equal = check(config, processes, memory, compiled_in)
    print(f"checked in {time.monotonic() - began:.0f} s")
    return DONE if all_equal else NOT_ALL_DONE


if __name__ == "__main__":
    sys.exit(exit_status(main))
