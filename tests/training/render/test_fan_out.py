"""Jobs over Ray workers and studio processes that die, hang and reject on purpose."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from training.render.fan_out import MAX_LOSSES, Crew, FanOutError, render_all
from training.render.job import RenderJob, time_limit
from training.render.ray_session import Places, ray_session
from training.render.views_folder import ViewsFolder

FAKE_STUDIO = Path(__file__).parent / "fake_studio.py"


@dataclass(frozen=True, slots=True)
class Bench:
    """Objects that fake studios render: where they lie, where their views go, what the studios tell of it."""

    base: Path

    def __post_init__(self) -> None:
        for folder in ("objects", "diary"):
            (self.base / folder).mkdir()

    @property
    def out(self) -> Path:
        return self.base / "out"

    def crew(self, studios: int) -> Crew:
        command = (sys.executable, str(FAKE_STUDIO), str(self.base / "diary"))
        return Crew(command, Places(studios, cpus=1, gpus=0))

    def jobs(self, *names: str) -> list[RenderJob]:
        for name in names:
            (self.base / "objects" / f"{name}.glb").write_text(name)
        return [
            RenderJob(
                name=name,
                source=str(self.base / "objects" / f"{name}.glb"),
                output=str(self.out / f"{name}.npz"),
                sampling="published",
                views=4,
                size=32,
                samples=1,
                denoise=False,
                seconds=60.0,
            )
            for name in names
        ]

    def run(self, jobs: list[RenderJob], crew: Crew, on_done: Callable[[], object] = lambda: None) -> ViewsFolder:
        with ViewsFolder(self.out) as folder:
            render_all(jobs, crew, folder, on_done)
        return folder

    def starts(self) -> list[tuple[str, int, int]]:
        """Of each job that a studio began: its name, the studio's process, that one's worker."""
        lines = (line.split() for line in (self.base / "diary" / "starts.txt").read_text().splitlines())
        return [(name, int(studio), int(worker)) for name, studio, worker in lines]

    def started(self) -> Counter[str]:
        return Counter(name for name, _, _ in self.starts())

    def worker_of(self, wanted: str) -> int | None:
        """The process of the worker whose studio began an object first; None before that."""
        return next((worker for name, _, worker in self.starts() if name == wanted), None)

    def arrived(self) -> dict[str, str]:
        return {path.stem: path.read_text() for path in self.out.glob("*.npz")}


def views_of(jobs: list[RenderJob]) -> dict[str, str]:
    return {job.name: f"views of {job.name}" for job in jobs}


@pytest.fixture(scope="module", autouse=True)
def ray_of_our_own() -> Iterator[None]:
    with ray_session(None, 2):
        yield


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_all_objects_arrive_once_from_several_processes(bench: Bench) -> None:
    jobs = bench.jobs("meets2_a", "meets2_b", *(f"slow{number}" for number in range(4)))
    ticks: list[int] = []
    folder = bench.run(jobs, bench.crew(2), lambda: ticks.append(1))
    assert folder.left_out == [] and len(ticks) == 6
    assert bench.arrived() == views_of(jobs)
    assert set(bench.started().values()) == {1}
    assert len({studio for _, studio, _ in bench.starts()}) == 2


def test_a_second_run_does_only_what_is_missing(bench: Bench) -> None:
    jobs = bench.jobs("good1", "good2", "blank")
    bench.run(jobs, bench.crew(1))
    Path(jobs[1].output).unlink()
    bench.run(jobs, bench.crew(1))
    assert bench.started() == {"good1": 1, "good2": 2, "blank": 1}


def test_an_object_that_kills_its_studio_is_tried_once_more_in_a_fresh_one(bench: Bench) -> None:
    jobs = bench.jobs("good", "dies_once")
    assert bench.run(jobs, bench.crew(1)).left_out == []
    assert bench.arrived() == views_of(jobs)
    names, studios, _ = zip(*bench.starts(), strict=True)
    assert names == ("good", "dies_once", "dies_once") and studios[0] == studios[1] != studios[2]


def test_an_object_that_always_dies_is_recorded_with_its_stage_and_the_studio_s_last_words(bench: Bench) -> None:
    jobs = bench.jobs("dies_always", "good")
    (one,) = bench.run(jobs, bench.crew(1)).left_out
    assert (one.name, one.stage) == ("dies_always", "render")
    assert "status 1" in one.reason and one.stderr == "out of memory"
    assert bench.started() == {"dies_always": 2, "good": 1}
    assert ViewsFolder(bench.out).left_out == [one]  # On the disk, too.


def test_an_object_that_takes_too_long_is_killed_and_recorded(bench: Bench) -> None:
    hanging, good = bench.jobs("hangs", "good")
    (one,) = bench.run([replace(hanging, seconds=1.0), good], bench.crew(1)).left_out
    assert (one.name, one.stage) == ("hangs", "render") and "longer than 1 s" in one.reason
    assert bench.arrived() == views_of([good])


def test_a_rejected_object_is_recorded_and_not_tried_again(bench: Bench) -> None:
    (one,) = bench.run(bench.jobs("blank"), bench.crew(1)).left_out
    assert (one.name, one.reason) == ("blank", "nothing to see")
    assert bench.started() == {"blank": 1} and bench.arrived() == {}


def test_an_object_that_cannot_be_read_is_recorded(bench: Bench) -> None:
    lost, good = bench.jobs("lost", "good")
    Path(lost.source).unlink()
    (one,) = bench.run([lost, good], bench.crew(1)).left_out
    assert (one.name, one.stage) == ("lost", "read") and "No such file" in one.reason
    assert bench.arrived() == views_of([good])


def test_studios_are_renewed_after_some_objects(bench: Bench) -> None:
    bench.run(bench.jobs("good1", "good2", "good3"), replace(bench.crew(1), objects_per_process=2))
    studios = [studio for _, studio, _ in bench.starts()]
    assert studios[0] == studios[1] != studios[2]


def test_a_worker_that_dies_costs_one_more_run_of_what_it_had_in_hand(bench: Bench) -> None:
    jobs = bench.jobs("hangs_once", *(f"slow{number}" for number in range(7)))
    killed: list[int] = []

    def kill_the_other_worker() -> None:
        if not killed and (worker := bench.worker_of("hangs_once")):
            killed.append(worker)
            os.kill(worker, signal.SIGKILL)

    assert bench.run(jobs, bench.crew(2), kill_the_other_worker).left_out == []
    assert bench.arrived() == views_of(jobs)
    assert bench.started() - Counter(job.name for job in jobs) == Counter(["hangs_once"])


def test_an_object_that_kills_its_workers_is_given_up(bench: Bench) -> None:
    jobs = bench.jobs("kills_its_worker", "good")
    (one,) = bench.run(jobs, bench.crew(1)).left_out
    assert (one.name, one.stage) == ("kills_its_worker", "worker")
    assert bench.started() == {"kills_its_worker": 1 + MAX_LOSSES, "good": 1}


def test_studios_that_never_start_end_the_run_and_blame_no_object(bench: Bench) -> None:
    jobs = bench.jobs("good1", "good2")
    (bench.base / "diary" / "broken").touch()
    with pytest.raises(FanOutError, match="no studio can be started.*\n?.*this machine has no Blender"):
        bench.run(jobs, bench.crew(2))
    (bench.base / "diary" / "broken").unlink()
    assert bench.run(jobs, bench.crew(2)).left_out == []
    assert bench.arrived() == views_of(jobs)


def test_the_time_limit_grows_with_what_is_rendered() -> None:
    assert time_limit(32, 512, 16) == pytest.approx(60 + 32 * 512 * 512 * 16 / 200_000)
