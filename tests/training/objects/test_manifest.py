"""The file that the stages hand to each other."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.objects.manifest import (
    LONGEST_LINE,
    LeftOut,
    ObjectRecord,
    ObjectsError,
    append_lines,
    as_lines,
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


@pytest.mark.parametrize("line", ["", "{", "[]", "3", '{"name": "a"}', "[" * 100_000])
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "manifest.jsonl"
    append_lines(path, [record("a")])
    with open(path, "a") as file:
        file.write(line + "\n")
    with pytest.raises(ObjectsError, match="manifest.jsonl, line 2 is no ObjectRecord .*: make the file again"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [('"train"', '"test"', "split is 'test'"), ("3,", '"3",', "bytes is '3'"), ('"a"', "null", "name is None")],
)
def test_a_field_of_the_wrong_kind_is_named(tmp_path: Path, right: str, wrong: str, named: str) -> None:
    path = tmp_path / "manifest.jsonl"
    append_lines(path, [record("a")])
    path.write_text(path.read_text().replace(right, wrong, 1))
    with pytest.raises(ObjectsError, match=f"line 1 is no ObjectRecord .{named}.: make the file again"):
        read_manifest(path)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)), st.integers(0, 250), st.booleans())
def test_whatever_a_file_holds_it_is_read_or_refused_with_a_sentence(junk: bytes, place: int, replaces: bool) -> None:
    whole = as_lines([record("a")]).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.jsonl"
        path.write_bytes(whole[:place] + junk + whole[place + len(junk) * replaces :])
        try:
            assert all(isinstance(one, ObjectRecord) for one in read_manifest(path))
        except ObjectsError as error:
            assert str(path) in str(error)


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
