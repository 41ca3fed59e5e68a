"""What a run tells of itself while it goes: TensorBoard, lines on the terminal, a progress bar. Written by one process."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

LOG_EVERY = 20
PRINT_EVERY = 100
# Targets of a scene whose pictures are shown.
SHOWN_TARGETS = 4


@dataclass(frozen=True, slots=True)
class StepReport:
    """What came of a step: losses over all processes, the gradient's norm before clipping, whether it was skipped."""

    loss: float
    squared_error: float
    perceptual: float
    gradient_norm: float
    skipped: bool


def psnr_of(mean_squared_error: float) -> float:
    """In dB, for images in [0, 1]."""
    if not math.isfinite(mean_squared_error):
        return math.nan
    return -10 * math.log10(max(mean_squared_error, 1e-10))


class RunLog:
    """The log of a run in its folder; the first step's number and the last one's are for the progress bar.

    Where the disk takes no more of it, the log ends with a sentence, and the run goes on.
    """

    def __init__(self, folder: Path, first_step: int, steps: int) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None
        with self._told():
            self._writer = SummaryWriter(str(folder), purge_step=first_step)
        self._bar = tqdm(total=steps, initial=first_step, unit="step", disable=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()
        if self._writer is not None:
            with self._told():
                self._writer.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Give the log up where it cannot be written any more, in a sentence."""
        try:
            yield
        except OSError as error:
            self._writer = None
            self.say(
                f"{self._folder}: the log cannot be written ({error.strerror or error}), so the run goes on without it:"
                " free space on that disk."
            )

    def _add(self, scalars: Mapping[str, float], step: int) -> None:
        if self._writer is not None:
            with self._told():
                for name, value in scalars.items():
                    self._writer.add_scalar(name, value, step)

    def step(self, step: int, report: StepReport, learning_rate: float, skipped: int, seconds: float) -> None:
        """A step is done: in the bar at once, in the log every LOG_EVERY, as a line every PRINT_EVERY."""
        self._bar.update()
        if step % LOG_EVERY == 0 or report.skipped:
            scalars = {
                "train/loss": report.loss,
                "train/squared_error": report.squared_error,
                "train/perceptual": report.perceptual,
                "train/psnr": psnr_of(report.squared_error),
                "train/gradient_norm": report.gradient_norm,
                "train/learning_rate": learning_rate,
                "train/skipped_steps": skipped,
            }
            self._add(scalars, step)
        if step % PRINT_EVERY == 0:
            self.say(
                f"step {step}: psnr {psnr_of(report.squared_error):.2f}, gradient {report.gradient_norm:.2f},"
                f" {skipped} skipped, {seconds:.0f} s"
            )

    def speed(self, step: int, images_per_second: float, utilisation: float | None) -> None:
        """Views (inputs and targets) a second of all processes; model FLOPs over the cards' peak, where that is known.

        In the log each time, as a line every PRINT_EVERY steps.
        """
        self._add({"speed/images_per_second": images_per_second}, step)
        line = f"step {step}: {images_per_second:.0f} images a second"
        if utilisation is not None:
            self._add({"speed/model_flops_utilisation": utilisation}, step)
            line += f", {100 * utilisation:.1f} % of the peak"
        if (step + 1) % PRINT_EVERY == 0:
            self.say(line)

    def validation(self, step: int, psnr: float, size: int, pictures: Tensor | None) -> None:
        """Mean PSNR of the validation targets at a size, and a picture (3, H, W) of some of them."""
        self._add({f"validation/psnr_{size}": psnr}, step)
        if self._writer is not None:
            with self._told():
                if pictures is not None:
                    self._writer.add_image("validation/inputs_truth_and_answer", pictures.clamp(0, 1), step)
                self._writer.flush()
        self.say(f"step {step}: validation psnr {psnr:.2f} at {size} px")

    def say(self, line: str) -> None:
        """A line on the terminal, above the bar."""
        tqdm.write(line)


def strip(inputs: Tensor, truth: Tensor, answer: Tensor) -> Tensor:
    """One scene as a picture (3, 2 H, columns * W): its inputs, then the truth above the answer.

    inputs (V, 3, H, W), truth and answer (T, 3, H, W): the first SHOWN_TARGETS of T are shown.
    """
    truth, answer = truth[:SHOWN_TARGETS], answer[:SHOWN_TARGETS]
    above = torch.cat([*inputs, *truth], dim=2)
    below = torch.cat([torch.ones_like(torch.cat([*inputs], dim=2)), *answer], dim=2)
    return torch.cat([above, below], dim=1)
