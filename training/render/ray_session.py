"""Ray, on this machine alone or on a cluster, and what it has to render with. Knows nothing of objects."""

import logging
import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from lvsm_engine.errors import LvsmError

from .devices import Device

STATUS_OF_SIGTERM = 128 + signal.SIGTERM
# What a user's environment says goes before these.
_LOCAL_SETTINGS = {
    # Off (0), and Ray listens on loopback only; by default on every network interface.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Other users of this machine cannot use it without the token in our home.
    "RAY_AUTH_MODE": "token",
}


class ClusterError(LvsmError):
    """Ray cannot be reached, or has not what the studios need."""


@dataclass(frozen=True, slots=True)
class Places:
    """How many studios work at once, and what each of them takes up."""

    studios: int
    cpus: float
    gpus: float


@contextmanager
def ray_session(address: str | None, processes: int | None) -> Iterator[None]:
    """Ray for the time of a `with`: of our own for `processes` studios, or the cluster at `address`.

    SIGTERM ends the `with` as Ctrl-C does, by an exception (SystemExit). Raises ClusterError.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray tells its makers what it runs, if not stopped.
    if address is None:
        for name, value in _LOCAL_SETTINGS.items():
            os.environ.setdefault(name, value)
    import ray  # Reads the settings at its import.

    where = {"address": address} if address else {"address": "local", "num_cpus": processes, "include_dashboard": False}
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # A bare one where Ray's own processes take too long to start.
        raise _no_session(address, error) from error
    terminated: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        terminated.append(number)
        sys.exit(STATUS_OF_SIGTERM)

    previous = signal.signal(signal.SIGTERM, end)  # Ray has set its own.
    try:
        yield
    except SystemExit:
        if terminated:  # Where it ends Ray's waiting, Ray makes its status 1.
            sys.exit(STATUS_OF_SIGTERM)
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
        ray.shutdown()


def _no_session(address: str | None, error: Exception) -> ClusterError:
    if isinstance(error, OSError) and not isinstance(
        error, ConnectionError
    ):  # Most of all, too long a path for a socket.
        return ClusterError(
            f"Ray cannot write where its sockets are to be ({error}): set RAY_TMPDIR to a short path as /tmp."
        )
    return ClusterError(f"Ray cannot be started or reached at {address or 'this machine'} ({error}).")


def plan_places(processes: int | None, device: Device, cpus: float, gpus: float) -> Places:
    """Where studios go, on a cluster with so many CPUs and GPUs. Raises ClusterError.

    processes: in all; without it, one for each CPU. On GPUs they share: what a studio does on the CPU (imports, trees
    of triangles) lets the card idle, and another studio can use it.
    """
    studios = processes if processes is not None else max(int(cpus), 1)
    if device == "cpu" or (device == "auto" and gpus == 0):
        return Places(studios, cpus=1, gpus=0)
    if gpus == 0:
        raise ClusterError(f"Ray finds no GPU: --device {device} needs one. Use --device cpu or auto.")
    return Places(studios, cpus=1, gpus=1 / max(math.ceil(studios / gpus), 1))
