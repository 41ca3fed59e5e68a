"""Choosing from Objaverse's lists, served as the hub serves them, and from folders."""

import dataclasses
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.shared_data import ROOT
from tests.training.objects.fake_hub import FakeHub
from training.objects.candidates import Candidate, folder_candidates, objaverse_candidates
from training.objects.download import read_selection
from training.objects.hub import Hub
from training.objects.manifest import ObjectsError, split_of
from training.objects.select import Options, choose, main

OWL, BARREL, ROBOT, CHAIR = (letter * 32 for letter in "abcd")


def annotation(uid: str, **changes: Any) -> dict[str, Any]:
    """In the form of Objaverse 1.0's own, less what nobody reads."""
    entry = {
        "uid": uid,
        "name": "Thing",
        "viewerUrl": f"https://sketchfab.com/3d-models/{uid}",
        "user": {"username": "ana", "displayName": "Ana Ionescu", "profileUrl": "https://sketchfab.com/ana"},
        "faceCount": 14608,
        "animationCount": 0,
        "archives": {"glb": {"faceCount": 14337, "size": 1546940, "type": "glb"}, "source": {"faceCount": None}},
        "license": "by",
    }
    return entry | changes


def packed(value: object) -> bytes:
    return gzip.compress(json.dumps(value).encode())


@pytest.fixture
def server() -> Iterator[FakeHub]:
    first = {
        OWL: annotation(OWL),
        BARREL: annotation(BARREL, license="by-nc-sa", user={"username": "bob"}),
        "e" * 32: annotation("e" * 32),  # annotated, but not among the objects
    }
    second = {
        ROBOT: annotation(ROBOT, animationCount=2, archives={"glb": {"faceCount": 500000, "size": 90_000_000}}),
        CHAIR: annotation(CHAIR, license=None, archives=None, faceCount=None, animationCount=None),
    }
    files = {
        "object-paths.json.gz": packed(
            {
                OWL: f"glbs/000-000/{OWL}.glb",
                BARREL: f"glbs/000-000/{BARREL}.glb",
                ROBOT: f"glbs/000-007/{ROBOT}.glb",
                CHAIR: f"glbs/000-007/{CHAIR}.glb",
            }
        ),
        "lvis-annotations.json.gz": packed({"owl": [OWL], "robot": [ROBOT, "f" * 32]}),
        "metadata/000-000.json.gz": packed(first),
        "metadata/000-007.json.gz": packed(second),
    }
    with FakeHub(files) as server:
        yield server


def candidates_of(server: FakeHub, lists: Path, names: set[str] | None = None) -> dict[str, Candidate]:
    hub = Hub(endpoint=server.endpoint, waits=(0.01,))
    return {candidate.name: candidate for candidate in objaverse_candidates(hub, lists, names)}


def chosen(
    server: FakeHub, tmp_path: Path, names: set[str] | None = None, **choice: Any
) -> tuple[set[str], dict[str, int]]:
    options = Options(out=tmp_path / "selection.jsonl", **choice)
    found, refused = choose(candidates_of(server, tmp_path / "lists").values(), options, names)
    return {candidate.name for candidate in found}, dict(refused)


def test_objaverse_s_lists_say_whose_an_object_is_and_what_it_is_like(server: FakeHub, tmp_path: Path) -> None:
    found = candidates_of(server, tmp_path)
    assert set(found) == {OWL, BARREL, ROBOT, CHAIR}
    assert found[OWL] == Candidate(
        name=OWL,
        location=f"glbs/000-000/{OWL}.glb",
        licence="CC-BY-4.0",
        author="Ana Ionescu",
        address=f"https://sketchfab.com/3d-models/{OWL}",
        bytes=1546940,
        faces=14337,
        animations=0,
        category="owl",
    )
    assert (found[BARREL].licence, found[BARREL].author) == ("CC-BY-NC-SA-4.0", "bob")
    assert (found[ROBOT].faces, found[ROBOT].animations, found[ROBOT].category) == (500000, 2, "robot")
    assert (found[CHAIR].licence, found[CHAIR].bytes, found[CHAIR].faces) == ("unknown", None, None)


def test_lists_are_fetched_once_and_only_where_they_are_needed(server: FakeHub, tmp_path: Path) -> None:
    assert set(candidates_of(server, tmp_path, {OWL})) == {OWL}
    assert "metadata/000-007.json.gz" not in server.bodies
    candidates_of(server, tmp_path)
    candidates_of(server, tmp_path)
    assert set(server.bodies.values()) == {1} and len(server.bodies) == 4


