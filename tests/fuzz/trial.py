"""One bad input after the other in a process that is watched: how each ended, how long it took, how much memory."""

import contextlib
import multiprocessing
import resource
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from lvsm_engine.errors import LvsmError
from lvsm_engine.plain_text import plain

from .targets import Attack

# Of the processor's time, so that a busy machine is no fault; of the clock; of memory beside what the process has.
MAX_SECONDS, MAX_WAIT, MAX_BYTES = 10.0, 120.0, 2e9
PREPARATION = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended. fault: what must not be; None where the input was read, or refused in a sentence."""

    is_refused: bool = False
    fault: str | None = None
    seconds: float = 0.0
    memory: float = 0.0


class Trials:
    """A process in which one target is attacked; a new one after each that had to be ended."""

    def __init__(self, target: Callable[[Path], Attack], max_wait: float = MAX_WAIT) -> None:
        self._target, self._max_wait = target, max_wait
        self._process: multiprocessing.process.BaseProcess | None = None

    def run(self, seed: int) -> Outcome:
        """The outcome of the input that this seed makes."""
        if self._process is None:
            self._start()
        assert self._process is not None
        self._pipe.send(seed)
        outcome = self._awaited(self._max_wait)
        if outcome.fault is not None:
            self.close()
        return outcome

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_attack, args=(self._target, theirs), daemon=False)
        self._process.start()
        theirs.close()
        assert self._awaited(PREPARATION).fault is None, "the target cannot be prepared"

    def _awaited(self, seconds: float) -> Outcome:
        assert self._process is not None
        try:
            if self._pipe.poll(seconds):
                return self._pipe.recv()
            fault = f"no end within {seconds:g} s"
        except EOFError:
            self._process.join()
            fault = f"the process ended with status {self._process.exitcode}"
        return Outcome(fault=fault)


def _attack(target: Callable[[Path], Attack], pipe: Connection) -> None:
    """The process: prepares, says so, then takes seeds."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        attack = target(Path(folder))
        pipe.send(Outcome())
        while True:
            pipe.send(_outcome(attack, pipe.recv()))


def _outcome(attack: Attack, seed: int) -> Outcome:
    began, held = time.process_time(), _most_memory()
    is_refused, fault = False, None
    try:
        attack(np.random.default_rng(seed))
    except LvsmError as error:
        is_refused, fault = True, _what_is_wrong_with(str(error))
    except BaseException:
        fault = traceback.format_exc(limit=-3)
    seconds, memory = time.process_time() - began, _most_memory() - held
    if fault is None and seconds > MAX_SECONDS:
        fault = f"{seconds:.0f} s of the processor"
    if fault is None and memory > MAX_BYTES:
        fault = f"{memory / 1e9:.1f} GB"
    return Outcome(is_refused, fault, seconds, memory)


def _most_memory() -> float:
    """Bytes that this process asked for at its most; what it held would be less where the system takes some back."""
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        return next(float(line.split()[1]) for line in file if line.startswith("VmPeak:")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def _what_is_wrong_with(sentence: str) -> str | None:
    """Of an error's words: one line for a person, which names no type of Python's."""
    is_sentence = plain(sentence) == sentence and sentence.rstrip().endswith((".", "!")) and "Path(" not in sentence
    return None if is_sentence else f"no sentence: {sentence!r}"
