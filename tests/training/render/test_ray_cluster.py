"""A cluster of several (simulated) nodes, which dies in parts."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from training.render.ray_session import ray_session

from .test_fan_out import Bench, views_of

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster


@pytest.fixture
def cluster() -> Iterator["Cluster"]:
    from ray.cluster_utils import Cluster  # Here: Ray reads its settings at its import, and ray_session makes them.

    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def test_every_object_arrives_once_though_a_worker_and_a_whole_node_are_killed(
    tmp_path: Path, cluster: "Cluster"
) -> None:
    doomed, _ = cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
    bench = Bench(tmp_path)
    # The killed worker's successor is waited for, before anything else is lost.
    first, then = [f"slow{number:02d}" for number in range(4)], [f"slow{number:02d}" for number in range(4, 21)]
    jobs = bench.jobs("hangs_once", *first, "meets3_a", "meets3_b", *then)
    ticks: list[int] = []
    killed: list[int] = []

    def kill() -> None:
        ticks.append(1)
        if not killed and len(ticks) >= 4 and (worker := bench.worker_of("hangs_once")):
            killed.append(worker)
            os.kill(worker, signal.SIGKILL)
        if len(ticks) == 12:
            cluster.remove_node(doomed, allow_graceful=False)

    with ray_session(cluster.address, None):
        assert bench.run(jobs, bench.crew(2), kill).left_out == []
    assert len(ticks) == len(jobs) and bench.arrived() == views_of(jobs)
    again = bench.started() - Counter(job.name for job in jobs)
    assert (
        Counter(["hangs_once"]) <= again and sum(again.values()) <= 2
    )  # What the worker had in hand, and what the node had.
    assert len({worker for _, _, worker in bench.starts()}) >= 3
    wait_until_gone({studio for _, studio, _ in bench.starts()})


def wait_until_gone(processes: set[int]) -> None:
    deadline = time.monotonic() + 120
    while any(Path(f"/proc/{process}").exists() for process in processes):
        assert time.monotonic() < deadline
        time.sleep(0.1)
