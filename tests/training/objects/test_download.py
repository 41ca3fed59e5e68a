"""Downloads from a local server that behaves like the Hugging Face hub, and fails on purpose."""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lvsm_engine.digests import file_sha256
from tests.shared_data import ROOT
from tests.training.objects.fake_hub import FakeHub
from training.json_lines import read_lines, write_lines
from training.left_out import LEFT_OUT, LeftOut
from training.objects.candidates import Candidate, folder_candidates
from training.objects.download import LocalStore, download
from training.objects.hub import Hub, HubUnreachable, sweep
from training.objects.manifest import ObjectsError, read_manifest

NAMES = [f"{number:032x}" for number in range(6)]
PATIENCE = (0.01, 0.02)


def content_of(name: str) -> bytes:
    return random.Random(name).randbytes(300_000)


def path_of(name: str) -> str:
    return f"glbs/000-000/{name}.glb"


def candidate(name: str, split: str = "train") -> Candidate:
    return Candidate(
        name=name,
        location=path_of(name),
        licence="CC-BY-4.0",
        author="Ana",
        address=f"https://sketchfab.com/3d-models/{name}",
        split=split,
    )


@pytest.fixture
def server() -> Iterator[FakeHub]:
    with FakeHub({path_of(name): content_of(name) for name in NAMES}) as server:
        yield server


def fetch(server: FakeHub, out: Path, names: list[str] = NAMES, give_up_after: int = 20) -> dict[str, str]:
    hub = Hub(endpoint=server.endpoint, waits=PATIENCE)
    return download([candidate(name) for name in names], hub, out, workers=3, give_up_after=give_up_after)


