"""The command line, and splits of the work that cannot be."""

import re
import subprocess
import sys

import pytest
import torch

from tests.shared_data import ROOT
from tests.training.train.runs import ALONE, options
from training.configs import Source, Stage
from training.limits import ConfigError
from training.presets import PRESETS
from training.train.options import check_shares, parse
from training.train.parallel import Processes


def test_the_command_line_changes_any_field_of_a_preset():
    words = (
        "--preset cpu --data a b=2.5 --model.width 64 --stages 32:0.5:1:0.6 64:1:0.5 --steps 7 --perceptual.weight 0.5"
    )
    parsed = parse([*words.split(), "--scene-frame.kind", "identity", "--init", "weights.safetensors"])
    config = parsed.config
    assert config.data.sources == (Source(folder="a", weight=1.0), Source(folder="b", weight=2.5))
    assert (config.name, config.model.width, config.model.blocks, config.schedule.steps) == ("cpu", 64, 4, 7)
    assert config.schedule.stages == (
        Stage(until=0.5, size=32, input_keep_ratio=0.6),
        Stage(until=1.0, size=64, target_crop=0.5),
    )
    assert (config.loss.perceptual.weight, config.scene_frame.kind, config.init) == (
        0.5,
        "identity",
        "weights.safetensors",
    )
    assert parse([]).config == PRESETS["default"]()
    assert parse(["--data", "a=b=2", "c=d"]).config.data.sources == (
        Source(folder="a=b", weight=2.0),
        Source(folder="c=d", weight=1.0),
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--steps -1", "--steps is -1: it must be a whole number from 1"),
        ("--views 3", "must leave a target among 3 views"),
        ("--data a=-1", "the weight of a is -1.0: it must be a number above 0"),
        ("--data", "--data is empty"),
        ("--stages 64:1:1:1:9", "'64:1:1:1:9' is no stage: it must be SIZE"),
        ("--stages 0", "size of a stage is 0: it must be a whole number from 8"),
        ("--stages small", "'small' is no stage"),
        ("--stages 64:half", "'64:half' is no stage"),
        ("--stages -8", "'-8' is no stage"),
        ("--stages 64:nan", "until of a stage is nan"),
        ("--memory-gb 0", "--memory-gb is 0.0: it must be a number above 0"),
        ("--accumulate 0", "--accumulate is 0: it must be a whole number from 1"),
    ],
)
def test_words_that_make_no_run_are_told_in_a_sentence(words, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        parse(words.split())


def test_a_command_that_cannot_run_ends_with_one_sentence_and_status_1(tmp_path):
    (tmp_path / "file").touch()
    out = ["--preset", "smoke", "--out", str(tmp_path / "file")]
    for words, sentence in ((["--steps", "-1"], "--steps is -1"), (out, "file: the run's folder cannot be made")):
        done = subprocess.run(
            [sys.executable, "-m", "training.train", *words], cwd=ROOT, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert sentence in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_split_that_cannot_be_is_refused(config, tmp_path):
    with pytest.raises(ConfigError, match="4 scenes cannot be shared by 1 processes in 3 micro-batches each"):
        check_shares(options(config, tmp_path, accumulate=3), ALONE)


def test_muon_in_shards_is_refused(config, tmp_path):
    with pytest.raises(ConfigError, match="Muon needs whole matrices"):
        check_shares(options(config, tmp_path, parallel="fsdp"), Processes(0, 2, torch.device("cpu")))