def test_the_objaverse_package_reads_the_lists_where_they_are_kept_and_says_the_same(
    server: FakeHub, tmp_path: Path
) -> None:
    lists = tmp_path / ".objaverse" / "hf-objaverse-v1"
    found = candidates_of(server, lists)
    script = f"""
import json, objaverse
annotations = objaverse.load_annotations(["{OWL}", "{ROBOT}"])
print(json.dumps([objaverse.load_uids(), objaverse.load_lvis_annotations(), annotations, objaverse._load_object_paths()]))
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    uids, lvis, annotations, paths = json.loads(run.stdout)
    assert set(uids) == set(found)
    assert lvis["owl"] == [OWL] and annotations[OWL] == annotation(OWL)
    assert paths == {name: candidate.location for name, candidate in found.items()}


def test_a_list_that_arrives_damaged_is_not_kept(server: FakeHub, tmp_path: Path) -> None:
    server.faults["object-paths.json.gz"].extend(["cut", "wrong"])
    assert len(candidates_of(server, tmp_path)) == 4


def test_a_list_that_someone_damaged_is_named(server: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "object-paths.json.gz").write_bytes(b"no gzip")
    with pytest.raises(ObjectsError, match="object-paths.json.gz cannot be read .* delete it, it is fetched anew"):
        candidates_of(server, tmp_path)


@pytest.mark.parametrize(
    ("choice", "names", "reasons"),
    [
        ({}, {OWL, ROBOT}, {"licence CC-BY-NC-SA-4.0": 1, "licence unknown": 1}),
        ({"licences": ("any",)}, {OWL, BARREL, ROBOT, CHAIR}, {}),
        ({"licences": ("CC-BY-NC-SA-4.0",)}, {BARREL}, {"licence CC-BY-4.0": 2, "licence unknown": 1}),
        ({"licences": ("any",), "lvis": True}, {OWL, ROBOT}, {"no category of LVIS": 2}),
        ({"licences": ("any",), "still": True}, {OWL, BARREL}, {"animated": 1, "animations not known": 1}),
        ({"licences": ("any",), "max_faces": 14337}, {OWL, BARREL}, {"too many faces": 1, "faces not known": 1}),
        ({"licences": ("any",), "min_faces": 14338}, {ROBOT}, {"too few faces": 2, "faces not known": 1}),
        ({"licences": ("any",), "max_mb": 89.0}, {OWL, BARREL}, {"too many bytes": 1, "bytes not known": 1}),
    ],
)
def test_each_filter_leaves_out_what_it_says(
    server: FakeHub, tmp_path: Path, choice: dict[str, Any], names: set[str], reasons: dict[str, int]
) -> None:
    assert chosen(server, tmp_path, **choice) == (names, reasons)


def test_a_list_of_names_keeps_only_those(server: FakeHub, tmp_path: Path) -> None:
    assert chosen(server, tmp_path, {OWL, CHAIR}, licences=("any",)) == ({OWL, CHAIR}, {"not in the list": 2})


@pytest.mark.parametrize("name", ["", "..", "../outside", "a\\b"])
def test_a_name_that_would_lead_out_of_its_folder_is_refused(name: str) -> None:
    with pytest.raises(ObjectsError, match="cannot be an object's name"):
        Candidate(name=name, location="x", licence="CC0-1.0", author="a", address="b")


def many(count: int) -> list[Candidate]:
    plain = Candidate(name="object", location="x", licence="CC0-1.0", author="a", address="b")
    return [dataclasses.replace(plain, name=f"object{number}") for number in range(count)]


def test_splits_and_order_depend_on_the_names_alone(tmp_path: Path) -> None:
    options = Options(out=tmp_path, validation_share=0.1)
    found, _ = choose(many(2000), options, None)
    again, _ = choose(reversed(many(1000)), options, None)
    splits = {candidate.name: candidate.split for candidate in found}
    assert 150 < sum(split == "val" for split in splits.values()) < 250
    assert all(splits[candidate.name] == candidate.split == split_of(candidate.name, 0.1) for candidate in again)
    order = [candidate.name for candidate in found if candidate in again]
    assert order == [candidate.name for candidate in again]


def test_a_smaller_limit_keeps_a_part_of_what_a_larger_one_keeps(tmp_path: Path) -> None:
    options = Options(out=tmp_path, validation_share=0.1, limit=50, limit_val=5)
    few, refused = choose(many(2000), options, None)
    more, _ = choose(many(2000), dataclasses.replace(options, limit=100, limit_val=None), None)
    assert [candidate.split for candidate in few].count("train") == 50
    assert len(few) == 55 and refused == {"over the limit": 1945}
    assert set(few) < set(more)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A folder of objects in splits, one of them of the collection's own, with its manifest."""
    folder = tmp_path / "collection"
    entries = []
    for split, names in (("train", ("table", "chair")), ("val", ("lamp",)), ("demo", ("car",))):
        (folder / split).mkdir(parents=True)
        for name in names:
            (folder / split / f"{name}.glb").write_bytes(b"glTF")
            entry = {"name": name, "file": f"{split}/{name}.glb", "split": split, "licence": "MIT-0", "author": "Bo"}
            origin = {"repository": "bo/things", "commit": "d80a654", "path": f"{name}.gltf", "triangles": 12}
            entries.append(entry | origin)
    (folder / "manifest.json").write_text(json.dumps(entries))
    return folder


