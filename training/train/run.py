"""A run under way: step after step, with its log, its state on disk, and a look at validation scenes from time to time."""

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lvsm_engine.devices import peak_flops

from ..batches.steps import SceneStream
from .log import LOG_EVERY, RunLog, StepReport
from .speed import SpeedMeter, images_per_second, utilisation
from .state import BEFORE_DECAY, LATEST, RunProgress, RunStateError, save_state
from .trainer import Trainer
from .validation import ValidationScenes, validate


@contextlib.contextmanager
def termination() -> Iterator[list[bool]]:
    """Within it SIGTERM only makes the list true, so that a step can be finished and saved."""
    asked: list[bool] = []
    former = signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, former)


@dataclass
class Run:
    """A trainer with its scenes, and where the run stands; validation: None for a run without."""

    trainer: Trainer
    scenes: SceneStream
    validation: ValidationScenes | None
    folder: Path
    progress: RunProgress

    def train(self) -> bool:
        """From the next step to the last; False where SIGTERM ended it before, after a save. Raises RunStateError."""
        schedule = self.trainer.config.schedule
        meter = SpeedMeter()
        started = time.monotonic() - self.progress.seconds
        with termination() as terminated, self._opened_log() as log:
            for step in range(self.progress.step, schedule.steps):
                if step == schedule.decay_begins and schedule.decay < 1:
                    self.save(BEFORE_DECAY)
                with meter.step():
                    report, is_terminated = self.step(step, terminated)
                self.advance(step, report, time.monotonic() - started)
                if log is not None:
                    self._tell(log, step, report, meter)
                self._save_or_validate(step + 1, is_terminated, log)
                if is_terminated and step + 1 < schedule.steps:
                    if log is not None:
                        log.say(f"Terminated: saved before step {step + 1}; the same command goes on from there.")
                    return False
        return True

    def step(self, step: int, terminated: Sequence[bool] = ()) -> tuple[StepReport, bool]:
        """One update on its scenes, and whether any process was told to end by then."""
        return self.trainer.step(step, self.scenes.from_step(step), terminated)

    def advance(self, step: int, report: StepReport, seconds: float) -> None:
        """Count the step. Raises RunStateError after too many skipped ones in a row."""
        config = self.trainer.config
        in_a_row = self.progress.skipped_in_a_row + 1 if report.skipped else 0
        skipped = self.progress.skipped + report.skipped
        self.progress = RunProgress(step + 1, seconds, skipped, in_a_row, config.schedule.decay_begins)
        if in_a_row >= config.optimizer.stop_after_skips:
            raise RunStateError(
                f"{self.folder}: {in_a_row} steps in a row were skipped (the last loss {report.loss:g}, gradient norm"
                f" {report.gradient_norm:g}), so the run stops at step {step}; the last saved state stays. Lower the"
                " learning rate or look at the data, and start from that state's export."
            )

    def save(self, name: str) -> None:
        """Write the state; called by all processes."""
        trainer = self.trainer
        is_writer = trainer.execution.processes.is_first
        save_state(self.folder / name, self.progress, trainer.model, trainer.optimizers, trainer.averaged, is_writer)

    def validate(self, step: int, log: RunLog | None) -> None:
        """Where there are validation scenes: their targets' PSNR and some pictures, into the log; of averaged weights, if any."""
        if self.validation is None:
            return
        trainer, execution = self.trainer, self.trainer.execution
        size = trainer.config.schedule.stage_at(step - 1)[0].size
        with contextlib.nullcontext() if trainer.averaged is None else trainer.averaged.in_place():
            psnr, pictures = validate(
                trainer.model, trainer.config, self.validation, size, execution.precision, execution.processes
            )
        if log is not None:
            log.validation(step, psnr, size, pictures)

    def _opened_log(self) -> contextlib.AbstractContextManager[RunLog | None]:
        """The first process's log; the others have none."""
        if not self.trainer.execution.processes.is_first:
            return contextlib.nullcontext()
        return RunLog(self.folder, self.progress.step, self.trainer.config.schedule.steps)

    def _tell(self, log: RunLog, step: int, report: StepReport, meter: SpeedMeter) -> None:
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        log.step(step, report, rate, self.progress.skipped, self.progress.seconds)
        if (step + 1) % LOG_EVERY == 0:
            config, processes = self.trainer.config, self.trainer.execution.processes
            seconds, peak = meter.take_seconds_a_step(), peak_flops(processes.device)
            reached = None if peak is None else utilisation(config, step, seconds, processes.count * peak)
            log.speed(step, images_per_second(config, seconds), reached)

    def _save_or_validate(self, done: int, is_terminated: bool, log: RunLog | None) -> None:
        """Where it is time; done: steps made in all."""
        config = self.trainer.config
        is_last = done == config.schedule.steps
        if done % config.save_every == 0 or is_last or is_terminated:
            self.save(LATEST)
        if is_last or (done % config.validate_every == 0 and not is_terminated):
            self.validate(done, log)
