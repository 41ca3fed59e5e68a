"""Known models fetched from a local server that answers as the hub does, with its faults: whole and checked, or not there."""

import dataclasses
import json
import os
import subprocess
import sys
import threading

import pytest

from lvsm_engine.errors import INSTALL_PACKAGES, Cancelled, CheckpointError, FetchError, OutputError
from lvsm_engine.known_models import fetched_path, known_model, recorded_sha256
from lvsm_engine.model.checkpoint import export_published, find_model_file, read_card
from lvsm_engine.model_fetching import Patience, fetch_model, remove_model
from tests.full_disk import no_file_larger_than
from tests.shared_data import ROOT
from tests.synthetic import lively_model
from tests.training.objects.fake_hub import FakeHub

NAME = "lact-objects-512"
MODEL = known_model(NAME)
HASTY = Patience(waits=(0.0, 0.0), silence=0.5)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A tiny file of the published kind."""
    path = tmp_path_factory.mktemp("published") / MODEL.file
    export_published(path, lively_model("fast_weights"))
    return path.read_bytes()


@pytest.fixture
def hub(content, tmp_path, monkeypatch):
    monkeypatch.setenv("LVSM_MODELS", str(tmp_path / "models"))
    with FakeHub({MODEL.file: content}, MODEL.repository, kind="") as server:
        yield server


def fetch(hub, **options):
    wanted = {"accepts_licence": True, "endpoint": hub.endpoint, "patience": HASTY, **options}
    return fetch_model(wanted.pop("name", NAME), **wanted)


def left_over():
    """What lies in the folder of models besides the lock, which holds nothing."""
    folder = fetched_path(MODEL).parent
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock") if folder.exists() else []


def part_bytes():
    (part,) = fetched_path(MODEL).parent.glob("*.part")
    return part.stat().st_size


def test_a_fetched_model_is_whole_recorded_and_found_by_its_name(hub, content):
    told = []
    fetched = fetch(hub, on_progress=told.append)
    assert fetched.path.read_bytes() == content and left_over() == [MODEL.file, f"{MODEL.file}.json"]
    assert recorded_sha256(fetched.path) == fetched.sha256 and fetched.bytes == len(content)
    record = json.loads(fetched.path.with_name(f"{MODEL.file}.json").read_text())
    assert record["accepted_licence"] == MODEL.licence and MODEL.repository in record["from"]
    assert find_model_file(NAME) == fetched.path and read_card(NAME)[1].resolution == 512
    assert told[0].fraction == 0 and told[-1].fraction == 1 and any("Fetching" in each.stage for each in told)


def test_what_is_there_is_not_fetched_again(hub):
    first = fetch(hub)
    assert fetch(hub) == first and hub.bodies[MODEL.file] == 1


def test_nothing_is_fetched_before_the_licence_is_accepted(hub):
    with pytest.raises(FetchError, match="was not accepted .*Objaverse"):
        fetch(hub, accepts_licence=False)
    assert left_over() == [] and hub.bodies[MODEL.file] == 0


def test_a_model_that_is_not_fetched_says_how_it_is(hub):
    with pytest.raises(CheckpointError, match=f"lvsm models get {NAME}") as caught:
        find_model_file(NAME)
    assert caught.value.remedy == "get_model"


def test_an_unknown_name_is_told_the_known_ones(hub):
    with pytest.raises(CheckpointError, match="No model is known by the name lact: choose one of default, lvsm-"):
        fetch(hub, name="lact")


@pytest.mark.parametrize("fault", ["503", "cut", "stall"])
def test_a_connection_that_breaks_is_taken_up_again(hub, content, fault):
    hub.faults[MODEL.file].append(fault)
    assert fetch(hub).path.read_bytes() == content
    if fault != "503":
        assert hub.ranges and 0 < hub.ranges[0][1] < len(content)


def test_a_hub_that_never_delivers_is_a_sentence_and_the_next_attempt_goes_on(hub, content):
    hub.faults[MODEL.file].extend(["cut"] + ["503"] * 3)
    with pytest.raises(FetchError, match=r"did not deliver lact-objects-512 \(status 503\): .* what came is kept"):
        fetch(hub)
    came = part_bytes()
    assert came > 0 and left_over() == [name for name in left_over() if name.endswith(".part")]
    assert fetch(hub).path.read_bytes() == content
    assert hub.ranges[-1] == (MODEL.file, came)


def test_a_cancelled_fetch_keeps_what_came_for_the_next(hub, content):
    answers = iter([False] * 2 + [True] * 9)
    with pytest.raises(Cancelled):
        fetch(hub, cancel=lambda: next(answers))
    came = part_bytes()
    assert 0 < came < len(content)
    assert fetch(hub).path.read_bytes() == content and hub.ranges[-1] == (MODEL.file, came)


def test_other_bytes_than_the_hub_says_are_thrown_away(hub, content):
    hub.faults[MODEL.file].append("wrong")
    with pytest.raises(FetchError, match=r"sent other bytes .* \(sha256 [0-9a-f]{12} for [0-9a-f]{12}\): try again"):
        fetch(hub)
    assert left_over() == []
    assert fetch(hub).path.read_bytes() == content


def test_a_size_that_is_not_true_is_a_sentence(hub, content):
    hub.head_faults[MODEL.file].extend(["longer"] * 9)
    with pytest.raises(FetchError, match=f"did not deliver .*{len(content)} bytes came of {len(content) + 1}"):
        fetch(hub)


def test_too_little_room_is_told_before_anything_comes(hub):
    hub.head_faults[MODEL.file].append("huge")
    with pytest.raises(FetchError, match="MB free, and lact-objects-512 needs 1000000000 MB more: make room"):
        fetch(hub)
    assert hub.bodies[MODEL.file] == 0


def test_a_disk_that_fills_up_keeps_what_came(hub, content):
    with (
        no_file_larger_than(len(content) // 2),
        pytest.raises(FetchError, match="cannot be written .* what came is kept"),
    ):
        fetch(hub)
    assert 0 < part_bytes() <= len(content) // 2
    assert fetch(hub).path.read_bytes() == content


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("gated", "is gated: ask for access there, and set HF_TOKEN"),
        ("gone", "is not on .*: it was moved or removed"),
        ("plain", "does not answer as the hub does .* check HF_ENDPOINT and the proxy"),
    ],
)
def test_a_refusal_is_a_sentence(hub, fault, sentence):
    hub.head_faults[MODEL.file].append(fault)
    with pytest.raises(FetchError, match=sentence):
        fetch(hub)
    assert left_over() == []


def test_a_file_that_was_renamed_is_a_sentence(hub):
    hub.files.clear()
    with pytest.raises(FetchError, match=f"has no file {MODEL.file} any more"):
        fetch(hub)


def test_a_repository_that_was_moved_is_followed(content, tmp_path, monkeypatch):
    monkeypatch.setenv("LVSM_MODELS", str(tmp_path))
    with FakeHub({MODEL.file: content}, "someone/else", kind="", moved_from=MODEL.repository) as server:
        assert fetch(server).path.read_bytes() == content


def test_no_network_is_a_sentence(hub):
    with pytest.raises(FetchError, match="did not deliver .*: try again later"):
        fetch(hub, endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (b"<!DOCTYPE html><html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "it is a pointer of Git LFS"),
        (b"nothing at all", "neither a safetensors file nor a published .pt"),
    ],
)
def test_what_is_no_model_is_thrown_away(hub, wrong, sentence):
    hub.files[MODEL.file] = wrong
    with pytest.raises(CheckpointError, match=sentence):
        fetch(hub)
    assert left_over() == []


def test_a_model_of_another_family_is_thrown_away(hub, tmp_path):
    export_published(tmp_path / "a.pt", lively_model("full"))
    hub.files[MODEL.file] = (tmp_path / "a.pt").read_bytes()
    with pytest.raises(CheckpointError, match="is of another family"):
        fetch(hub)
    assert left_over() == []


def test_two_downloads_at_once_are_one(hub, content):
    hub.faults[MODEL.file].append("stall")
    has_begun = threading.Event()
    results = []

    def first():
        results.append(fetch(hub, on_progress=lambda _: has_begun.set(), patience=Patience((0.0,), 3.0)))

    thread = threading.Thread(target=first)
    thread.start()
    assert has_begun.wait(20)
    with pytest.raises(FetchError, match="is being fetched by another program"):
        fetch(hub)
    hub.stalls.set()
    thread.join(60)
    assert results[0].path.read_bytes() == content and left_over() == [MODEL.file, f"{MODEL.file}.json"]


def test_a_folder_that_cannot_be_made_is_a_sentence(hub, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LVSM_MODELS", str(tmp_path / "file" / "models"))
    with pytest.raises(OutputError, match="cannot be made"):
        fetch(hub)


def lvsm(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "lvsm_engine.cli", "models", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_the_command_shows_the_licence_then_fetches_from_the_mirror(hub, content):
    refused = lvsm("get", NAME, HF_ENDPOINT=hub.endpoint)
    assert refused.returncode == 1 and "--accept-licence" in refused.stderr and "Objaverse" in refused.stdout
    done = lvsm("get", NAME, "--accept-licence", HF_ENDPOINT=hub.endpoint)
    assert done.returncode == 0, done.stderr
    sha256 = recorded_sha256(fetched_path(MODEL))
    assert fetched_path(MODEL).read_bytes() == content and sha256 in done.stdout
    assert f"fetched, sha256 {sha256[:12]}" in lvsm().stdout


def test_a_removed_model_leaves_nothing_and_can_be_fetched_again(hub, content):
    fetched = fetch(hub)
    (fetched.path.parent / f"{MODEL.file}.0123456789ab.part").write_bytes(b"half")
    done = lvsm("remove", NAME)
    assert done.returncode == 0 and f"{NAME} is removed" in done.stdout and left_over() == []
    assert fetch(hub) == fetched and remove_model(NAME) == len(content)
    refused = lvsm("remove", NAME)
    assert refused.returncode == 1 and "has not been fetched: there is nothing to remove" in refused.stderr
    assert "comes with the engine" in lvsm("remove", "default").stderr


def test_offline_mode_is_respected(hub):
    refused = lvsm("get", NAME, "--accept-licence", HF_ENDPOINT=hub.endpoint, HF_HUB_OFFLINE="1")
    assert refused.returncode == 1 and "HF_HUB_OFFLINE forbids" in refused.stderr and not hub.bodies


def test_a_proxy_that_does_not_answer_is_a_sentence(hub):
    refused = lvsm("get", NAME, "--accept-licence", HF_ENDPOINT="https://models.test", HTTPS_PROXY="http://127.0.0.1:9")
    assert refused.returncode == 1 and len(refused.stderr.strip().splitlines()) == 1
    assert "https://models.test did not deliver" in refused.stderr or "check HTTPS_PROXY" in refused.stderr


def test_without_huggingface_hub_a_sentence_says_what_to_install(hub):
    script = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from lvsm_engine.errors import FetchError\nfrom lvsm_engine.model_fetching import fetch_model\n"
        f"try: fetch_model({NAME!r}, accepts_licence=True)\nexcept FetchError as error: print(error.remedy, error)"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.startswith(INSTALL_PACKAGES), run.stderr
    assert "press Set Up Engine again, or run 'pip install huggingface_hub'" in run.stdout


def test_a_file_for_another_size_is_thrown_away(hub, monkeypatch):
    """A row whose file tells of another size than the row does."""
    from lvsm_engine.model_fetching import refuse_another_model

    path = fetch(hub).path
    with pytest.raises(CheckpointError, match="for pictures of another size"):
        refuse_another_model(path, dataclasses.replace(MODEL, height=256, width=256))
