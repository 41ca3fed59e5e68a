"""How many images a second training can load, against what one H200 would consume.

    python -m training.render --source OBJECTS --out data/views/512 --python PYTHON_WITH_BPY --size 512 --views 12
    python -m training.views.shards pack --views data/views/512 --out data/shards/512
    OMP_NUM_THREADS=1 python -m benchmarks.loader_throughput data/shards/512        # prints the tables of the .md beside

Nothing is kept in memory: each view is read from its shard, decoded, resampled and laid over white whenever it is drawn.
Speed is given in core-seconds of all processes that take part, beside the wall clock: the first means the same on a
machine that does other things too, the second only on a quiet one.

What a card consumes is a sum, not a measurement: FLOP a target as the network's sizes give them, training 3 times the
forward pass (4 with checkpointing), at 400 TFLOP/s, which good code reaches on an H100 or H200 in bf16.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro

from lvsm_engine.model.config import ModelConfig
from lvsm_engine.model.costs import TRAINING_FACTOR, forward_flops
from training.batches.sampler import SceneSampler
from training.views.shards.folder import Shards, shard_files
from training.views.stored import resample

TOKENS = 1024  # of a view of 256 px in patches of 8
MODELS = {
    "decoder-only": ModelConfig(),
    "decoder-only, inputs first": ModelConfig(inputs_first=True),
    "encoder-decoder": ModelConfig(architecture="encoder_decoder", blocks=12, encoder_blocks=12, latents=3072),
    "fast weights (LaCT)": ModelConfig(architecture="fast_weights", fast_head_width=768, fast_hidden=1536),
}
INPUTS, TARGETS, VIEWS_AN_OBJECT = 4, 8, 32
CARD_FLOPS = 400e12
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Options:
    """How many images a second training can load, against what one H200 would consume."""

    shards: tyro.conf.Positional[Path]
    """Folder of shards with at least 12 views an object."""
    size: int = 256
    """Pixels a side that are trained on."""
    scenes: int = 8
    """Scenes a batch, of 12 views each."""
    batches: int = 10
    """Measured, after 3 more."""
    workers: tuple[int, ...] = (0, 1, 2)
    """Loading processes."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Images a second of wall clock, and a second of all cores that take part."""

    wall: float
    core: float


def main(options: Options) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    shards = Shards(options.shards)
    print(f"{len(shards)} objects at {int(shards.sizes.max())} px, loaded at {options.size} px\n")
    print_stages(shards, options.size)
    speeds = {workers: measure(options, workers) for workers in options.workers}
    print("| loading processes | images a second | images a core-second |\n| --- | --- | --- |")
    for workers, speed in speeds.items():
        print(f"| {workers or 'none: in the trainer'} | {speed.wall:.0f} | {speed.core:.0f} |")
    print()
    print_needs(max(speed.core for speed in speeds.values()), record_bytes(options.shards))


def measure(options: Options, workers: int) -> Speed:
    """Batches from a stream, after it has warmed up."""
    sampler = SceneSampler([(options.shards, 1.0)], options.size, seed=0, memory=0)
    stream = sampler.stream(range(10**9), options.scenes, INPUTS + TARGETS, workers=workers)
    for _ in range(3):
        next(stream)
    wall, core = time.monotonic(), core_seconds()
    for _ in range(options.batches):
        next(stream)
    images = options.batches * options.scenes * (INPUTS + TARGETS)
    speed = Speed(images / (time.monotonic() - wall), images / (core_seconds() - core))
    stream.close()  # type: ignore[attr-defined]
    return speed


def core_seconds() -> float:
    """CPU time of this process and its children so far."""
    return time.process_time() + sum(child_seconds(child.pid) for child in multiprocessing.active_children())


def child_seconds(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS  # user and system time, proc(5)


def print_stages(shards: Shards, size: int) -> None:
    """Core-milliseconds an image of the steps that a view takes, in this process."""
    numbers, views = range(len(shards)), np.arange(INPUTS + TARGETS)
    scenes = [shards.read(number, views) for number in numbers]
    images = len(scenes) * len(views)
    reading = core_ms(lambda: [shards.read(number, views[:1]) for number in numbers]) / len(scenes)
    decoding = core_ms(lambda: [shards.read(number, views) for number in numbers]) / images
    resampling = core_ms(lambda: [resample(scene.images, size) for scene in scenes]) / images
    print("| step | core-ms |\n| --- | --- |")
    print(f"| read a record, check its hash, decode one view | {reading:.2f} an object |")
    print(f"| the same and decode {len(views)} views | {decoding:.2f} an image |")
    print(f"| linear light, area means, over white | {resampling:.2f} an image |\n")


def core_ms(work: Callable[[], object], times: int = 5) -> float:
    """The least of several runs."""
    seconds = []
    for _ in range(times):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return 1000 * min(seconds)


def record_bytes(folder: Path) -> float:
    """What a record of as many views as the paper renders would take."""
    return VIEWS_AN_OBJECT * sum(path.stat().st_size for path in shard_files(folder)) / Shards(folder).views.sum()


def print_needs(images_a_core_second: float, bytes_an_object: float) -> None:
    print(
        f"One card at {CARD_FLOPS / 1e12:.0f} TFLOP/s, {INPUTS} inputs and {TARGETS} targets a scene at 256 px, records of"
        f" {VIEWS_AN_OBJECT} views:\n"
    )
    print("| model | TFLOP a scene | scenes a second | images a second | cores | MB a second |\n" + "| --- " * 6 + "|")
    for architecture, config in MODELS.items():
        for factor, how in ((TRAINING_FACTOR, ""), (TRAINING_FACTOR + 1, ", checkpointing")):
            flops = factor * forward_flops(config, INPUTS, TARGETS, TOKENS)
            scenes = CARD_FLOPS / flops
            images = scenes * (INPUTS + TARGETS)
            print(
                f"| {architecture}{how} | {flops / 1e12:.1f} | {scenes:.1f} | {images:.0f}"
                f" | {images / images_a_core_second:.2f} | {scenes * bytes_an_object / 1e6:.1f} |"
            )


if __name__ == "__main__":
    main(tyro.cli(Options))
