"""Jobs over studio processes that die, hang and reject on purpose."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from training.render import fan_out
from training.render.fan_out import RenderJob, run

# A studio that needs no Blender: what it does with a job is said by the job's name.
STUDIO = """
import json, os, pathlib, sys, time
for line in sys.stdin:
    job = json.loads(line)
    name, output = pathlib.Path(job["source"]).stem, pathlib.Path(job["output"])
    with open(output.parent / "starts.txt", "a") as file:
        file.write(f"{name} {os.getpid()}\\n")
    tried = output.with_suffix(".tried")
    first, _ = not tried.exists(), tried.touch()
    if name.startswith("dies") and (first or "always" in name):
        sys.exit("out of memory")
    if name.startswith("hangs"):
        time.sleep(600)
    if not name.startswith("blank"):
        output.write_text("views")
    print(json.dumps({"rejected": "nothing to see" if name.startswith("blank") else None}), flush=True)
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    script = tmp_path / "studio.py"
    script.write_text(STUDIO)
    return [sys.executable, str(script)]


def jobs_for(folder: Path, *names: str) -> list[RenderJob]:
    folder.mkdir(exist_ok=True)
    return [RenderJob(f"{name}.glb", str(folder / f"{name}.npz"), "published", 4, 32, 1) for name in names]


def starts(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / "starts.txt").read_text().splitlines()]


def test_all_jobs_are_done_once_by_several_processes(tmp_path: Path, command: list[str]) -> None:
    jobs = jobs_for(tmp_path / "out", *(f"good{number}" for number in range(12)))
    ticks = []
    assert run(jobs, command, tmp_path / "out", 2, 60, lambda: ticks.append(1)) == []
    assert all(Path(job.output).exists() for job in jobs)
    assert sorted(starts(tmp_path / "out")) == sorted(job.name for job in jobs) and len(ticks) == 12


def test_a_second_run_does_only_what_is_missing(tmp_path: Path, command: list[str]) -> None:
    jobs = jobs_for(tmp_path / "out", "good1", "good2", "blank")
    run(jobs, command, tmp_path / "out", 1, 60)
    Path(jobs[1].output).unlink()
    (tmp_path / "out" / "starts.txt").unlink()
    run(jobs, command, tmp_path / "out", 1, 60)
    assert starts(tmp_path / "out") == ["good2"]


def test_a_job_that_kills_its_studio_is_tried_once_more_in_a_fresh_one(tmp_path: Path, command: list[str]) -> None:
    jobs = jobs_for(tmp_path / "out", "dies_once", "good")
    assert run(jobs, command, tmp_path / "out", 1, 60) == []
    assert starts(tmp_path / "out") == ["dies_once", "dies_once", "good"]


def test_a_job_that_always_dies_is_recorded_with_the_studio_s_last_words(tmp_path: Path, command: list[str]) -> None:
    jobs = jobs_for(tmp_path / "out", "dies_always", "good")
    (failure,) = run(jobs, command, tmp_path / "out", 1, 60)
    assert failure.name == "dies_always"
    assert "status 1" in failure.reason and "out of memory" in failure.reason
    assert Path(jobs[1].output).exists()
    (entry,) = json.loads((tmp_path / "out" / fan_out.FAILURES).read_text())
    assert entry == {"name": failure.name, "reason": failure.reason}


def test_a_job_that_takes_too_long_is_killed_and_recorded(tmp_path: Path, command: list[str]) -> None:
    jobs = jobs_for(tmp_path / "out", "hangs", "good")
    (failure,) = run(jobs, command, tmp_path / "out", 1, 1.0)
    assert failure.name == "hangs" and "longer than 1 s" in failure.reason
    assert Path(jobs[1].output).exists()


def test_a_rejected_object_is_recorded_and_not_tried_again(tmp_path: Path, command: list[str]) -> None:
    (failure,) = run(jobs_for(tmp_path / "out", "blank"), command, tmp_path / "out", 1, 60)
    assert (failure.name, failure.reason) == ("blank", "nothing to see")
    assert starts(tmp_path / "out") == ["blank"]


def test_ctrl_c_finishes_the_object_in_hand_and_blames_none(tmp_path: Path, command: list[str]) -> None:
    jobs = jobs_for(tmp_path / "out", "good1", "good2", "good3")

    def press() -> None:
        if len(starts(tmp_path / "out")) == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        run(jobs, command, tmp_path / "out", 1, 60, press)
    assert Path(jobs[0].output).exists() and not Path(jobs[2].output).exists()
    assert run(jobs, command, tmp_path / "out", 1, 60) == []
    assert sorted(starts(tmp_path / "out")) == ["good1", "good2", "good3"]


def test_processes_are_renewed_after_some_objects(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out, "OBJECTS_PER_PROCESS", 2)
    run(jobs_for(tmp_path / "out", "good1", "good2", "good3"), command, tmp_path / "out", 1, 60)
    processes = [line.split()[1] for line in (tmp_path / "out" / "starts.txt").read_text().splitlines()]
    assert processes[0] == processes[1] != processes[2]
