"""Training recipes beside each other at equal CPU time, each with its whole schedule: PSNR on the validation scenes.

    python -m benchmarks.recipes --seconds 160 --out runs/recipes \\
        "--preset cpu" "--preset cpu --muon-lr 0 --muon-tokenizer-head-lr 0"

Each recipe is a command line of training.train, run in a process of its own with one thread, and metered in CPU seconds, so
that other work on the machine changes the wall clock only. Some steps of each stage tell what a step costs, and so how many
steps the schedule has: slower steps get fewer. The table is printed, and kept in the folder as table.md.
"""

import multiprocessing
import shlex
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from lvsm_engine.errors import LvsmError
from lvsm_engine.model.costs import parameter_count
from lvsm_engine.whole_files import write_bytes
from training.configs import changed
from training.limits import ConfigError
from training.train.options import Options as TrainOptions
from training.train.options import parse
from training.train.parallel import Processes
from training.train.preparation import prepare
from training.train.run import Run
from training.train.validation import validate

MARKS = 4  # Validations of a recipe, evenly over its steps.
WARM_UP, MEASURED = 2, 16  # Steps of each stage that tell its cost.
ALONE = Processes(0, 1, torch.device("cpu"))


@dataclass(frozen=True)
class Options:
    """Compare recipes at equal CPU time."""

    recipes: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RECIPE")]
    """Command lines of training.train, in quotes."""
    out: Path
    """Folder for the runs and the table."""
    seconds: float = 160
    """CPU seconds of training, each."""
    at_once: int = 1
    """Recipes beside each other."""


@dataclass(frozen=True)
class Result:
    """What a recipe came to. psnr: at each mark, at the size that it ends with. seconds: of CPU, in all."""

    recipe: str
    parameters: int
    steps: int
    seconds: float
    psnr: tuple[float, ...]


def main(options: Options) -> None:
    folders = [options.out / f"{number}" for number in range(len(options.recipes))]
    seconds = [options.seconds] * len(folders)
    # Forked processes would share torch's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.at_once, context, max_tasks_per_child=1) as pool:
        results = list(pool.map(learn, options.recipes, seconds, folders))
    write_bytes(options.out / "table.md", table(results).encode())
    print(table(results))


def learn(recipe: str, seconds: float, folder: Path) -> Result:
    """One whole schedule of about so many CPU seconds. Raises LvsmError for a recipe that cannot be run."""
    torch.set_num_threads(1)
    options = replace(parse(shlex.split(recipe)), out=folder)
    if options.config.data.validation is None:
        raise ConfigError(f"'{recipe}' validates on nothing: give --validation.")
    steps = max(MARKS, round(seconds / seconds_a_step(options)))
    run = prepare(with_steps(options, steps), ALONE)
    marks = {round(steps * (number + 1) / MARKS) for number in range(MARKS)}
    spent, psnr = 0.0, []
    for step in range(steps):
        spent += cpu_seconds_of(run, range(step, step + 1))
        if step + 1 in marks:
            psnr.append(validated(run))
    return Result(recipe, parameter_count(run.trainer.model), steps, spent, tuple(psnr))


def seconds_a_step(options: TrainOptions) -> float:
    """CPU seconds of a step, on average over the stages."""
    steps = 10_000
    run = prepare(with_steps(options, steps), ALONE)
    mean = before = 0.0
    for stage in options.config.schedule.stages:
        first = round(before * steps)
        cpu_seconds_of(run, range(first, first + WARM_UP))
        measured = range(first + WARM_UP, first + WARM_UP + MEASURED)
        mean += (stage.until - before) * cpu_seconds_of(run, measured) / MEASURED
        before = stage.until
    return mean


def with_steps(options: TrainOptions, steps: int) -> TrainOptions:
    """The same run with so many steps."""
    return replace(options, config=changed(options.config, steps=steps))


def cpu_seconds_of(run: Run, steps: range) -> float:
    """What these steps take."""
    started = time.process_time()
    for step in steps:
        run.step(step)
    return time.process_time() - started


def validated(run: Run) -> float:
    """PSNR of the weights as they are, at the size that the run ends with."""
    config, execution = run.trainer.config, run.trainer.execution
    assert run.validation is not None
    size = config.schedule.last_stage.size
    psnr, _ = validate(run.trainer.model, config, run.validation, size, execution.precision, execution.processes)
    return psnr


def table(results: list[Result]) -> str:
    """In Markdown, the best first."""
    heads = ["recipe", "parameters", "steps", "CPU-s", *(f"{mark}/{MARKS}" for mark in range(1, MARKS + 1))]
    rows = [
        [f"`{one.recipe.strip()}`", f"{one.parameters / 1e6:.2f} M", f"{one.steps}", f"{one.seconds:.0f}"]
        + [f"{value:.2f}" for value in one.psnr]
        for one in sorted(results, key=lambda result: -result.psnr[-1])
    ]
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    try:
        # With a space before it, tyro does not take a recipe for an option of this command.
        words = [f" {word}" if word.startswith("--") and " " in word else word for word in sys.argv[1:]]
        main(tyro.cli(Options, args=words))
    except LvsmError as error:
        raise SystemExit(str(error)) from error