def names_there(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.glb"))


def command(selection: Path, out: Path) -> list[str]:
    module = [sys.executable, "-m", "training.objects.download"]
    return [*module, "--selection", str(selection), "--out", str(out), "--workers", "2"]


def environment(server: FakeHub, seconds: int = 10) -> dict[str, str]:
    timeouts = {"HF_HUB_DOWNLOAD_TIMEOUT": str(seconds), "HF_HUB_ETAG_TIMEOUT": str(seconds)}
    return {**os.environ, "HF_ENDPOINT": server.endpoint, **timeouts}


def test_objects_arrive_whole_once_and_are_listed_with_all_that_is_known(server: FakeHub, tmp_path: Path) -> None:
    assert fetch(server, tmp_path) == {}
    assert names_there(tmp_path / "train") == NAMES
    records = read_manifest(tmp_path / "train" / "manifest.jsonl")
    for record, name in zip(records, NAMES, strict=True):
        content = content_of(name)
        assert (tmp_path / "train" / record.file).read_bytes() == content
        assert (record.name, record.bytes, record.sha256) == (name, 300_000, hashlib.sha256(content).hexdigest())
        assert (record.licence, record.author, record.split) == ("CC-BY-4.0", "Ana", "train")
        assert record.address == f"https://sketchfab.com/3d-models/{name}"
    assert set(server.bodies.values()) == {1}


def test_a_second_run_asks_for_nothing_that_is_there(server: FakeHub, tmp_path: Path) -> None:
    fetch(server, tmp_path, NAMES[:4])
    fetch(server, tmp_path)
    assert set(server.bodies.values()) == {1} and len(server.bodies) == 6
    assert [record.name for record in read_manifest(tmp_path / "train" / "manifest.jsonl")] == NAMES


def test_a_body_that_ends_early_is_asked_for_again(server: FakeHub, tmp_path: Path) -> None:
    server.faults[path_of(NAMES[0])].extend(["cut", "cut"])
    assert fetch(server, tmp_path, NAMES[:1]) == {}
    assert (tmp_path / "train" / f"{NAMES[0]}.glb").read_bytes() == content_of(NAMES[0])
    assert server.bodies[path_of(NAMES[0])] == 3


def test_a_large_body_that_ends_early_is_taken_up_where_it_broke(server: FakeHub, tmp_path: Path) -> None:
    content = random.Random("large").randbytes(24 << 20)
    server.files[path_of(NAMES[0])] = content
    server.faults[path_of(NAMES[0])].append("cut")
    assert fetch(server, tmp_path, NAMES[:1]) == {}
    assert (tmp_path / "train" / f"{NAMES[0]}.glb").read_bytes() == content
    assert server.ranges == [(path_of(NAMES[0]), 10 << 20)]


def test_a_busy_hub_is_asked_again(server: FakeHub, tmp_path: Path) -> None:
    server.list_faults.append("503")
    server.faults[path_of(NAMES[0])].extend(["503", "503"])
    assert fetch(server, tmp_path, NAMES[:2]) == {}
    assert server.bodies[path_of(NAMES[0])] == 3


def test_a_busy_hub_is_asked_again_for_a_file_s_head_too(server: FakeHub, tmp_path: Path) -> None:
    server.head_faults[path_of(NAMES[0])].append("503")
    assert fetch(server, tmp_path, NAMES[:1]) == {}


def test_an_address_that_is_no_hub_is_found_out(server: FakeHub, tmp_path: Path) -> None:
    server.head_faults[path_of(NAMES[0])].extend(["plain"] * 3)
    reasons = fetch(server, tmp_path, NAMES[:1])
    assert re.search(r"did not deliver .* \(Response from .* is missing the 'X-Repo-Commit'", reasons[NAMES[0]])


def test_what_the_hub_does_not_deliver_today_is_fetched_by_another_run(server: FakeHub, tmp_path: Path) -> None:
    server.faults[path_of(NAMES[1])].extend(["503"] * 3)
    missing = fetch(server, tmp_path)
    assert list(missing) == [NAMES[1]]
    assert f"did not deliver {path_of(NAMES[1])}" in missing[NAMES[1]] and "503" in missing[NAMES[1]]
    assert names_there(tmp_path / "train") == [name for name in NAMES if name != NAMES[1]]
    assert not (tmp_path / "train" / "left_out.jsonl").exists()
    assert fetch(server, tmp_path) == {}
    assert names_there(tmp_path / "train") == NAMES


def test_a_validation_object_that_never_arrives_does_not_keep_the_others_back(server: FakeHub, tmp_path: Path) -> None:
    server.faults[path_of(NAMES[0])].extend(["503"] * 100)
    selection = [candidate(NAMES[0], "val"), *map(candidate, NAMES[1:])]
    hub = Hub(endpoint=server.endpoint, waits=PATIENCE)
    for _ in range(2):
        assert list(download(selection, hub, tmp_path, workers=3)) == NAMES[:1]
        assert names_there(tmp_path / "train") == NAMES[1:]


def test_a_hub_that_delivers_nothing_stops_the_run_instead_of_blaming_the_objects(
    server: FakeHub, tmp_path: Path
) -> None:
    for name in NAMES:
        server.faults[path_of(name)].extend(["503"] * 3)
    with pytest.raises(HubUnreachable, match="did not deliver .* run again later"):
        fetch(server, tmp_path, give_up_after=len(NAMES))
    assert names_there(tmp_path / "train") == []
    assert fetch(server, tmp_path) == {}


def test_a_hub_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    hub = Hub(endpoint="http://127.0.0.1:9", waits=PATIENCE)
    with pytest.raises(HubUnreachable, match=r"http://127.0.0.1:9 did not deliver the list of files \(.*refused"):
        download([candidate(NAMES[0])], hub, tmp_path, workers=1)


def test_a_repository_that_does_not_exist_is_refused_at_once(server: FakeHub, tmp_path: Path) -> None:
    hub = Hub("allenai/objavers", endpoint=server.endpoint, waits=(60.0,))
    with pytest.raises(ObjectsError, match="refuses the list of files .status 404.: check HF_ENDPOINT, HF_TOKEN"):
        download([candidate(NAMES[0])], hub, tmp_path, workers=1)


def test_wrong_bytes_are_asked_for_again_and_never_get_the_object_s_name(server: FakeHub, tmp_path: Path) -> None:
    server.faults[path_of(NAMES[0])].append("wrong")
    assert fetch(server, tmp_path, NAMES[:1]) == {}
    assert (tmp_path / "train" / f"{NAMES[0]}.glb").read_bytes() == content_of(NAMES[0])
    server.faults[path_of(NAMES[1])].extend(["wrong"] * 3)
    assert fetch(server, tmp_path, NAMES[:2]) == {}
    assert names_there(tmp_path / "train") == NAMES[:1]
    (entry,) = read_lines(tmp_path / "train" / LEFT_OUT, LeftOut)
    assert (entry.name, entry.stage) == (NAMES[1], "download")
    assert f"{path_of(NAMES[1])} came with sha256" in entry.reason


def test_an_object_that_the_hub_does_not_have_is_left_out_by_name(server: FakeHub, tmp_path: Path) -> None:
    del server.files[path_of(NAMES[2])]
    assert fetch(server, tmp_path) == {}
    assert read_lines(tmp_path / "train" / LEFT_OUT, LeftOut) == [
        LeftOut(name=NAMES[2], stage="download", reason=f"{path_of(NAMES[2])} is not there")
    ]


def test_content_that_is_there_under_another_name_is_not_fetched_again(server: FakeHub, tmp_path: Path) -> None:
    server.files[path_of(NAMES[4])] = server.files[path_of(NAMES[1])]
    fetch(server, tmp_path, NAMES[:3])
    fetch(server, tmp_path)
    assert NAMES[4] not in names_there(tmp_path / "train") and path_of(NAMES[4]) not in server.bodies
    (entry,) = read_lines(tmp_path / "train" / LEFT_OUT, LeftOut)
    assert (entry.name, entry.reason) == (NAMES[4], f"the same content as {NAMES[1]}")


def test_of_two_equal_objects_the_one_for_validation_is_kept(server: FakeHub, tmp_path: Path) -> None:
    server.files[path_of(NAMES[0])] = server.files[path_of(NAMES[1])]
    selection = [candidate(NAMES[0], "train"), candidate(NAMES[1], "val")]
    download(selection, Hub(endpoint=server.endpoint, waits=PATIENCE), tmp_path, workers=1)
    assert (names_there(tmp_path / "train"), names_there(tmp_path / "val")) == ([], [NAMES[1]])


def test_a_file_that_someone_else_left_under_the_name_is_not_trusted(server: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / f"{NAMES[0]}.glb").write_bytes(b"half of it")
    fetch(server, tmp_path, NAMES[:1])
    assert (tmp_path / "train" / f"{NAMES[0]}.glb").read_bytes() == content_of(NAMES[0])


def test_an_object_whose_file_was_removed_is_fetched_again_and_listed_once(server: FakeHub, tmp_path: Path) -> None:
    fetch(server, tmp_path, NAMES[:2])
    (tmp_path / "train" / f"{NAMES[0]}.glb").unlink()
    fetch(server, tmp_path, NAMES[:2])
    assert names_there(tmp_path / "train") == NAMES[:2]
    assert sorted(record.name for record in read_manifest(tmp_path / "train" / "manifest.jsonl")) == NAMES[:2]


def test_a_stalled_connection_is_given_up_and_taken_up_again(server: FakeHub, tmp_path: Path) -> None:
    selection = tmp_path / "selection.jsonl"
    write_lines(selection, [candidate(name) for name in NAMES[:2]])
    server.list_faults.append("stall")
    server.faults[path_of(NAMES[0])].append("stall")
    run = subprocess.run(
        command(selection, tmp_path / "out"), cwd=ROOT, env=environment(server, 1), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert server.bodies[path_of(NAMES[0])] == 2
    assert (tmp_path / "out" / "train" / f"{NAMES[0]}.glb").read_bytes() == content_of(NAMES[0])


def test_a_run_that_is_killed_leaves_only_whole_objects_and_the_next_one_fetches_the_rest(
    server: FakeHub, tmp_path: Path
) -> None:
    selection, folder = tmp_path / "selection.jsonl", tmp_path / "out" / "train"
    write_lines(selection, [candidate(name) for name in NAMES])
    server.faults[path_of(NAMES[4])].append("stall")
    process = subprocess.Popen(
        command(selection, tmp_path / "out"), cwd=ROOT, env=environment(server), stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while len(names_there(folder)) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert names_there(folder) == [name for name in NAMES if name != NAMES[4]]
    assert all((folder / f"{name}.glb").read_bytes() == content_of(name) for name in names_there(folder))
    assert list(folder.glob(".incoming-*"))
    server.bodies.clear()
    subprocess.run(command(selection, tmp_path / "out"), cwd=ROOT, env=environment(server), check=True)
    assert dict(server.bodies) == {path_of(NAMES[4]): 1}
    assert [record.name for record in read_manifest(folder / "manifest.jsonl")] == NAMES
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(f"{name}.glb" for name in NAMES), "manifest.jsonl"]
    )


def test_a_disk_that_is_full_stops_the_run_with_a_sentence(server: FakeHub, tmp_path: Path) -> None:
    selection = tmp_path / "selection.jsonl"
    write_lines(selection, [candidate(name) for name in NAMES])
    # A limit on a file's size is the nearest thing to a full disk that a test may make.
    limited = [
        "bash",
        "-c",
        'trap "" XFSZ; ulimit -f 100; exec "$@"',
        "limited",
        *command(selection, tmp_path / "out"),
    ]
    run = subprocess.run(limited, cwd=ROOT, env=environment(server), capture_output=True, text=True)
    assert run.returncode == 2
    assert "cannot be written" in run.stderr and "make room on the disk, then run again" in run.stderr


def test_sweeping_removes_only_what_was_on_its_way(tmp_path: Path) -> None:
    (tmp_path / ".incoming-abc").mkdir()
    (tmp_path / "whole.glb").touch()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.glb"]


def test_a_folder_of_objects_becomes_the_same_manifest_without_a_copy(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    for name in ("chair", "lamp"):
        (source / f"{name}.glb").write_bytes(content_of(name))
    stated = [
        {"file": f"{name}.glb", "licence": "CC0-1.0", "author": "Bo", "split": "val"} for name in ("chair", "lamp")
    ]
    (source / "manifest.json").write_text(json.dumps(stated))
    assert download(list(folder_candidates(source)), LocalStore(), out, workers=2) == {}
    records = read_manifest(out / "val" / "manifest.jsonl")
    assert [record.name for record in records] == ["chair", "lamp"]
    for record in records:
        link = out / "val" / record.file
        assert link.is_symlink() and link.resolve() == (source / record.file).resolve()
        assert record.sha256 == file_sha256(link)
        assert (record.licence, record.author, record.split) == ("CC0-1.0", "Bo", "val")