def test_a_folder_s_manifest_says_whose_its_objects_are(collection: Path) -> None:
    found = {candidate.name: candidate for candidate in folder_candidates(collection / "train")}
    assert set(found) == {"table", "chair"}
    table = found["table"]
    assert (table.licence, table.author, table.split) == ("MIT-0", "Bo", "train")
    assert table.address == "https://github.com/bo/things/blob/d80a654/table.gltf"
    assert table.faces == 12 and table.bytes == Path(table.location).stat().st_size == 4


def test_a_split_of_its_own_keeps_an_object_out_of_both(collection: Path, tmp_path: Path) -> None:
    found, refused = choose(folder_candidates(collection), Options(out=tmp_path), None)
    assert {one.name: one.split for one in found} == {"table": "train", "chair": "train", "lamp": "val"}
    assert refused == {"its source has it in a split of its own, demo": 1}


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ('[{"file": "one.glb"}, 7]', "entry 2 is 7, where a JSON object is wanted"),
        ('[{"file": 7}]', 'entry 1 names no "file"'),
        ('[{"file": "one.glb", "licence": 5}]', "entry 1 is no Candidate .licence is 5."),
        ('[{"file": "one.glb", "triangles": "many"}]', 'entry 1 is no Candidate .faces is "many".'),
        ('[{"file": "one.glb", "repository": 5}]', "entry 1: repository is no text"),
        ("[" * 100_000, "begins as a JSON list and is none"),
        ('{"objects": []}', 'line 1 names no "file"'),
    ],
)
def test_a_folder_s_manifest_of_wrong_shapes_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], manifest: str, words: str
) -> None:
    (tmp_path / "one.glb").touch()
    (tmp_path / "manifest.json").write_text(manifest)
    assert main(Options(out=tmp_path / "selection.jsonl", source=tmp_path)) == 2
    said = capsys.readouterr().err.strip()
    assert re.search(rf"manifest\.json,? {words}", said) and len(said.splitlines()) == 1


def test_an_object_under_two_licences_needs_both(tmp_path: Path) -> None:
    both = dataclasses.replace(many(1)[0], licence="CC-BY-4.0 AND CC0-1.0")
    assert choose([both], Options(out=tmp_path), None)[0]
    assert not choose([both], Options(out=tmp_path, licences=("CC0-1.0",)), None)[0]


def test_a_folder_without_a_manifest_must_be_wanted_without_licences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "objects" / "deeper").mkdir(parents=True)
    (tmp_path / "objects" / "deeper" / "mine.glb").write_bytes(b"glTF")
    options = Options(out=tmp_path / "selection.jsonl", source=tmp_path / "objects")
    assert main(options) == 2
    streams = capsys.readouterr()
    assert "1 left out: licence unknown" in streams.out and "No object passes" in streams.err
    options = dataclasses.replace(options, licences=("unknown",))
    assert main(options) == 2 and not options.out.exists()
    assert "No object is left to validate on: change --validation-share, which is 0.01" in capsys.readouterr().err
    assert main(dataclasses.replace(options, validation_share=1.0, limit=None)) == 0
    assert main(dataclasses.replace(options, limit_val=0)) == 0
    (mine,) = read_selection(options.out)
    assert (mine.name, mine.licence, mine.address) == ("mine", "unknown", Path(mine.location).as_uri())


