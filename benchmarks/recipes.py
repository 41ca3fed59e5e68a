"""Training recipes beside each other at equal CPU time: one change each, its whole schedule, PSNR on validation objects.

    python -m benchmarks.recipes --out runs/recipes                       # the missing arms of all suites, 2 at a time
    python -m benchmarks.recipes --out runs/recipes --suite objects_32    # of one
    python -m benchmarks.recipes --out runs/recipes --arms 0              # the table of what is there, and nothing else

An arm is a process with one thread, metered in CPU seconds of its own, so that other work on the machine changes the wall
clock only. Some steps of each stage tell what a step costs, and so how many steps the arm's schedule has. Learning rates
are the base's, but where they are the change. An arm that was killed begins again; one that is done is not repeated.

Data, made beforehand: data/views/train and data/views/val (training/README.md), and three pools of procedural scenes:
python -m training.procedural --out data/views/objects_32 --scenes 768 --size 32 --kind objects, and so scenes_32 of kind
scenes and calm_32 of kind calm_objects.
"""

import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
import tyro

from lvsm_engine.whole_files import write_bytes
from training.configs import TrainingConfig
from training.train import run as train
from training.train.parallel import Processes
from training.train.validation import validate

MARKS = 8  # Validations of an arm, evenly over its steps.
WARM_UP, MEASURED = 2, 16  # Steps of each stage that tell its cost.
BEGINNING = 0.3  # Of the steps of an arm whose first data are others.


@dataclass(frozen=True)
class Suite:
    """Arms that are compared with each other: words for training.train's command line."""

    base: str
    seconds: float
    arms: dict[str, str]
    first_data: dict[str, str] = field(default_factory=dict)
    """Of some arms: the words for what they learn from in the beginning."""


# What the presets gained since a suite was run is switched off in its base.
BEFORE_TURNED_VALUES = "--preset cpu --data data/views/train --batch 4 --model.no-rotate-values"
BEFORE_MUON_ENDS = f"{BEFORE_TURNED_VALUES} --muon-tokenizer-head-lr 0"
BEFORE_KNEE = f"{BEFORE_MUON_ENDS} --log-mse-threshold 0"
PUBLISHED = "--model.camera-encoding none --model.no-predicted-depth --model.no-inputs-first"
SUITES = {
    "objects_32": Suite(
        base=BEFORE_KNEE,
        seconds=160,
        arms={
            "base": "",
            "base, another seed": "--seed 1",
            "patch 4": "--model.patch-size 4",
            "patches overlap by 4 px": "--model.patch-overlap 4",
            "width 192": "--model.width 192",
            "8 blocks": "--model.blocks 8",
            "AdamW": "--muon-lr 0",
            "joint attention": "--model.no-inputs-first",
            "PRoPE": "--model.camera-encoding prope --model.no-predicted-depth",
            "published decoder-only": PUBLISHED,
            "published encoder-decoder": f"{PUBLISHED} --model.architecture encoder_decoder --model.encoder-blocks 2"
            " --model.blocks 2 --model.latents 64",
            "4 inputs always": "--input-views 4",
            "poses as they are": "--scene-frame.kind identity",
            "2 scenes of 20 views": "--batch 2 --views 20",
            "half procedural objects": "--data data/views/train data/views/objects_32",
            "half procedural scenes": "--data data/views/train data/views/scenes_32",
            "procedural objects first": "",
            "calm objects first": "",
            "no predicted depth": "--model.no-predicted-depth",
            "no camera encoding": "--model.camera-encoding none --model.no-predicted-depth",
            "1 to 8 inputs": "--input-views 1 2 3 4 5 6 7 8",
            "scene frame turned and tilted": "--frame-jitter.turn 180 --frame-jitter.tilt 10",
        },
        first_data={
            "procedural objects first": "--data data/views/objects_32",
            "calm objects first": "--data data/views/calm_32",
        },
    ),
    "path_to_64": Suite(
        base=f"{BEFORE_KNEE} --stages 64",
        seconds=320,
        arms={
            "64 px": "",
            "32 px for 30 %": "--stages 32:0.3 64",
            "32 px for 60 %": "--stages 32:0.6 64",
            "32 px for 60 %, then windows": "--stages 32:0.6 64:0.9:0.5 64",
            "windows of half the side": "--stages 64:1:0.5",
        },
    ),
    "path_to_128": Suite(
        base=f"{BEFORE_KNEE} --stages 128",
        seconds=200,
        arms={
            "128 px": "",
            "windows of half the side": "--stages 128:1:0.5",
            "64 px for 60 %": "--stages 64:0.6 128",
            "32 px for 30 %, 64 px for 30 %": "--stages 32:0.3 64:0.6 128",
            "32 px for 30 %, 64 px for 30 %, then windows": "--stages 32:0.3 64:0.6 128:1:0.5",
            "64 px for 60 %, errors by their logarithm": "--stages 64:0.6 128 --log-mse-threshold 0.003",
        },
    ),
    "ends": Suite(
        base=BEFORE_MUON_ENDS,
        seconds=160,
        arms={
            "ends by AdamW": "",
            "ends by Muon, 0.02": "--muon-tokenizer-head-lr 0.02",
            "ends by Muon, 0.06": "--muon-tokenizer-head-lr 0.06",
            "ends by Muon, 0.2": "--muon-tokenizer-head-lr 0.2",
        },
    ),
    "values": Suite(
        base=f"{BEFORE_TURNED_VALUES} --stages 32:0.3 64:0.6 128:1:0.5",
        seconds=300,
        arms={
            "values as they are": "",
            "values turned": "--model.rotate-values",
        },
    ),
}


