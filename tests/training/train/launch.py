"""Training runs in processes of their own, which can be killed: forked from a server that has torch loaded already."""

import contextlib
import multiprocessing
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from training.train.__main__ import main
from training.train.options import Options

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["training.train", "torch._dynamo"])  # the second: what optimizers import, 4 s
LIMIT = 120


@dataclass
class Launched:
    """A process and the file that its standard output and error go to."""

    process: multiprocessing.process.BaseProcess
    output: Path

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        self.process.join(LIMIT)
        assert self.process.exitcode is not None, "the run hangs: " + self.output.read_text()[-2000:]
        return self.process.exitcode

    def says(self) -> str:
        """All that it has written."""
        return self.output.read_text()

    def signal_when(self, path: Path, number: signal.Signals, seconds: float) -> None:
        """Send a signal some seconds after a file appears."""
        until = time.monotonic() + LIMIT
        while not path.exists():
            assert self.process.is_alive() and time.monotonic() < until, self.says()[-2000:]
            time.sleep(0.005)
        time.sleep(seconds)
        os.kill(self.process.pid, number)


def launch(options: Options, output: Path, environment: dict[str, str] | None = None) -> Launched:
    """A run in a new process."""
    process = CONTEXT.Process(target=_run, args=(options, output, environment or {}))
    process.start()
    return Launched(process, output)


def launch_ranks(options: Options, output: Path, count: int) -> list[Launched]:
    """As torchrun would start them: each rank in its process, gloo between them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    return [
        launch(options, output.with_suffix(f".{rank}"), {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(count)
    ]


def _run(options: Options, output: Path, environment: dict[str, str]) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ.update(environment)
    with open(output, "w", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            main(options)
