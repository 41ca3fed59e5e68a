"""A run under way: prepared from its options, its steps, its log, its state on disk."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from lvsm_engine.devices import choose_precision, peak_flops
from lvsm_engine.errors import LvsmError
from lvsm_engine.model.checkpoint import Model, build_model
from lvsm_engine.model.costs import TRAINING_FACTOR, forward_flops, parameter_count

from ..batches.augment import crop_size
from ..batches.sampler import DEFAULT_MEMORY, SceneBatch, SceneSampler
from ..batches.steps import FramedBatch, Share, scenes_of_steps, step_batches
from ..configs import PRESETS, TrainingConfig
from .averaging import AveragedWeights
from .initial_weights import load_initial
from .log import LOG_EVERY, RunLog, StepReport
from .losses import load_perceptual, logarithmic_above, squared_errors
from .optimizers import build_optimizers, clip_gradients, learning_rate_factor, mend_gradients, set_learning_rates
from .parallel import (
    Kind,
    Processes,
    gradients_stay,
    is_loss_of_a_process,
    join_processes,
    leave_processes,
    means_and_any,
    parallelize,
)
from .prediction import autocast, predict
from .state import (
    BEFORE_DECAY,
    LATEST,
    RunProgress,
    RunStateError,
    check_config,
    find_state,
    restore,
    save_state,
    write_config,
)
from .validation import check_validation, validate

# What a process says that ends by SIGTERM, as shells count: 128 + 15.
TERMINATED = 143


@dataclass
class Options:
    """Train a model. The same command again resumes a run that was stopped.

    All that is shown below preset and out can be changed; what is shown as default is the chosen preset's.
    """

    config: Annotated[TrainingConfig, tyro.conf.arg(name="")]
    preset: Literal[tuple(PRESETS)] = "default"  # type: ignore[valid-type]
    """The run's name in training/configs.py."""
    out: Path | None = None
    """The run's folder: state, log, configuration. runs/PRESET where it is not given."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the matrix products; weights and rays are always float32. auto: bfloat16 where the device multiplies it."""
    parallel: Kind = "ddp"
    """How several processes share the model: ddp (a copy each), or fsdp (a part each; AdamW only)."""
    accumulate: int = 1
    """Micro-batches that a process makes of its share of a step: less memory, the same gradient."""
    checkpoint_blocks: bool = False
    """Compute each block again for its gradients: a third more time, far less memory."""
    compile_blocks: bool = False
    """torch.compile the blocks."""
    memory_gb: float = DEFAULT_MEMORY / 2**30
    """Views that a training process and its loading ones may keep, GiB."""
    workers: int = 0
    """Processes that load scenes ahead, for each training process; 0 loads between the steps."""


def parse(arguments: list[str]) -> Options:
    """The options of a command line: the preset first, since it gives the other fields their defaults."""

    @dataclass
    class Preset:
        preset: Literal[tuple(PRESETS)] = "default"  # type: ignore[valid-type]

    chosen, _ = tyro.cli(Preset, args=arguments, return_unknown_args=True, add_help=False)
    defaults = Options(config=PRESETS[chosen.preset](), preset=chosen.preset)
    return tyro.cli(Options, args=arguments, default=defaults)


def main(options: Options) -> None:
    """Train as the options say. Raises SystemExit with a sentence where that cannot be done."""
    processes = join_processes()
    try:
        run = prepare(options, processes)
        run.train()
    except LvsmError as error:
        raise SystemExit(str(error)) from error
    except RuntimeError as error:
        if processes.count > 1 and is_loss_of_a_process(error):
            raise SystemExit(
                f"rank {processes.rank}: another process of this run was lost, so all end ({error})."
                " The same command goes on from the last saved state."
            ) from error
        raise
    leave_processes(processes)


def prepare(options: Options, processes: Processes) -> "Run":
    """Everything in place: model, optimizers, the state that the folder holds. Raises what main turns into sentences."""
    config = options.config
    check_shares(options, processes)
    folder = options.out or Path("runs") / config.name
    folder.mkdir(parents=True, exist_ok=True)
    precision = choose_precision(processes.device, options.precision)
    state = find_state(folder, config)
    if state is not None:
        check_config(folder, config)
    if config.validation is not None:
        check_validation(config.validation, [stage.size for stage in config.stages])
    torch.manual_seed(config.seed)
    model = build_model(config.model) if state or config.init is None else load_initial(config)
    model = model.to(processes.device).requires_grad_(True)
    compiler = "inductor" if options.compile_blocks else None
    trained = parallelize(model, options.parallel, processes, options.checkpoint_blocks, compiler)
    optimizers = build_optimizers(model, config, precision, (processes.rank, processes.count))
    averaged = AveragedWeights(model, config.average) if config.average else None
    progress = RunProgress() if state is None else restore(state, model, optimizers, averaged)
    perceptual = load_perceptual(config.perceptual)
    if perceptual is not None:
        perceptual = perceptual.to(processes.device)
    share = Share(processes.rank, processes.count, options.accumulate)
    if processes.is_first:
        write_config(folder, config)
        announce(config, model, processes, precision, progress, options)
    return Run(
        config,
        folder,
        model,
        trained,
        optimizers,
        averaged,
        perceptual,
        processes,
        share,
        precision,
        progress,
        options.workers,
        round(options.memory_gb * 2**30),
    )


