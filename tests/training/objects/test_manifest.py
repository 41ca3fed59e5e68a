"""What is known of an object, as the stages hand it to each other."""

from pathlib import Path

import pytest

from training.json_lines import ListError
from training.objects.manifest import UNKNOWN, Origin, read_manifest, read_origins, split_of


def test_what_is_not_told_of_an_object_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"name": "a", "licence": null, "triangles": 7}\n')
    assert read_manifest(path) == [Origin(name="a")]
    assert (Origin(name="a").licence, Origin(name="a").author) == (UNKNOWN, UNKNOWN)


def test_an_object_of_a_repository_has_an_address_there(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(
        '[{"name": "a", "repository": "bo/lamps", "commit": "12", "path": "a.glb"}, {"name": "b", "address": "x"}]'
    )
    known = read_origins(path)
    assert (
        known["a"].address == "https://github.com/bo/lamps/blob/12/a.glb" and known["a"].place == "github.com/bo/lamps"
    )
    assert known["b"].address == known["b"].place == "x"
    assert Origin(name="c", address="https://models.example/c").place == "models.example"
    assert Origin(name="d", address="https://[half").place == "https://[half"
    path.write_text('[{"name": "a", "repository": ["bo"]}]')
    with pytest.raises(ListError, match=r"manifest\.json, entry 1: repository is no text"):
        read_origins(path)


def test_a_manifest_that_is_wanted_must_be_there(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "none.jsonl") == []
    with pytest.raises(ListError, match="none.jsonl is not there: give another manifest, or none"):
        read_origins(tmp_path / "none.jsonl")


def test_the_share_of_validation_objects_only_grows() -> None:
    names = [f"object{number}" for number in range(1000)]
    at_one_percent = {name for name in names if split_of(name, 0.01) == "val"}
    at_ten_percent = {name for name in names if split_of(name, 0.1) == "val"}
    assert at_one_percent < at_ten_percent
    assert all(split_of(name, 0.0) == "train" for name in names)
    assert all(split_of(name, 1.0) == "val" for name in names)
