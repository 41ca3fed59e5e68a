"""A file is whole under its name, or it is not there."""

import os

import pytest

from lvsm_engine.errors import OutputError
from lvsm_engine.whole_files import write_bytes, write_whole


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
