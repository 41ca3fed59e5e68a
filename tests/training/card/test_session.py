"""The order of a call: each part ends in time, and the caller's words win."""

import os
from pathlib import Path

import pytest

from training.card.session import KILLED, Options, _run, training_words
from training.train.options import parse


@pytest.fixture
def options(tmp_path):
    return Options(minutes=9, began=0.0, out=tmp_path / "out", run=tmp_path / "run", pack=Path("packed"))


def test_a_part_that_hangs_is_stopped(capsys):
    assert _run("a nap", ["timeit", "-n1", "-r1", "-s", "import time", "time.sleep(60)"], 1.0) == KILLED
    assert "a nap: stopped after 1 s" in capsys.readouterr().out


def test_a_part_that_fails_is_told(capsys):
    assert _run("nothing", ["no_such_module"], 20.0) == 1
    assert "nothing: exit status 1" in capsys.readouterr().out


def test_the_run_is_one_card_on_what_travelled(options):
    parsed = parse(training_words(options, goes_on=True))
    assert parsed.config.name == "one_card" and parsed.folder == options.run
    assert [source.folder for source in parsed.config.data.sources] == ["packed/train", "procedural:mixed"]
    assert parsed.config.init == str(options.run / "initial.safetensors")
    assert parsed.workers == max(0, os.cpu_count() - 2)


def test_the_callers_words_win(options):
    options.words = ("--preset", "smoke", "--data", "views", "--workers", "3")
    parsed = parse(training_words(options, goes_on=False))
    assert parsed.config.name == "smoke" and parsed.workers == 3 and parsed.config.init is None
    assert [source.folder for source in parsed.config.data.sources] == ["views"]
