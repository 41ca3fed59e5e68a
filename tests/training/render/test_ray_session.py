"""Ray of our own: whom it listens to, and what is left when a run is ended in any of the ways there are."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tests.training.render.test_studio import box_glb
from training.render.photographable import photographable
from training.render.ray_session import STATUS_OF_SIGTERM, ClusterError, Places, plan_places, ray_session

ROOT = Path(__file__).resolve().parents[3]
OBJECTS = [f"slower{number:02d}" for number in range(14)]


def command_with_fakes(base: Path) -> list[str]:
    """training.render, whose "Python with bpy" starts a fake studio."""
    for folder in ("objects", "diary", "scratch"):
        (base / folder).mkdir()
    for name in OBJECTS:
        (base / "objects" / f"{name}.glb").write_bytes(box_glb())
    python = base / "python"
    studio = Path(__file__).parent / "fake_studio.py"
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exit 0\nexec "{sys.executable}" "{studio}" "{base}/diary"\n')
    python.chmod(0o755)
    options = ["--source", f"{base}/objects", "--out", f"{base}/out", "--python", str(python), "--processes", "2"]
    return [sys.executable, "-m", "training.render", *options]


def heed_ctrl_c() -> None:
    """As in a terminal: a shell starts what runs in its background, tests too, with Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def own_family(run: subprocess.Popen) -> list[psutil.Process]:
    """All processes of a run but Ray's two agents: after a SIGKILL these take a minute to see that they are alone."""
    family = psutil.Process(run.pid).children(recursive=True)
    return [process for process in family if "Agent" not in " ".join(process.cmdline())]


def listening_addresses(processes: list[psutil.Process]) -> set[str]:
    sockets = [socket for process in processes for socket in process.net_connections(kind="tcp")]
    return {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}


def test_a_run_that_is_ended_in_any_way_leaves_no_process_and_the_next_one_goes_on(tmp_path: Path) -> None:
    command = command_with_fakes(tmp_path)
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch"), "RAY_TMPDIR": "/tmp"}

    def arrived() -> set[str]:
        return {path.stem for path in (tmp_path / "out").glob("*.npz")}

    for number, status in ((signal.SIGKILL, -9), (signal.SIGTERM, STATUS_OF_SIGTERM), (signal.SIGINT, 130)):
        before = len(arrived())
        run = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=heed_ctrl_c,
        )
        wait_for(lambda run=run, before=before: run.poll() is not None or len(arrived()) >= before + 2)
        assert run.poll() is None, run.stderr.read()
        family = own_family(run)
        assert any("fake_studio.py" in " ".join(process.cmdline()) for process in family)
        everyone = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
        assert listening_addresses(everyone) <= {"127.0.0.1", "::ffff:127.0.0.1"}
        # Ctrl-C in a terminal reaches the whole group.
        os.killpg(run.pid, number) if number == signal.SIGINT else os.kill(run.pid, number)
        assert run.wait(60) == status
        assert psutil.wait_procs(family, timeout=30)[1] == []
        assert b"Traceback" not in run.stderr.read()
    assert len(arrived()) < len(OBJECTS)
    whole = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert whole.returncode == 0 and "left out" not in whole.stderr
    for name in OBJECTS:
        assert (tmp_path / "out" / f"{name}.npz").read_bytes() == b"views of " + photographable(box_glb())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".lock", *(f"{name}.npz" for name in OBJECTS)}
    assert list((tmp_path / "scratch").glob("lvsm-*")) == []
    # What was in hand at the three ends was begun again, and nothing else.
    begun = [line.split()[0] for line in (tmp_path / "diary" / "starts.txt").read_text().splitlines()]
    assert len(OBJECTS) < len(begun) <= len(OBJECTS) + 3 * 2


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """In a process of its own: Ray takes a cluster's settings, or those of one machine, when it is imported."""
    command = [*command_with_fakes(tmp_path), "--address", "nowhere"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 2 and "reached at nowhere" in said.stderr and "Traceback" not in said.stderr


def test_ray_that_does_not_start_in_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(**_: object) -> None:
        raise Exception("The current node timed out during startup.")  # as Ray says it

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=slow))
    with pytest.raises(ClusterError, match="started or reached at this machine.*timed out"), ray_session(None, 1):
        pass


def test_a_path_that_is_too_long_for_ray_s_sockets_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("long" * 20)))
    with pytest.raises(ClusterError, match="set RAY_TMPDIR to a short path"), ray_session(None, 1):
        pass


def test_without_a_card_there_is_a_studio_for_each_cpu() -> None:
    assert plan_places(None, "auto", cpus=16, gpus=0) == Places(16, cpus=1, gpus=0)
    assert plan_places(3, "auto", cpus=16, gpus=0) == Places(3, cpus=1, gpus=0)
    assert plan_places(None, "cpu", cpus=16, gpus=2) == Places(16, cpus=1, gpus=0)


def test_studios_share_the_cards_evenly() -> None:
    assert plan_places(None, "auto", cpus=16, gpus=2) == Places(16, cpus=1, gpus=1 / 8)
    assert plan_places(3, "optix", cpus=16, gpus=2) == Places(3, cpus=1, gpus=1 / 2)
    assert plan_places(1, "cuda", cpus=16, gpus=4) == Places(1, cpus=1, gpus=1)


def test_a_card_that_ray_does_not_see_is_asked_for_in_vain() -> None:
    with pytest.raises(ClusterError, match="Ray finds no GPU: --device cuda needs one"):
        plan_places(None, "cuda", cpus=16, gpus=0)
