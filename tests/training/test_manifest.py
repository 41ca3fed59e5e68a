"""The file that the stages hand to each other."""

from pathlib import Path

import pytest

from training.manifest import (
    LONGEST_LINE,
    LeftOut,
    ObjectRecord,
    ObjectsError,
    append_lines,
    read_left_out,
    read_manifest,
    split_of,
    write_lines,
)


def record(name: str, author: str = "Ana") -> ObjectRecord:
    return ObjectRecord(
        name=name,
        file=f"{name}.glb",
        licence="CC-BY-4.0",
        author=author,
        address="https://example.org/1",
        bytes=3,
        sha256="0" * 64,
        split="train",
    )


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    records = [record("a", 'Jürgen "J." O\u2028Brien\n'), record("b")]
    append_lines(path, records[:1])
    append_lines(path, records[1:])
    assert read_manifest(path) == records
    assert len(path.read_text().splitlines()) == 2
    write_lines(path, records[1:])
    assert read_manifest(path) == records[1:]


def test_where_there_is_no_file_there_are_no_records(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "none.jsonl") == read_left_out(tmp_path / "none.jsonl") == []
    append_lines(tmp_path / "none.jsonl", [])
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize("torn", [b'{"name": "c', b"x" * (LONGEST_LINE // 2)])
def test_a_line_that_a_crash_cut_off_is_not_counted_and_not_built_upon(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "manifest.jsonl"
    append_lines(path, [record("a")])
    with open(path, "ab") as file:
        file.write(torn)
    assert read_manifest(path) == [record("a")]
    append_lines(path, [record("b")])
    assert read_manifest(path) == [record("a"), record("b")]


def test_a_first_line_that_a_crash_cut_off_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b'{"name": ')
    append_lines(path, [record("a")])
    assert read_manifest(path) == [record("a")]


@pytest.mark.parametrize("line", ["", "{", "[]", "3", '{"name": "a"}', '{"name": "a", "file": 1}'])
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "manifest.jsonl"
    append_lines(path, [record("a")])
    with open(path, "a") as file:
        file.write(line + "\n")
    with pytest.raises(ObjectsError, match="manifest.jsonl, line 2 is no ObjectRecord .*: make the file again"):
        read_manifest(path)


def test_a_split_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    append_lines(path, [record("a")])
    path.write_text(path.read_text().replace('"train"', '"test"'))
    with pytest.raises(ObjectsError, match="line 1: split is 'test': it must be one of train, val"):
        read_manifest(path)


def test_left_out_objects_are_read_from_any_list_that_names_stage_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    path.write_text('{"name": "a", "stage": "render", "reason": "blank", "stderr": "..."}\n')
    assert read_left_out(path) == [LeftOut(name="a", stage="render", reason="blank")]


def test_the_share_of_validation_objects_only_grows(tmp_path: Path) -> None:
    names = [f"object{number}" for number in range(1000)]
    at_one_percent = {name for name in names if split_of(name, 0.01) == "val"}
    at_ten_percent = {name for name in names if split_of(name, 0.1) == "val"}
    assert at_one_percent < at_ten_percent
    assert all(split_of(name, 0.0) == "train" for name in names)
    assert all(split_of(name, 1.0) == "val" for name in names)