def test_folders_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    with pytest.raises(ObjectsError, match="has no .glb files: give the folder that holds them"):
        list(folder_candidates(tmp_path))
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "same.glb").touch()
    with pytest.raises(ObjectsError, match="two/same.glb and .*one/same.glb have one name: rename one of them"):
        list(folder_candidates(tmp_path))


THING = "0" * 31 + "1"


def whole_lists(**changes: bytes) -> dict[str, bytes]:
    """The hub's lists of one object; changes: by "paths", "metadata" or "lvis"."""
    lists = {
        "paths": packed({THING: f"glbs/000-000/{THING}.glb"}),
        "metadata": packed({THING: annotation(THING)}),
        "lvis": packed({"thing": [THING]}),
    } | changes
    names = {
        "paths": "object-paths.json.gz",
        "metadata": "metadata/000-000.json.gz",
        "lvis": "lvis-annotations.json.gz",
    }
    return {names[key]: content for key, content in lists.items()}


HOSTILE_LISTS = {
    "paths is a list": {"paths": packed([1, 2])},
    "paths is null": {"paths": packed(None)},
    "a path in no folder": {"paths": packed({THING: "x.glb"})},
    "a path is a number": {"paths": packed({THING: 5})},
    "a path leads out": {"paths": packed({THING: "glbs/../../x.glb"})},
    "a name leads out": {
        "paths": packed({"../escaped": "glbs/000-000/x.glb"}),
        "metadata": packed({"../escaped": annotation(THING)}),
    },
    "a name with a NUL": {
        "paths": packed({"a\0b": "glbs/000-000/x.glb"}),
        "metadata": packed({"a\0b": annotation(THING)}),
    },
    "a name of 5000 letters": {
        "paths": packed({"n" * 5000: "glbs/000-000/x.glb"}),
        "metadata": packed({"n" * 5000: annotation(THING)}),
    },
    "metadata is a list": {"metadata": packed([1])},
    "an annotation is a number": {"metadata": packed({THING: 7})},
    "user is text": {"metadata": packed({THING: annotation(THING, user="x")})},
    "archives is a list": {"metadata": packed({THING: annotation(THING, archives=[1])})},
    "licence is a list": {"metadata": packed({THING: annotation(THING, license=["by"])})},
    "faces are text": {"metadata": packed({THING: annotation(THING, archives={"glb": {"faceCount": "many"}})})},
    "lvis is a list": {"lvis": packed([1])},
    "a category is a number": {"lvis": packed({"thing": 1})},
    "no gzip": {"paths": b"hello"},
    "half a gzip": {"paths": packed({THING: "x"})[:20]},
    "nested too deep": {"paths": gzip.compress(b"[" * 1_000_000)},
}


@pytest.mark.parametrize("changes", HOSTILE_LISTS.values(), ids=HOSTILE_LISTS.keys())
def test_lists_of_wrong_shapes_from_a_hub_are_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, bytes]
) -> None:
    for name, content in whole_lists(**changes).items():
        path = tmp_path / "lists" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert main(Options(out=tmp_path / "selection.jsonl", lists=tmp_path / "lists", limit_val=0)) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and len(said) < 1000
    assert "lists/" in said, "the file is named"
    assert not (tmp_path / "selection.jsonl").exists()


def test_null_in_a_list_of_the_hub_is_as_good_as_nothing(tmp_path: Path) -> None:
    nothing = annotation(THING, user=None, archives=None, faceCount=None, license=None, viewerUrl=None)
    with FakeHub(whole_lists(metadata=packed({THING: nothing}))) as hub:
        (found,) = candidates_of(hub, tmp_path).values()
    assert (found.licence, found.author, found.faces) == ("unknown", "unknown", None)


def test_the_command_writes_what_it_chose_and_counts_what_it_did_not(server: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(f"{OWL}\n\n{BARREL}\n")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "training.objects.select", "--out", "selection.jsonl"),
            *("--list", "names.txt", "--lists", "lists", "--validation-share", "0"),
        ],
        cwd=tmp_path,
        env={**os.environ, "HF_ENDPOINT": server.endpoint, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "1 left out: licence CC-BY-NC-SA-4.0" in run.stdout
    assert "1 chosen: 1 to train on, 0 to validate on" in run.stdout
    (owl,) = read_selection(tmp_path / "selection.jsonl")
    assert (owl.name, owl.split) == (OWL, "train")
