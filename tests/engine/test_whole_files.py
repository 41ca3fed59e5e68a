"""A file is whole under its name, or it is not there."""

import os
import stat
import subprocess
import sys

import pytest

from lvsm_engine.errors import OutputError
from lvsm_engine.whole_files import PART, check_folder, write_bytes, write_whole
from tests.shared_data import ROOT


def test_a_file_is_written_over_what_stood_there(tmp_path):
    path = tmp_path / "Jos\u00e9 \u0434.json"
    for content in (b"first", b"second"):
        write_bytes(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), RuntimeError("a bug")])
def test_a_failure_leaves_what_stood_there_and_nothing_else(tmp_path, error):
    path = tmp_path / "model"
    path.write_bytes(b"old")

    def fail_half_way(part):
        part.write_bytes(b"ne")
        raise error

    expected = OutputError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as caught:
        write_whole(path, fail_half_way)
    if expected is OutputError:
        assert (
            str(caught.value)
            == f"{path} cannot be written (No space left on device): free space or choose another folder."
        )
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


def test_two_who_write_one_path_at_once_both_end_well(tmp_path):
    """The second begins and ends while the first one is half way."""
    path = tmp_path / "0002.png"

    def write_slowly(part):
        part.write_bytes(b"fir")
        write_bytes(path, b"second")
        assert path.read_bytes() == b"second"
        with open(part, "ab") as file:
            file.write(b"st")

    write_whole(path, write_slowly)
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["0002.png"]


WRITER = """
import sys
from lvsm_engine.whole_files import write_bytes
for _ in range(30):
    write_bytes(sys.argv[1], sys.argv[2].encode() * 300_000)
"""


def test_two_processes_that_write_one_path_leave_it_whole(tmp_path):
    path = tmp_path / "file"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, letter], cwd=ROOT, stderr=subprocess.PIPE) for letter in "AB"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            content = path.read_bytes()
            seen.add((len(content), len(set(content))))
    assert [(writer.wait(), writer.stderr.read()) for writer in writers] == [(0, b""), (0, b"")]
    assert seen == {(300_000, 1)}
    assert os.listdir(tmp_path) == ["file"]


def test_the_temporary_file_is_a_new_one_and_is_known_by_its_ending(tmp_path):
    """Someone else's link at a name that could be guessed is not followed, and readers are not kept out."""
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "model.part").symlink_to(tmp_path / "victim")
    names = []
    write_whole(tmp_path / "model", lambda part: names.append(part.name) or part.write_bytes(b"new"))
    write_whole(tmp_path / "model", lambda part: names.append(part.name) or part.write_bytes(b"newer"))
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert names[0] != names[1] and all(name.startswith("model.") and name.endswith(PART) for name in names)
    (tmp_path / "plain").write_bytes(b"")
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"old")
    for name, target in (("link", "elsewhere"), ("dead link", "nowhere")):
        (tmp_path / name).symlink_to(tmp_path / target)
        write_bytes(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new" and not (tmp_path / name).is_symlink()
    assert (tmp_path / "elsewhere").read_bytes() == b"old" and not (tmp_path / "nowhere").exists()


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/dev/null")
    for name, words in (("pipe", "a device, a pipe"), ("link", "a device, a pipe"), ("folder", "a folder")):
        with pytest.raises(OutputError, match=f"{name}: it is {words}.*would be replaced: choose"):
            write_bytes(tmp_path / name, b"new")
    assert sorted(os.listdir(tmp_path)) == ["folder", "link", "pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and (tmp_path / "link").is_symlink()


def test_a_folder_that_cannot_be_is_told_before_the_work(tmp_path):
    check_folder(tmp_path / "new" / "below")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is no folder"):
        check_folder(tmp_path / "file" / "below")