@dataclass(frozen=True)
class Options:
    """Compare recipes."""

    out: Path
    """Folder for a JSON file an arm."""
    suite: tuple[str, ...] = tuple(SUITES)
    arms: int = 1000
    """Run at most so many of the missing ones."""
    at_once: int = 2


@dataclass(frozen=True)
class Result:
    """What an arm came to."""

    words: str
    parameters: int
    steps: int
    seconds: tuple[float, ...]
    """CPU seconds of training at each mark."""
    psnr: tuple[float, ...]
    """Of the validation targets from 4 inputs, at the size that the arm ends with."""


def main(options: Options) -> None:
    missing = [
        (suite, arm)
        for suite in options.suite
        for arm in SUITES[suite].arms
        if not _file(options.out, suite, arm).exists()
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.at_once, context, max_tasks_per_child=1) as pool:
        for done in as_completed([pool.submit(_run, options.out, *arm) for arm in missing[: options.arms]]):
            print(done.result(), flush=True)
    for suite in options.suite:
        print(f"\n{table(suite, options.out)}")


def _run(out: Path, suite: str, arm: str) -> str:
    """Run an arm and keep its result; what it came to, as a line."""
    torch.set_num_threads(1)
    compared = SUITES[suite]
    words = f"{compared.base} {compared.arms[arm]}"
    result = learn(words, compared.first_data.get(arm, ""), compared.seconds, out / "runs" / f"{suite} {arm}")
    file = _file(out, suite, arm)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, json.dumps(asdict(result), indent=1).encode())
    return f"{suite}, {arm}: {result.psnr[-1]:.2f} dB after {result.steps} steps, {result.seconds[-1]:.0f} CPU-s"


def learn(words: str, first_data: str, seconds: float, folder: Path) -> Result:
    """One whole schedule of about so many CPU seconds."""
    config = train.parse(words.split()).config
    config = replace(config, steps=round(seconds / seconds_a_step(config, folder)))
    run = _prepared(config, folder)
    beginning = round(BEGINNING * config.steps) if first_data else 0
    first_sources = train.parse(f"{words} {first_data}".split()).config.sources
    marks = {round(config.steps * (number + 1) / MARKS) for number in range(MARKS)}
    spent, at, psnr = 0.0, [], []
    for step in range(config.steps):
        if step in (0, beginning):
            run.config = replace(config, sources=first_sources if step < beginning else config.sources)
            run.scenes = None
        started = time.process_time()
        run.step(step)
        spent += time.process_time() - started
        if step + 1 in marks:
            at.append(spent)
            psnr.append(_psnr(run))
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    return Result(words, parameters, config.steps, tuple(at), tuple(psnr))


def seconds_a_step(config: TrainingConfig, folder: Path) -> float:
    """CPU seconds of a step, on average over the stages."""
    config = replace(config, steps=10_000)
    run = _prepared(config, folder)
    total = before = 0.0
    for stage in config.stages:
        first = round(before * config.steps)
        for step in range(first, first + WARM_UP):
            run.step(step)
        started = time.process_time()
        for step in range(first + WARM_UP, first + WARM_UP + MEASURED):
            run.step(step)
        total += (stage.until - before) * (time.process_time() - started) / MEASURED
        before = stage.until
    return total


def _prepared(config: TrainingConfig, folder: Path) -> train.Run:
    alone = Processes(0, 1, torch.device("cpu"))
    return train.prepare(train.Options(config=config, out=folder, precision="auto"), alone)


def _psnr(run: train.Run) -> float:
    psnr, _ = validate(run.model, run.config, run.config.resolution, run.precision, run.processes)
    return psnr


def table(suite: str, out: Path) -> str:
    """The Markdown table of the arms that are there, by what they reached."""
    arms = {arm: _file(out, suite, arm) for arm in SUITES[suite].arms}
    results = {arm: Result(**json.loads(file.read_text())) for arm, file in arms.items() if file.exists()}
    ranked = sorted(results.items(), key=lambda item: -item[1].psnr[-1])
    lines = [f"`{SUITES[suite].base}`, {SUITES[suite].seconds:.0f} CPU-s an arm:", ""]
    lines += ["| change | parameters | steps | " + " | ".join(f"{n}/{MARKS}" for n in range(1, MARKS + 1)) + " |"]
    lines += ["| --- " * (3 + MARKS) + "|"]
    for arm, result in ranked:
        psnr = " | ".join(f"{value:.2f}" for value in result.psnr)
        lines.append(f"| {arm} | {result.parameters / 1e6:.2f} M | {result.steps} | {psnr} |")
    return "\n".join(lines)


def _file(out: Path, suite: str, arm: str) -> Path:
    return out / suite / f"{arm.replace(' ', '_').replace('%', 'percent')}.json"


if __name__ == "__main__":
    main(tyro.cli(Options))
