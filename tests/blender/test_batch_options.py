"""The batch's command line and jobs files, without a Blender."""

import json

import pytest

from blender_addon.headless.batch_options import parse


def options(*arguments):
    command, jobs = parse([str(argument) for argument in arguments], "lvsm")
    assert jobs == [command]
    return command


def jobs_of(tmp_path, content, *arguments):
    path = tmp_path / "jobs.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return parse([*arguments, "--jobs", str(path)], "lvsm")[1]


def test_frames_are_lists_of_ranges_with_steps_each_once():
    assert options("--out", "x", "--frames", "9,1-5x2,5,-1").frames == [9, 1, 3, 5, -1]


def test_names_with_commas_stand_in_quotes():
    assert options("--out", "x", "--photos", 'A,"B, C"').photos == ["A", "B, C"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--out is missing"),
        (["--out"], "expected one argument"),
        (["--out", "x", "--size", "big"], "'big' is no size such as 640x480"),
        (["--out", "x", "--frames", "9-1"], "no frames such as"),
        (["--out", "x", "--frames", "1-9x0"], "no frames such as"),
        (["--out", "x", "--frames", "1-9999999999"], "no frames such as"),
        (["--out", "x", "--cameras", ""], "no names such as A,B"),
        (["--out", "x", "--pattern", "{view}"], "{camera}, {scene} and {frame}"),
        (["--out", "x", "--device", "tpu"], "invalid choice: 'tpu'"),
        (["--out", "x", "--format", "jpg"], "invalid choice: 'jpg'"),
        (["--out", "x", "--skip"], "unrecognized arguments: --skip"),
        (["--out", "x", "--jobs", "nowhere.json"], "nowhere.json cannot be read (No such file or directory)"),
    ],
)
def test_wrong_arguments_are_told_and_exit_with_2(capsys, arguments, words):
    with pytest.raises(SystemExit) as exit_:
        options(*arguments)
    assert exit_.value.code == 2 and words in capsys.readouterr().err


def test_a_job_has_the_commands_options_behind_its_own(tmp_path):
    content = [
        {"cameras": ["A", "B, C"], "frames": [1, 2], "size": "64x48"},
        {"out": "elsewhere", "skip-existing": True, "no-detail": False},
    ]
    first, second = jobs_of(tmp_path, content, "--out", "here", "--size", "32x24")
    assert (first.cameras, first.frames, first.size, str(first.out)) == (["A", "B, C"], [1, 2], (64, 48), "here")
    assert (second.cameras, second.size, str(second.out)) == (None, (32, 24), "elsewhere")
    assert second.skip_existing and not second.no_detail and not first.skip_existing


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "jobs.json is no JSON"),
        ("[" * 100_000, "jobs.json is no JSON"),
        ({"out": "x"}, "is no list of jobs such as"),
        ([], "is no list of jobs such as"),
        ([{"out": "x"}, {}], "--out is missing for job 2"),
        ([{"out": "x"}, {"out": "x", "size": "big"}], "jobs.json, job 2: error: argument --size: 'big' is no size"),
        ([{"out": "x", "sizes": "1x1"}], "jobs.json, job 1: error: unrecognized arguments: --sizes=1x1"),
        ([{"out": "x", "report": "r"}], '"report" is no job\'s: give it on the command line'),
        ([{"out": "x", "help": True}], '"help" is no job\'s'),
        ([{"out": {"x": 1}}], '"out" is {"x": 1}: give a text'),
        ([{"out": None}], '"out" is null: give a text'),
    ],
)
def test_wrong_jobs_are_told_by_their_number_and_exit_with_2(tmp_path, capsys, content, words):
    with pytest.raises(SystemExit) as exit_:
        jobs_of(tmp_path, content)
    assert exit_.value.code == 2 and words in capsys.readouterr().err
