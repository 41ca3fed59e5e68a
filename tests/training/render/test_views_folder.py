"""The folder that views arrive in, after crashes and beside other runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from training.json_lines import ListError
from training.left_out import LEFT_OUT, LeftOut
from training.render.__main__ import Options, main
from training.render.views_folder import ViewsFolder, ViewsFolderError


def test_what_was_delivered_or_left_out_is_known_to_the_next_run(tmp_path: Path) -> None:
    left_out = LeftOut(name="lamp", stage="render", reason="took longer than 1 s", stderr="last words")
    with ViewsFolder(tmp_path / "new" / "views") as folder:
        folder.deliver("chair", b"views")
        folder.leave_out(left_out)
        assert "chair" in folder and "lamp" in folder and "table" not in folder
    with ViewsFolder(tmp_path / "new" / "views") as folder:
        assert "chair" in folder and "lamp" in folder and "table" not in folder
        assert folder.left_out == [left_out]


def test_a_half_written_file_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    (tmp_path / "chair.npz.part").write_bytes(b"vie")
    with ViewsFolder(tmp_path) as folder:
        assert "chair" not in folder
        folder.deliver("chair", b"views")
    assert (tmp_path / "chair.npz").read_bytes() == b"views" and not list(tmp_path.glob("*.part"))


def test_a_left_out_object_whose_line_was_cut_by_a_crash_is_forgotten(tmp_path: Path) -> None:
    with ViewsFolder(tmp_path) as folder:
        folder.leave_out(LeftOut(name="lamp", stage="render", reason="one"))
        folder.leave_out(LeftOut(name="chair", stage="render", reason="two"))
    torn = (tmp_path / LEFT_OUT).read_bytes()[:-5]
    (tmp_path / LEFT_OUT).write_bytes(torn)
    with ViewsFolder(tmp_path) as folder:
        assert "lamp" in folder and "chair" not in folder
        folder.leave_out(LeftOut(name="chair", stage="render", reason="three"))
    assert [one.reason for one in ViewsFolder(tmp_path).left_out] == ["one", "three"]


def test_a_list_of_left_out_objects_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / LEFT_OUT).write_text('{"name": "lamp", "stage": "render", "reason": "one", "stderr": ""}\nnonsense\n')
    with pytest.raises(ListError, match=r"left_out\.jsonl, line 2 is no JSON"):
        ViewsFolder(tmp_path)


def test_two_runs_at_once_in_one_folder_are_refused(tmp_path: Path) -> None:
    with ViewsFolder(tmp_path), pytest.raises(ViewsFolderError, match="is being filled by another run"):
        ViewsFolder(tmp_path)
    ViewsFolder(tmp_path)


def test_the_command_ends_with_2_and_a_sentence_where_nothing_can_be_rendered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(source=tmp_path / "objects", out=tmp_path / "views", python=Path("true"))
    options.source.mkdir()
    assert main(options) == 2
    assert "has no .glb files" in capsys.readouterr().err
    (options.source / "chair.glb").touch()
    for python in ("false", "no/python"):
        assert main(replace(options, python=Path(python))) == 2
        assert f"{python} cannot import bpy" in capsys.readouterr().err
    for field_of_view, sampling in (((70.0, 50.0), "robust"), ((0.0, 50.0), "robust"), ((40.0, 50.0), "protocol")):
        assert main(replace(options, field_of_view=field_of_view, sampling=sampling)) == 2
        assert "--field-of-view takes two angles" in capsys.readouterr().err
    with ViewsFolder(options.out):
        assert main(options) == 2
    assert "is being filled by another run" in capsys.readouterr().err
