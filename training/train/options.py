"""The command line of training.train."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..batches.sampler import DEFAULT_MEMORY
from ..configs import TrainingConfig
from ..limits import ConfigError, Limits, check_numbers
from ..presets import PRESETS
from .parallel import Kind, Processes

LIMITS = {
    "accumulate": Limits(1, 2**20, whole=True),
    "memory_gb": Limits(0, 2**20, above=True),
    "workers": Limits(0, 2**10, whole=True),
}


@dataclass
class Options:
    """Train a model. The same command again resumes a run that was stopped.

    All that is shown below preset and out can be changed; what is shown as default is the chosen preset's.
    """

    config: Annotated[TrainingConfig, tyro.conf.arg(name="")]
    preset: Literal[tuple(PRESETS)] = "default"  # type: ignore[valid-type]
    """The run's name in training/presets.py."""
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
    """Views that a training process and its loading ones may keep, GiB: those to validate on, and those to train on."""
    workers: int = 0
    """Processes that load scenes ahead, for each training process; 0 loads between the steps."""

    def __post_init__(self) -> None:
        check_numbers(self, LIMITS)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.out or Path("runs") / self.config.name


def parse(arguments: list[str]) -> Options:
    """The options of a command line. Raises ConfigError for a run that cannot be, SystemExit for words that it does not know.

    The preset is read first, since it gives the other fields their defaults.
    """

    @dataclass
    class Preset:
        preset: Literal[tuple(PRESETS)] = "default"  # type: ignore[valid-type]

    chosen, _ = tyro.cli(Preset, args=arguments, return_unknown_args=True, add_help=False)
    defaults = Options(config=PRESETS[chosen.preset](), preset=chosen.preset)
    return tyro.cli(Options, args=arguments, default=defaults)


def check_shares(options: Options, processes: Processes) -> None:
    """Raises ConfigError for a split of the work that cannot be."""
    batch, parts = options.config.data.batch, processes.count * options.accumulate
    if batch % parts:
        raise ConfigError(
            f"a step's {batch} scenes cannot be shared by {processes.count} processes in {options.accumulate}"
            f" micro-batches each: give a --batch that is a multiple of {parts}."
        )
    if options.parallel == "fsdp" and processes.count > 1 and options.config.optimizer.muon_lr > 0:
        raise ConfigError(
            "Muon needs whole matrices, and --parallel fsdp keeps them in parts: give --muon-lr 0 --muon-tokenizer-head-lr 0"
            " --adamw-lr 4e-4, or --parallel ddp."
        )