def check_shares(options: Options, processes: Processes) -> None:
    """Raises RunStateError for a split of the work that cannot be."""
    config, parts = options.config, processes.count * options.accumulate
    if options.accumulate < 1 or config.batch % parts:
        raise RunStateError(
            f"a step's {config.batch} scenes cannot be shared by {processes.count} processes in {options.accumulate}"
            f" micro-batches each: give a --batch that is a multiple of {max(1, parts)}."
        )
    if options.parallel == "fsdp" and processes.count > 1 and config.muon_lr > 0:
        raise RunStateError(
            "Muon needs whole matrices, and --parallel fsdp keeps them in parts: give --muon-lr 0 --adamw-lr 4e-4, or"
            " --parallel ddp."
        )


def announce(
    config: TrainingConfig,
    model: Model,
    processes: Processes,
    precision: torch.dtype,
    progress: RunProgress,
    options: Options,
) -> None:
    """What is decided once, at the start."""
    count = parameter_count(model)
    shared = f" by {options.parallel}" if processes.count > 1 else ""
    print(
        f"{config.name}: {count / 1e6:.2f} M parameters, {processes.count} x {processes.device.type}{shared} in"
        f" {str(precision).removeprefix('torch.')}, from step {progress.step} to {config.steps}",
        flush=True,
    )
    if progress.step == 0 and config.init is not None:
        print(f"Starts from the weights in {config.init}.", flush=True)
    if config.log_mse_threshold > 0:
        print(
            f"Squared errors of images above {config.log_mse_threshold:g} count by their logarithm (--knee).",
            flush=True,
        )
    term = config.perceptual
    if term.weight > 0:
        begins = round(term.begins * config.steps)
        print(f"Loss: MSE + {term.weight:g} x {term.kind} from step {begins} on.", flush=True)
    else:
        print("LOSS: MSE ALONE, THE PERCEPTUAL TERM IS OFF (--perceptual.weight 0): pictures will be soft.", flush=True)


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
    """A run under way: its steps, its log, its state on disk."""

    config: TrainingConfig
    folder: Path
    model: Model
    trained: nn.Module
    """What is called in the model's place when training: see parallelize."""
    optimizers: list[torch.optim.Optimizer]
    averaged: AveragedWeights | None
    perceptual: nn.Module | None
    processes: Processes
    share: Share
    precision: torch.dtype
    progress: RunProgress
    workers: int = 0
    """Processes that load scenes ahead."""
    memory: int = DEFAULT_MEMORY
    """Bytes of views that may be kept."""
    scenes: Iterator[SceneBatch] | None = None
    """Where the next step's scenes come from."""
    next_step: int = -1
    """The step whose scenes these are."""

    def train(self) -> None:
        """From the next step to the configuration's last. Raises RunStateError, and SystemExit(143) after SIGTERM."""
        before = self.progress.seconds
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            terminated = stack.enter_context(termination())
            first = self.progress.step
            log = None
            if self.processes.is_first:
                log = stack.enter_context(RunLog(self.folder, first, self.config.steps))
            computing, computed = 0.0, 0
            for step in range(first, self.config.steps):
                if step == self.config.decay_begins and self.config.decay < 1:
                    self.save(BEFORE_DECAY)
                begun = time.monotonic()
                report, is_terminated = self.step(step, terminated)
                computing, computed = computing + time.monotonic() - begun, computed + 1
                seconds = before + time.monotonic() - started
                self.advance(step, report, seconds)
                if log is not None:
                    rate = self.optimizers[0].param_groups[0]["lr"]
                    log.step(step, report, rate, self.progress.skipped, seconds)
                    if (step + 1) % LOG_EVERY == 0:
                        self.tell_speed(log, step, computing / computed)
                        computing, computed = 0.0, 0
                self.finish_step(step + 1, is_terminated, log)

    def finish_step(self, done: int, is_terminated: bool, log: RunLog | None) -> None:
        """Save, validate or end, where it is time; done: steps made in all."""
        is_last = done == self.config.steps
        if done % self.config.save_every == 0 or is_last or is_terminated:
            self.save(LATEST)
        if is_terminated and not is_last:
            if log is not None:
                log.say(f"Terminated: saved before step {done}; the same command goes on from there.")
            leave_processes(self.processes)
            raise SystemExit(TERMINATED)
        if done % self.config.validate_every == 0 or is_last:
            self.validate(done, log)

    def advance(self, step: int, report: StepReport, seconds: float) -> None:
        """Count the step. Raises RunStateError after too many skipped ones in a row."""
        in_a_row = self.progress.skipped_in_a_row + 1 if report.skipped else 0
        skipped = self.progress.skipped + report.skipped
        self.progress = RunProgress(step + 1, seconds, skipped, in_a_row, self.config.decay_begins)
        if in_a_row >= self.config.stop_after_skips:
            raise RunStateError(
                f"{self.folder}: {in_a_row} steps in a row were skipped (the last loss {report.loss:g}, gradient norm"
                f" {report.gradient_norm:g}), so the run stops at step {step}; the last saved state stays. Lower the"
                " learning rate or look at the data, and start from that state's export."
            )

    def step(self, step: int, terminated: Sequence[bool] = ()) -> tuple[StepReport, bool]:
        """One update, and whether any process was told to end by then. A wild or broken step is skipped by all alike."""
        config = self.config
        set_learning_rates(self.optimizers, learning_rate_factor(config, step))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.trained.train()
        # Whatever draws from torch's own generator is a function of the step, too.
        torch.manual_seed(int(np.random.SeedSequence((config.seed, step, self.share.rank)).generate_state(1)[0]))
        terms = torch.zeros(3, dtype=torch.float64)  # loss, squared error, perceptual distance
        weight = config.perceptual_weight_at(step)
        batches = step_batches(self.scenes_from(step), config, step, self.share, self.device)
        for number, batch in enumerate(batches, start=1):
            with gradients_stay(self.trained, apart=number < self.share.accumulate):
                of_batch = self.losses(batch, weight)
                (of_batch[0] / self.share.accumulate).backward()
            terms += torch.stack(of_batch).detach().cpu() / self.share.accumulate
        (loss, squared_error, perceptual), is_terminated = means_and_any(
            terms.tolist(), bool(terminated), self.processes
        )
        norm, is_taken = self.update(loss)
        if self.averaged is not None and is_taken:
            self.averaged.update(step)
        return StepReport(loss, squared_error, perceptual, norm, not is_taken), is_terminated

    def losses(self, batch: FramedBatch, weight: float) -> tuple[Tensor, Tensor, Tensor]:
        """What to minimise, the mean squared error, and the perceptual distance (0 where its weight is) of a batch's answers."""
        answer = predict(self.trained, batch, self.precision)
        errors = squared_errors(answer, batch.truth)
        loss = logarithmic_above(errors, self.config.log_mse_threshold).mean()
        if self.perceptual is None or weight == 0:
            return loss, errors.mean(), errors.new_zeros(())
        with autocast(self.device, self.precision):
            distance = self.perceptual(answer.flatten(0, 1), batch.truth.flatten(0, 1))
        return loss + weight * distance, errors.mean(), distance

    def update(self, loss: float) -> tuple[float, bool]:
        """Let the optimizers act on the gradients; returns their norm and whether that was done."""
        if not math.isfinite(loss):  # the mean over all processes: all see the same
            return math.nan, False
        parameters = list(self.model.parameters())
        mend_gradients(parameters)
        norm = clip_gradients(parameters, self.config.clip)
        if norm > self.config.skip_above:
            return norm, False
        for optimizer in self.optimizers:
            optimizer.step()
        return norm, True

    @property
    def device(self) -> torch.device:
        """Where all is computed."""
        return self.processes.device

    def scenes_from(self, step: int) -> Iterator[SceneBatch]:
        """This process's scenes from a step on; the same iterator while steps follow each other in one stage."""
        config = self.config
        stage, first = config.stage_at(step)
        if step != self.next_step or step == first or self.scenes is None:
            sources = [(source.folder, source.weight) for source in config.sources]
            self.scenes = None  # its data go before others come
            sampler = SceneSampler(sources, stage.size * config.crops.oversample, config.seed, self.memory)
            last = config.steps if stage.until == 1 else round(stage.until * config.steps)
            self.scenes = scenes_of_steps(sampler, self.share, step, last, config, self.workers)
        self.next_step = step + 1
        return self.scenes

    def tell_speed(self, log: RunLog, step: int, seconds_a_step: float) -> None:
        """Images a second, and model FLOPs utilisation, of the last steps (of their mean number of inputs)."""
        config = self.config
        log_images = config.batch * config.views / seconds_a_step
        stage, multiple = config.stage_at(step)[0], config.model.size_multiple
        window = crop_size((stage.size, stage.size), stage.target_crop, multiple)
        asked = math.prod(window) // config.model.target_stride**2
        kept = round(stage.input_keep_ratio * stage.size**2 / config.model.input_stride**2)
        flops = np.mean([forward_flops(config.model, v, config.views - v, kept, asked) for v in config.input_views])
        peak = peak_flops(self.device)
        achieved = TRAINING_FACTOR * config.batch * float(flops) / seconds_a_step / self.processes.count
        log.speed(step, log_images, None if peak is None else achieved / peak)

    def save(self, name: str) -> None:
        """Write the state; called by all processes."""
        save_state(
            self.folder / name, self.progress, self.model, self.optimizers, self.averaged, self.processes.is_first
        )

    def validate(self, step: int, log: RunLog | None) -> None:
        """Where there are validation scenes: their targets' PSNR and some pictures, into the log; of averaged weights, if any."""
        config = self.config
        if config.validation is None:
            return
        size = config.stage_at(step - 1)[0].size
        with contextlib.nullcontext() if self.averaged is None else self.averaged.in_place():
            psnr, pictures = validate(self.model, config, size, self.precision, self.processes)
        if log is not None:
            log.validation(step, psnr, size, pictures)
