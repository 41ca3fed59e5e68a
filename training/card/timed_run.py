"""Train until a time: with as many steps as fit, so that the learning rate falls to 0 with the last of them.

    python -m training.card.timed_run ENDS --preset one_card --data data/on_a_card/train    # seconds since 1970, then
                                                                                           # the words of training.train
Some steps of each stage are timed first, and the largest micro-batch that memory allows is looked for (--accumulate).
--compile-blocks: blocks are compiled where that is faster. After half of the time the steps are counted anew by the speed
that was reached. A run from weights of a model's file (--init) has the last stage alone: the others they have behind them.
"""

import gc
import os
import signal
import sys
import tempfile
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import torch

from lvsm_engine.devices import peak_flops
from lvsm_engine.errors import LvsmError

from ..configs import ScheduleConfig, Stage, changed
from ..exit_status import DONE, exit_status
from ..train.options import Options, parse
from ..train.parallel import Processes, join_processes
from ..train.preparation import prepare
from ..train.run import Run, termination
from ..train.speed import SpeedMeter, images_per_second, step_flops
from ..train.state import LATEST, load_state
from .stored_scenes import with_stored_scenes

WARM_STEPS, TIMED_STEPS = 2, 6
TIMED_SECONDS = 4.0
"""No further step is timed after them."""
# Of the time that is left: steps fill so much of it, the rest is for starting, saving and validating.
FILLED = 0.9
COUNTED_ANEW = 0.5
SAVED_EVERY = 60.0
"""Seconds from one saved state to the next, at the most."""
VALIDATIONS = 4
MOST_STEPS = 10**7

Probe = Callable[[Options, Stage, int], float]
"""Seconds of a step of a stage from so many inputs. Raises torch.OutOfMemoryError."""


class TimeError(LvsmError):
    """A run does not fit: into the time, or into the memory."""


# --- How much fits ----------------------------------------------------------------------------------------------------


def seconds_of(schedule: ScheduleConfig, seconds: Sequence[float], first: int, last: int) -> float:
    """What the steps first to last - 1 of a schedule take; seconds: of a step of each stage."""
    edges = [0, *(round(stage.until * schedule.steps) for stage in schedule.stages)]
    within = [max(0, min(end, last) - max(begin, first)) for begin, end in pairwise(edges)]
    return sum(count * each for count, each in zip(within, seconds, strict=True))


def steps_that_fit(schedule: ScheduleConfig, seconds: Sequence[float], left: float, begun: int = 0) -> int:
    """The most steps in all that a run may have, of which `begun` are done, to end in `left` seconds; one more at least."""
    counts = range(begun + 1, MOST_STEPS)
    fitting = bisect_right(
        counts, left, key=lambda steps: seconds_of(replace(schedule, steps=steps), seconds, begun, steps)
    )
    return counts[max(0, fitting - 1)]


