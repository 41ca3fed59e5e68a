"""Streams with commands that need no Blender, and kill the stream on purpose."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shared_data import ROOT
from tests.training.objects.fake_hub import FakeHub
from training.json_lines import read_lines, write_lines
from training.left_out import LeftOut
from training.objects.candidates import Candidate
from training.objects.download import LocalStore, Store, read_selection
from training.objects.hub import Hub, HubUnreachable
from training.objects.manifest import ObjectsError, read_manifest
from training.objects.stream import Options, stream

OBJECT_BYTES, VIEW_BYTES = 10_000, 20_000

# Renders an object by writing zeros; what else it does is said by an object's name and, once, by the file "orders".
RENDER = """
import json, os, pathlib, signal, sys, time
notes, objects, views = map(pathlib.Path, sys.argv[1:])
views.mkdir(exist_ok=True)
orders = notes / "orders"
def obey(moment):
    order, *rest = orders.read_text().split() if orders.exists() else [""]
    if order == moment:
        orders.unlink()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(float(rest[0]))
obey("kill_before_render")
for glb in sorted(objects.glob("*.glb")):
    done = views / (glb.stem + ".npz")
    if done.exists():
        continue
    with open(notes / "rendered.txt", "a") as file:
        print(glb.stem, file=file)
    if glb.stem.startswith("blank"):
        (views / "left_out.jsonl").write_text(json.dumps(
            {"name": glb.stem, "stage": "render", "reason": "nothing to see", "stderr": ""}) + "\\n")
    elif not glb.stem.startswith("lost"):
        done.write_bytes(bytes(20_000))
    obey("kill_while_rendering")
taken = 0
for folder, _, names in os.walk(views.parent.parent):
    for name in names:
        try:
            taken += os.path.getsize(os.path.join(folder, name)) if name.endswith((".glb", ".npz")) else 0
        except FileNotFoundError:  # it has just been given its name
            pass
with open(notes / "taken.txt", "a") as file:
    print(taken, file=file)
obey("kill_after_render")
if (notes / "renderer_is_broken").exists():
    sys.exit("no card left")
"""
# Packs by appending names to OUT/packed.txt, those that are not there yet.
PACK = """
import json, os, pathlib, signal, sys
notes, views, manifest, out = map(pathlib.Path, sys.argv[1:])
out.mkdir(exist_ok=True)
packed = out / "packed.txt"
known = packed.read_text().split() if packed.exists() else []
orders = notes / "orders"
for line in manifest.read_text().splitlines():
    record = json.loads(line)
    assert (views / (record["name"] + ".npz")).exists() and len(record["sha256"]) == 64
    if record["name"] not in known:
        with open(packed, "a") as file:
            print(record["name"], file=file)
    if orders.exists() and orders.read_text() == "kill_while_packing":
        orders.unlink()
        os.kill(os.getppid(), signal.SIGKILL)
        sys.exit(1)
