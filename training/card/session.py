"""One call on a card's machine, in order: checks, training, lvsm bench; whatever is there when it ends can be used.

    python -m training.card.session --minutes 9 --began $EPOCHREALTIME --out results --run /tmp/run -- --preset one_card

Each part is a process of its own that ends in time, so that one that hangs or crashes takes no other with it. Knows neither
torch nor the model.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from ..exit_status import DONE, exit_status
from .weights import join_weights

# Shares of the whole time, and seconds at the most.
CHECKS = (0.25, 110.0)
BENCH = (0.25, 60.0)
LAST_RESULTS = (0.15, 25.0)
TO_END = 5.0
"""Seconds that are left over in any case."""
GRACE = 20.0
"""Seconds that training may take to save when its time is over."""
LOOKED_AT_EVERY = 5.0
INITIAL, STATE, MODEL = "initial.safetensors", "latest.pt", "model.safetensors"
KILLED = -9
PLAINEST = ["--workers", "0"]
"""Words of a training that has failed, for another try: nothing is compiled, nothing else is started."""
WORTH_TRYING = 45.0
"""Seconds."""


@dataclass
class Options:
    """Checks, training and lvsm bench on a card's machine, within so many minutes."""

    minutes: float
    """Of all together."""
    began: float
    """When the call began, seconds since 1970."""
    out: Path
    """Folder of the results."""
    run: Path
    """Folder of the run: room for its states, which stay here."""
    pack: Path = Path("data/on_a_card")
    """What training.card.pack has made."""
    words: tyro.conf.Positional[tuple[str, ...]] = ()
    """Further words for training.train."""


def main(options: Options) -> int:
    """Returns the exit status of the training. Raises LvsmError."""
    total = 60 * options.minutes - TO_END
    ends = options.began + total
    training_ends = ends - _share(BENCH, total) - _share(LAST_RESULTS, total)
    options.run.mkdir(parents=True, exist_ok=True)
    before = join_weights(options.pack / "weights", options.run / INITIAL)
    words = training_words(options, before is not None)
    _say(f"{options.minutes:g} minutes; the weights have had {before or 0} steps before")
    compiles = _run("checks", ["training.card.checks", *words, "--compile-blocks"], _share(CHECKS, total)) == DONE
    results = ["training.card.results", "--run", options.run, "--pack", options.pack, "--out", options.out]
    results += ["--before", before or 0]
    for further in (["--compile-blocks"] if compiles else [], PLAINEST):
        command = ["training.card.timed_run", training_ends, *words, *further]
        status = _train(command, options.run / STATE, results, training_ends)
        if status == DONE or training_ends - time.time() < WORTH_TRYING:
            break
        _say(f"training: exit status {status}; on from the last saved state, with no compiler and no loading processes")
    _run("results", results, ends - time.time())
    models = ["default", *(path for path in [options.run / MODEL] if path.exists())]
    for number, model in enumerate(models):
        _run(
            f"bench {model}",
            ["lvsm_engine.cli", "bench", "--model", model],
            (ends - time.time()) / (len(models) - number),
        )
    _say(f"ends with {ends - time.time():.0f} s left")
    return status


def training_words(options: Options, goes_on: bool) -> list[str]:
    """The command line of training.train; what the caller has given comes last, and wins."""
    views, validation = options.pack / "train", options.pack / "val"
    words = ["--preset", "one_card", "--out", options.run, "--validation", validation]
    # So few procedural scenes that the processes draw them as fast as a card takes them.
    words += ["--data", f"{views}=9", "procedural:mixed=1", "--workers", max(0, (os.cpu_count() or 1) - 2)]
    words += ["--init", options.run / INITIAL] if goes_on else []
    return [*map(str, words), *options.words]


def _train(command: Sequence[object], state: Path, results: Sequence[object], ends: float) -> int:
    """Train, and write results whenever the state has changed; returns the exit status."""
    _say("training")
    written = 0.0
    with subprocess.Popen(_python(command)) as training:
        while (status := training.poll()) is None:
            time.sleep(LOOKED_AT_EVERY)
            if time.time() > ends + GRACE:
                training.kill()
            elif time.time() < ends and state.exists() and state.stat().st_mtime > written:
                written = state.stat().st_mtime
                _run("results", results, ends - time.time())
    return status


def _run(name: str, command: Sequence[object], seconds: float) -> int:
    """Run a module for so many seconds at the most; returns its exit status."""
    _say(name)
    try:
        status = subprocess.run(_python(command), timeout=max(1.0, seconds)).returncode
    except subprocess.TimeoutExpired:
        _say(f"{name}: stopped after {seconds:.0f} s")
        return KILLED
    if status != DONE:
        _say(f"{name}: exit status {status}")
    return status


def _python(command: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", *map(str, command)]


def _share(of: tuple[float, float], total: float) -> float:
    share, most = of
    return min(share * total, most)


def _say(line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {line}", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(lambda: main(tyro.cli(Options))))