def with_steps(options: Options, seconds: Sequence[float], left: float, begun: int = 0) -> Options:
    """The options of a run that fills the time that is left, and saves and validates in good time."""
    steps = steps_that_fit(options.config.schedule, seconds, FILLED * left, begun)
    save_every = max(1, int(SAVED_EVERY / max(seconds)))
    config = changed(
        options.config, steps=steps, save_every=save_every, validate_every=max(1, -(-steps // VALIDATIONS))
    )
    print(f"{steps} steps in all fit into the {left:.0f} s that are left, {begun} are done")
    return replace(options, config=config)


def with_smaller_parts(options: Options) -> Options:
    """With twice as many micro-batches. Raises TimeError where they are single scenes."""
    batch, parts = options.config.data.batch, 2 * options.accumulate
    if batch % parts:
        raise TimeError(
            f"a micro-batch of {batch // options.accumulate} scenes does not fit into the card's memory: give"
            " --checkpoint-blocks, or a smaller model."
        )
    print(f"Out of memory: {parts} micro-batches a step from here on.")
    return replace(options, accumulate=parts)


def with_room(options: Options, probe: Probe) -> Options:
    """In micro-batches that fit into memory in the last stage from the most inputs. Raises TimeError."""
    most = max(options.config.data.input_views)
    while True:
        try:
            probe(options, options.config.schedule.last_stage, most)
            return options
        except torch.OutOfMemoryError:
            pass  # and on only where the exception holds nothing any more
        free_memory()
        options = with_smaller_parts(options)


def fitted(options: Options, probe: Probe, ends: float, begun: int = 0) -> tuple[Options, list[float]]:
    """What fits into memory and, until a time, into the time; and the seconds of a step of each stage. begun: steps done."""
    schedule, views = options.config.schedule, sorted(options.config.data.input_views)
    usual = views[len(views) // 2]
    plain = with_room(replace(options, compile_blocks=False), probe)
    chosen, seconds = plain, probe(plain, schedule.last_stage, usual)
    if options.compile_blocks:
        compiled = replace(plain, compile_blocks=True)
        when_compiled = probe(compiled, schedule.last_stage, usual)
        print(f"a step of the last stage: {seconds:.3f} s, compiled {when_compiled:.3f} s")
        if when_compiled < seconds:
            chosen, seconds = compiled, when_compiled
    of_stages = [*(probe(chosen, stage, usual) for stage in schedule.stages[:-1]), seconds]
    of_stages = [
        each * step_flops(options.config, stage, views) / step_flops(options.config, stage, [usual])
        for each, stage in zip(of_stages, schedule.stages, strict=True)
    ]
    return with_steps(chosen, of_stages, ends - time.time(), begun), of_stages


def free_memory() -> None:
    """Give back what nothing holds any more."""
    gc.collect()
    torch.cuda.empty_cache()


# --- On the device ----------------------------------------------------------------------------------------------------


def probe_on(processes: Processes) -> Probe:
    """What times steps here, in a run of its own, on one step's scenes: loading is left out."""

    def probe(options: Options, stage: Stage, inputs: int) -> float:
        config = changed(with_stored_scenes(options.config), stages=(replace(stage, until=1.0),), input_views=(inputs,))
        config = changed(config, validation=None)
        with tempfile.TemporaryDirectory() as folder:
            run = prepare(replace(options, config=config, out=Path(folder), workers=0), processes)
        scenes = list(islice(run.scenes.from_step(0), config.data.batch))
        for step in range(WARM_STEPS):
            run.trainer.step(step, iter(scenes))
        meter, ends = SpeedMeter(), time.time() + TIMED_SECONDS
        for step in range(WARM_STEPS, WARM_STEPS + TIMED_STEPS):
            with meter.step():
                run.trainer.step(step, iter(scenes))
            if time.time() > ends:
                break
        seconds, peak = meter.take_seconds_a_step(), peak_flops(processes.device)
        line = f"{stage.size} px from {inputs} inputs: {seconds:.3f} s a step, {images_per_second(config, seconds):.0f}"
        reached = step_flops(config, stage, [inputs]) / seconds
        share = "" if peak is None else f", {100 * reached / peak:.1f} % of the peak"
        print(f"{line} images a second, {reached / 1e12:.2f} TFLOP/s{share}", flush=True)
        return seconds

    return probe


def train_until(options: Options, processes: Processes, ends: float) -> tuple[Run, bool]:
    """Train until a time, when all is saved; and whether the run came to its end before."""
    run = prepare(options, processes)
    alarm = threading.Timer(max(0.0, ends - time.time()), os.kill, (os.getpid(), signal.SIGTERM))
    alarm.daemon = True
    alarm.start()
    try:
        return run, run.train()
    finally:
        alarm.cancel()


def train_with_room(options: Options, train_it: Callable[[Options], tuple[Run, bool]]) -> tuple[Options, Run, bool]:
    """Train; where memory does not suffice, on from the last saved state in smaller micro-batches. Raises TimeError."""
    while True:
        try:
            return options, *train_it(options)
        except torch.OutOfMemoryError:
            pass
        free_memory()
        options = with_smaller_parts(options)


def train(options: Options, processes: Processes, ends: float) -> None:
    """From the folder's state, where it has one, to the end. Raises LvsmError."""
    if options.config.init is not None:
        last = replace(options.config.schedule.last_stage, until=1.0)
        options = replace(options, config=changed(options.config, stages=(last,)))
    begun, seconds_before = saved_progress(options)
    options, seconds = fitted(options, probe_on(processes), ends, begun)
    began = time.time()
    pause = began + COUNTED_ANEW * (ends - began)
    options, run, is_done = train_with_room(options, lambda options: train_until(options, processes, pause))
    if is_done:
        return
    done, took = run.progress.step, run.progress.seconds - seconds_before
    slower = took / max(seconds_of(options.config.schedule, seconds, begun, done), 1e-9)
    print(f"steps take {slower:.2f} times what was measured")
    options = with_steps(options, [slower * each for each in seconds], ends - time.time(), done)
    del run
    free_memory()
    train_with_room(options, lambda options: train_until(options, processes, ends))


def saved_progress(options: Options) -> tuple[int, float]:
    """Steps and seconds of the folder's state; of none, where there is no state."""
    if not (options.folder / LATEST).exists():
        return 0, 0.0
    state = load_state(options.folder / LATEST)
    return state["step"], state["seconds"]


def main() -> int:
    """Raises LvsmError."""
    ends, options, processes = float(sys.argv[1]), parse(sys.argv[2:]), join_processes()
    with termination():  # an alarm that comes when no step is under way
        train(options, processes, ends)
    return DONE


if __name__ == "__main__":
    sys.exit(exit_status(main))