"""


class Bench:
    """A selection of objects on this machine, the two commands, and what they leave behind."""

    def __init__(self, folder: Path, names: list[str], val: tuple[str, ...] = ()) -> None:
        self.folder, self.out, self.work = folder, folder / "out", folder / "work"
        source = folder / "source"
        source.mkdir()
        for name in names:
            (source / f"{name}.glb").write_bytes(random.Random(name).randbytes(OBJECT_BYTES))
        (folder / "render.py").write_text(RENDER)
        (folder / "pack.py").write_text(PACK)
        self.select([candidate(name, str(source / f"{name}.glb"), name in val) for name in names])

    def select(self, candidates: list[Candidate]) -> None:
        write_lines(self.folder / "selection.jsonl", candidates)

    def options(self, chunk: int = 3, cap_gb: float = 1.0, views_mb: float = 0.0) -> Options:
        python, folder = shlex.quote(sys.executable), self.folder
        return Options(
            selection=folder / "selection.jsonl",
            out=self.out,
            work=self.work,
            cap_gb=cap_gb,
            views_mb=views_mb,
            chunk=chunk,
            workers=2,
            render=f"{python} {folder}/render.py {folder} {{objects}} {{views}}",
            pack=f"{python} {folder}/pack.py {folder} {{views}} {{manifest}} {{shards}}",
        )

    def run(self, store: Store | None = None, **options: float) -> dict[str, str]:
        """A stream in this process."""
        settings = self.options(**options)  # type: ignore[arg-type]
        return stream(settings, read_selection(settings.selection), store or LocalStore())

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """The same as a command, which can be killed."""
        options = self.options()
        command = [
            *(
                sys.executable,
                "-m",
                "training.objects.stream",
                "--selection",
                str(options.selection),
                "--out",
                str(self.out),
            ),
            *("--work", str(self.work), "--chunk", str(options.chunk), "--workers", str(options.workers)),
            *("--cap-gb", str(options.cap_gb), "--views-mb", str(options.views_mb)),
            *("--render", options.render, "--pack", options.pack),
        ]
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True)

    def packed(self, split: str = "train") -> list[str]:
        path = self.out / split / "packed.txt"
        return path.read_text().split() if path.exists() else []

    def notes(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def listed(self) -> list[str]:
        return [record.name for path in (self.out / "chunks").glob("*") for record in read_manifest(path)]

    def left_out(self) -> dict[str, str]:
        lists = (self.out / "left_out").glob("*")
        return {entry.name: entry.reason for path in lists for entry in read_lines(path, LeftOut)}


def candidate(name: str, location: str, is_val: bool = False) -> Candidate:
    split = "val" if is_val else "train"
    return Candidate(name=name, location=location, licence="CC0-1.0", author="Ana", address="a", split=split)


def test_objects_go_through_all_stages_and_nothing_stays_but_the_shards(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a", "b", "c", "d", "e", "f", "g"], val=("b", "f"))
    assert bench.run() == {}
    assert (bench.packed("val"), bench.packed("train")) == (["b", "f"], ["a", "c", "d", "e", "g"])
    assert sorted(path.name for path in (bench.out / "chunks").glob("*0.jsonl")) == [
        "train-000000.jsonl",
        "val-000000.jsonl",
    ]
    assert sorted(bench.listed()) == list("abcdefg") and bench.left_out() == {}
    assert list(bench.work.iterdir()) == []
    assert len(list((tmp_path / "source").iterdir())) == 7  # the originals stay


def test_a_second_run_has_nothing_to_do_and_a_longer_selection_only_its_new_objects(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a", "b", "c"])
    bench.run()
    bench.run()
    assert bench.notes("rendered.txt") == ["a", "b", "c"]
    added = tmp_path / "source" / "d.glb"
    added.write_bytes(b"d")
    bench.select([candidate(name, str(tmp_path / "source" / f"{name}.glb")) for name in "dabc"])
    bench.run()
    assert bench.notes("rendered.txt") == ["a", "b", "c", "d"] == bench.packed()


@pytest.mark.parametrize(
    "order", ["kill_before_render 0", "kill_while_rendering 0", "kill_after_render 0", "kill_while_packing"]
)
def test_killed_at_any_stage_the_next_run_loses_nothing_and_does_nothing_twice(tmp_path: Path, order: str) -> None:
    bench = Bench(tmp_path, [f"object{number}" for number in range(8)])
    (tmp_path / "orders").write_text(order)
    assert bench.start().wait() == -signal.SIGKILL
    assert bench.listed() == []
    assert bench.run() == {}
    everything = [f"object{number}" for number in range(8)]
    assert sorted(bench.packed()) == sorted(bench.listed()) == everything
    assert sorted(bench.notes("rendered.txt")) == everything
    assert list(bench.work.iterdir()) == []


def test_killed_at_random_moments_every_object_still_arrives_exactly_once(tmp_path: Path) -> None:
    names = [f"object{number:02d}" for number in range(24)]
    bench = Bench(tmp_path, names)
    delays = random.Random(3)
    for _ in range(4):
        process = bench.start()
        time.sleep(delays.uniform(0.5, 1.3))
        process.kill()
        process.wait()
    assert bench.run() == {}
    assert sorted(bench.packed()) == sorted(bench.listed()) == names
    assert list(bench.work.iterdir()) == []


def test_a_run_waits_for_the_command_that_a_killed_run_has_left_at_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(tmp_path, ["a", "b"])
    (tmp_path / "orders").write_text("kill_before_render 2")
    bench.start().wait()
    bench.run()
    assert "waiting for a command of an earlier run" in capsys.readouterr().err
    assert bench.notes("rendered.txt") == ["a", "b"] == bench.packed()


def test_ended_by_a_signal_the_stream_ends_the_command_at_work_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a", "b"])
    (tmp_path / "render.py").write_text(
        "import os, pathlib, time\npathlib.Path(__file__).with_name('pid').write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    process = bench.start()
    deadline = time.monotonic() + 30
    while not bench.notes("pid") and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(timeout=10) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(bench.notes("pid")[0]), 0)


def test_an_object_that_cannot_be_rendered_is_left_out_with_the_reason(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a", "blank", "c"])
    bench.run()
    assert bench.packed() == ["a", "c"] and bench.left_out() == {"blank": "nothing to see"}
    bench.run()
    assert bench.notes("rendered.txt") == ["a", "blank", "c"]


def test_an_object_that_vanishes_in_rendering_stops_the_stream(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a", "lost"])
    with pytest.raises(ObjectsError, match="lost was neither rendered nor refused: see .*stream.log"):
        bench.run()
    assert bench.listed() == []


def test_a_command_that_fails_stops_the_stream_and_the_next_run_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a", "b"])
    (tmp_path / "renderer_is_broken").touch()
    process = bench.start()
    assert "ended with status 1: see the end of" in process.communicate()[1] and process.returncode == 2
    assert "no card left" in (bench.out / "stream.log").read_text()
    (tmp_path / "renderer_is_broken").unlink()
    assert bench.run() == {}
    assert bench.notes("rendered.txt") == ["a", "b"] == bench.packed()


def test_equal_objects_of_different_chunks_come_once_also_after_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a", "b", "c", "d"])
    for twin in ("b", "d"):
        (tmp_path / "source" / f"{twin}.glb").write_bytes((tmp_path / "source" / "a.glb").read_bytes())
    (tmp_path / "orders").write_text("kill_after_render 0")
    assert bench.start().wait() == -signal.SIGKILL
    bench.run(chunk=1)
    assert bench.packed() == ["a", "c"]
    assert bench.left_out() == {"b": "the same content as a", "d": "the same content as a"}


@pytest.fixture
def server() -> Iterator[FakeHub]:
    files = {f"glbs/000-000/{name}.glb": random.Random(name).randbytes(OBJECT_BYTES) for name in "abcdefghij"}
    with FakeHub(files) as server:
        yield server


def hub_bench(folder: Path, server: FakeHub) -> tuple[Bench, Hub]:
    bench = Bench(folder, [])
    bench.select([candidate(Path(path).stem, path) for path in server.files])
    return bench, Hub(endpoint=server.endpoint, waits=(0.01, 0.01))


def test_from_the_hub_the_objects_and_views_on_the_disk_stay_under_the_cap(server: FakeHub, tmp_path: Path) -> None:
    bench, hub = hub_bench(tmp_path, server)
    cap = 6 * (OBJECT_BYTES + VIEW_BYTES)
    bench.run(hub, chunk=100, cap_gb=cap / 1e9, views_mb=VIEW_BYTES / 1e6)
    assert sorted(bench.packed()) == list("abcdefghij")
    assert set(server.bodies.values()) == {1}
    taken = [int(word) for word in bench.notes("taken.txt")]
    assert len(taken) == 4 and max(taken) <= cap
    assert list(bench.work.iterdir()) == []


def test_the_next_chunk_is_fetched_while_one_is_rendered(server: FakeHub, tmp_path: Path) -> None:
    bench, hub = hub_bench(tmp_path, server)
    # This renderer ends when the next objects are there.
    waiting = (
        "import pathlib, sys, time\nwhile not list(pathlib.Path(sys.argv[2]).parents[1].glob('*1/objects/*.glb')):"
    )
    (tmp_path / "render.py").write_text(f"{waiting} time.sleep(0.02)\n{RENDER}")
    bench.run(hub, chunk=5)
    assert sorted(bench.packed()) == list("abcdefghij")


def test_views_that_turn_out_larger_than_said_make_the_chunks_smaller(server: FakeHub, tmp_path: Path) -> None:
    bench, hub = hub_bench(tmp_path, server)
    bench.run(hub, chunk=2, cap_gb=1e-4, views_mb=0.001)
    sizes = [len(read_manifest(path)) for path in sorted((bench.out / "chunks").iterdir())]
    assert sum(sizes) == 10 and sizes[0] == 2 and sizes[-1] == 1


def test_an_object_too_large_for_the_cap_is_left_out(server: FakeHub, tmp_path: Path) -> None:
    server.files["glbs/000-000/c.glb"] = bytes(200_000)
    bench, hub = hub_bench(tmp_path, server)
    bench.run(hub, chunk=100, cap_gb=2e-4, views_mb=0.02)
    assert sorted(bench.packed()) == list("abdefghij")
    assert "its views are more than half of the disk cap" in bench.left_out()["c"]


def test_what_does_not_arrive_is_left_to_the_next_run(server: FakeHub, tmp_path: Path) -> None:
    server.faults["glbs/000-000/d.glb"].extend(["wrong", "503", "503"])
    bench, hub = hub_bench(tmp_path, server)
    assert list(bench.run(hub)) == ["d"]
    assert sorted(bench.packed()) == list("abcefghij")
    assert bench.run(hub) == {}
    assert sorted(bench.packed()) == list("abcdefghij") and bench.left_out() == {}


def test_a_hub_that_is_gone_stops_the_stream_after_the_chunk_in_hand(server: FakeHub, tmp_path: Path) -> None:
    server.files |= {f"glbs/000-000/more{number:02d}.glb": bytes([number]) for number in range(24)}
    bench, hub = hub_bench(tmp_path, server)
    for path in list(server.files)[3:]:
        server.faults[path].extend(["503"] * 3)
    with pytest.raises(HubUnreachable, match="did not deliver glbs/000-000/more"):
        bench.run(hub, chunk=3)
    assert bench.packed() == list("abc") == bench.listed()
    server.faults.clear()
    assert bench.run(hub, chunk=20) == {}
    assert len(bench.packed()) == len(set(bench.packed())) == 34


def test_as_a_command_the_stream_finds_the_hub_by_its_environment(server: FakeHub, tmp_path: Path) -> None:
    bench, _ = hub_bench(tmp_path, server)
    process = bench.start(HF_ENDPOINT=server.endpoint)
    assert process.wait() == 0
    assert sorted(bench.packed()) == list("abcdefghij")
    for marker in (bench.out / "chunks").iterdir():
        for line in marker.read_text().splitlines():
            assert set(json.loads(line)) == {"name", "file", "licence", "author", "address", "bytes", "sha256", "split"}
