"""A run from its options: model, optimizers, loss, scenes, and the state that the folder holds."""

from pathlib import Path

import torch

from lvsm_engine.devices import choose_precision
from lvsm_engine.model.checkpoint import Model, build_model, load_checkpoint
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.model.costs import parameter_count

from ..batches.steps import SceneStream
from ..configs import TrainingConfig
from ..limits import flag_of
from .averaging import AveragedWeights
from .losses import load_objective
from .optimizers import build_optimizers
from .options import Options, check_shares
from .parallel import Processes, parallelize
from .run import Run
from .state import RunProgress, RunStateError, check_config, find_state, restore, write_config
from .trainer import Execution, Trainer
from .validation import ValidationScenes

# Tokens may lie closer or further apart than those that the weights learned on: no tensor tells of it.
FREE_MODEL_OPTIONS = ("input_stride", "target_stride")


def prepare(options: Options, processes: Processes) -> Run:
    """Everything in place. Raises LvsmError where that cannot be."""
    config, folder = options.config, options.folder
    check_shares(options, processes)
    make_folder(folder)
    state = find_state(folder, config)
    if state is not None:
        check_config(folder, config)
    memory = round(options.memory_gb * 2**30)
    validation = None
    if config.data.validation is not None:
        validation = ValidationScenes(config.data.validation, processes, memory)
        memory -= validation.check([stage.size for stage in config.schedule.stages])
    torch.manual_seed(config.seed)
    model = build_model(config.model) if state or config.init is None else load_initial(config.init, config.model)
    trainer = build_trainer(options, processes, model)
    progress = RunProgress()
    if state is not None:
        progress = restore(state, trainer.model, trainer.optimizers, trainer.averaged)
    if processes.is_first:
        write_config(folder, config)
        announce(trainer, options.parallel, progress)
    scenes = SceneStream(config, trainer.execution.share, memory, options.workers)
    return Run(trainer, scenes, validation, folder, progress)


def make_folder(folder: Path) -> None:
    """Raises RunStateError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunStateError(
            f"{folder}: the run's folder cannot be made ({error.strerror}): give another --out."
        ) from error


def load_initial(file: str, wanted: ModelConfig) -> Model:
    """The weights of a model's file, in a model of the wanted shape. Raises CheckpointError, and RunStateError for another."""
    stored, _ = load_checkpoint(file)
    differing = [
        name
        for name in wanted.__dataclass_fields__
        if getattr(stored.config, name) != getattr(wanted, name) and name not in FREE_MODEL_OPTIONS
    ]
    if differing:
        words = " ".join(_model_words(name, getattr(stored.config, name)) for name in differing)
        raise RunStateError(f"{file}: its model has another shape than the run's: give {words}, or another --init.")
    model = build_model(wanted)
    model.load_state_dict(stored.state_dict())
    return model.train()


def _model_words(name: str, value: object) -> str:
    """How the command line is told an option of the model."""
    if isinstance(value, bool):
        return flag_of(f"model.{name}" if value else f"model.no_{name}")
    return f"{flag_of(f'model.{name}')} {value}"


def build_trainer(options: Options, processes: Processes, model: Model) -> Trainer:
    """A trainer at its first step. Raises LossError, DeviceError."""
    config = options.config
    precision = choose_precision(processes.device, options.precision)
    model = model.to(processes.device).requires_grad_(True)
    compiler = "inductor" if options.compile_blocks else None
    trained = parallelize(model, options.parallel, processes, options.checkpoint_blocks, compiler)
    return Trainer(
        config,
        Execution(processes, precision, options.accumulate),
        model,
        trained,
        build_optimizers(model, config.optimizer, precision, (processes.rank, processes.count)),
        load_objective(config.loss, processes.device),
        AveragedWeights(model, config.optimizer.average) if config.optimizer.average else None,
    )


def announce(trainer: Trainer, parallel: str, progress: RunProgress) -> None:
    """What is decided once, at the start."""
    config, processes = trainer.config, trainer.execution.processes
    count = parameter_count(trainer.model)
    shared = f" by {parallel}" if processes.count > 1 else ""
    lines = [
        f"{config.name}: {count / 1e6:.2f} M parameters, {processes.count} x {processes.device.type}{shared} in"
        f" {str(trainer.execution.precision).removeprefix('torch.')}, from step {progress.step} to"
        f" {config.schedule.steps}"
    ]
    if progress.step == 0 and config.init is not None:
        lines.append(f"Starts from the weights in {config.init}.")
    lines += _loss_in_words(config)
    print("\n".join(lines), flush=True)


def _loss_in_words(config: TrainingConfig) -> list[str]:
    threshold, term = config.loss.log_mse_threshold, config.loss.perceptual
    lines = []
    if threshold > 0:
        lines.append(f"Squared errors of images above {threshold:g} count by their logarithm (--log-mse-threshold).")
    if term.weight > 0:
        begins = round(term.begins * config.schedule.steps)
        lines.append(f"Loss: MSE + {term.weight:g} x perceptual distance (VGG19) from step {begins} on.")
    else:
        lines.append("LOSS: MSE ALONE, THE PERCEPTUAL TERM IS OFF (--perceptual.weight 0): pictures will be soft.")
    return lines
