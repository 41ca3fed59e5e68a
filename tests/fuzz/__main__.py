"""Attack all that reads what others wrote, for a time, the same each time:

    make fuzz                                                      # ten minutes
    python -m tests.fuzz --minutes 60
    python -m tests.fuzz --targets photos --seed 1234 --inputs 1   # one input again

Ends with 1 where an input was neither read nor refused in a sentence, took 10 s, or 2 GB.
"""

import itertools
import sys
import time
from dataclasses import dataclass, field

import tyro
from tqdm import tqdm

from .targets import TARGETS
from .trial import Outcome, Trials

# Of each target; one cause makes many.
FAULTS_SHOWN = 5


@dataclass
class Options:
    """Attack all that reads what others wrote."""

    minutes: float = 10.0
    """For all targets together, each for the same time."""
    targets: list[str] = field(default_factory=lambda: list(TARGETS))
    seed: int = 0
    """Of the first input; the others' follow it."""
    inputs: int | None = None
    """Of each target; else as many as there is time for."""


def main(options: Options) -> int:
    """Returns the exit status."""
    print(f"{'target':16} {'inputs':>7} {'read':>7} {'refused':>8} {'faults':>7} {'slowest':>9} {'memory':>9}")
    seconds = 60 * options.minutes / len(options.targets)
    return max(fuzz(name, seconds, options) for name in options.targets)


def fuzz(name: str, seconds: float, options: Options) -> int:
    """Attack one target, print its row and its faults. Returns 1 where there are any, else 0."""
    outcomes: list[Outcome] = []
    ends, most = time.monotonic() + seconds, options.inputs or sys.maxsize
    trials = Trials(TARGETS[name])
    with tqdm(total=options.inputs, desc=name, unit="input", leave=False, disable=None) as bar:
        while time.monotonic() < ends and len(outcomes) < most:
            outcomes.append(trials.run(options.seed + len(outcomes)))
            bar.update()
    trials.close()
    refused = sum(outcome.is_refused for outcome in outcomes)
    faults = {number: outcome.fault for number, outcome in enumerate(outcomes) if outcome.fault is not None}
    read = sum(not outcome.is_refused and outcome.fault is None for outcome in outcomes)
    slowest, memory = (max(getattr(outcome, name) for outcome in outcomes) for name in ("seconds", "memory"))
    counts = f"{len(outcomes):7} {read:7} {refused:8} {len(faults):7}"
    print(f"{name:16} {counts} {slowest:7.2f} s {memory / 1e6:6.0f} MB", flush=True)
    for number, fault in itertools.islice(faults.items(), FAULTS_SHOWN):
        print(f"  python -m tests.fuzz --targets {name} --seed {options.seed + number} --inputs 1\n{fault}", flush=True)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
