"""The lists that the stages hand to each other, after crashes and from strangers."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.json_lines import MAX_LINE, ListError, append_lines, as_lines, read_lines, write_lines
from training.left_out import LeftOut
from training.objects.manifest import Origin


def origin(name: str, author: str = "Ana") -> Origin:
    return Origin(
        name=name,
        file=f"{name}.glb",
        licence="CC-BY-4.0",
        author=author,
        address="https://example.org/1",
        bytes=3,
        sha256="0" * 64,
        split="train",
    )


def test_values_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    values = [origin("a", 'J\u00fcrgen "J." O\u2028Brien\n'), origin("b")]
    append_lines(path, values[:1])
    append_lines(path, values[1:])
    assert read_lines(path, Origin) == values
    assert len(path.read_text().splitlines()) == 2
    write_lines(path, values[1:])
    assert read_lines(path, Origin) == values[1:]


def test_a_json_list_is_read_as_lines_are(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps([{"name": "a", "look": "scan"}, {"name": "b", "licence": "MIT-0"}], indent=1))
    assert read_lines(path, Origin) == [Origin(name="a"), Origin(name="b", licence="MIT-0")]


def test_where_there_is_no_file_there_are_no_values(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none.jsonl", Origin) == []
    append_lines(tmp_path / "none.jsonl", [])
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize("torn", [b'{"name": "c', b"x" * (MAX_LINE // 2)])
def test_a_line_that_a_crash_cut_off_is_not_counted_and_not_built_upon(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "manifest.jsonl"
    append_lines(path, [origin("a")])
    with open(path, "ab") as file:
        file.write(torn)
    assert read_lines(path, Origin) == [origin("a")]
    append_lines(path, [origin("b")])
    assert read_lines(path, Origin) == [origin("a"), origin("b")]


def test_a_last_line_that_lacks_nothing_but_its_end_counts(tmp_path: Path) -> None:
    path = tmp_path / "by_hand.jsonl"
    path.write_text('{"name": "a"}\n{"name": "b"}')
    assert [one.name for one in read_lines(path, Origin)] == ["a", "b"]
    append_lines(path, [origin("c")])
    assert [one.name for one in read_lines(path, Origin)] == ["a", "b", "c"]


def test_a_first_line_that_a_crash_cut_off_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b'{"name": ')
    append_lines(path, [origin("a")])
    assert read_lines(path, Origin) == [origin("a")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON .it is nested too deep"),
        ("[]", r"is \[\], where a JSON object is wanted"),
        ("3", "is 3, where a JSON object is wanted"),
        ('"a"', 'is "a", where a JSON object is wanted'),
        ("null", "is null, where a JSON object is wanted"),
        ("{}", "is no Origin .it has no name."),
        ('{"name": null}', "is no Origin .name is null."),
        ('{"name": 3}', "is no Origin .name is 3."),
        ('{"name": "b", "licence": ["MIT-0"]}', r"is no Origin .licence is \[.MIT-0.\]"),
        ('{"name": "b", "bytes": "3"}', 'is no Origin .bytes is "3".'),
        ('{"name": "b", "bytes": true}', "is no Origin .bytes is true."),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "manifest.jsonl"
    append_lines(path, [origin("a")])
    with open(path, "a") as file:
        file.write(line + "\n")
    with pytest.raises(ListError, match=rf"manifest\.jsonl, line 2 {words}.*: mend it, or make the list again"):
        read_lines(path, Origin)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"name": "a"}, 7]', "manifest.json, entry 2 is 7, where a JSON object is wanted"),
        ('[{"name": "a"}, {"name": {}}]', "manifest.json, entry 2 is no Origin .name is {}."),
        ('[{"name": "a"}', "manifest.json begins as a JSON list and is none .*line 1 column"),
        ("[" * 100_000, "manifest.json begins as a JSON list and is none .it is nested too deep"),
    ],
)
def test_an_entry_of_a_json_list_that_is_none_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(ListError, match=words):
        read_lines(path, Origin)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ListError, match="manifest.jsonl cannot be read"):
        read_lines(path, Origin)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)), st.integers(0, 250), st.booleans())
def test_whatever_a_file_holds_it_is_read_or_refused_with_a_sentence(junk: bytes, place: int, replaces: bool) -> None:
    whole = as_lines([origin("a")]).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.jsonl"
        path.write_bytes(whole[:place] + junk + whole[place + len(junk) * replaces :])
        try:
            assert all(isinstance(one, Origin) for one in read_lines(path, Origin))
        except ListError as error:
            assert str(path) in str(error)


def test_left_out_objects_are_read_from_any_list_that_names_stage_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "left_out.jsonl"
    path.write_text('{"name": "a", "stage": "render", "reason": "blank", "seconds": 3}\n')
    assert read_lines(path, LeftOut) == [LeftOut(name="a", stage="render", reason="blank")]
