"""The story in training/pipeline.sh, told to a Python that only takes notes. tests/end_to_end runs it for real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared_data import ROOT

NOTES = """#!/bin/sh
{python} -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@" >> "$NOTES"
"""


@pytest.fixture
def tell(tmp_path: Path):
    for name in ("python", "torchrun"):
        (tmp_path / name).write_text(NOTES.format(python=sys.executable))
        (tmp_path / name).chmod(0o755)

    def run(**variables: str) -> list[list[str]]:
        environment = {**os.environ, "PYTHON": str(tmp_path / "python"), "NOTES": str(tmp_path / "notes"), **variables}
        subprocess.run([ROOT / "training" / "pipeline.sh"], env=environment, check=True, capture_output=True)
        return [json.loads(line) for line in (tmp_path / "notes").read_text().splitlines()]

    return run


def module_of(command: list[str]) -> str:
    return command[command.index("-m") + 1]


def test_the_stages_come_in_their_order(tell) -> None:
    assert [module_of(command) for command in tell()] == [
        "training.objects.select",
        "training.objects.stream",
        *("training.views.shards", "training.views.shards", "training.views.shards"),
        "training.train",
        *("training.export", "training.evaluate", "training.export"),
    ]


def test_its_variables_reach_the_stages(tell, tmp_path: Path) -> None:
    commands = tell(
        SOURCE=str(tmp_path / "my objects"), OBJECTS="12", LICENCES="any", PRESET="cpu", SIZE="64", VIEWS="9"
    )
    select, stream, train = commands[0], commands[1], commands[5]
    assert select[select.index("--source") + 1] == str(tmp_path / "my objects")
    assert select[select.index("--limit") + 1] == "12" and "any" in select
    assert "--size 64 --samples 16 --views 9" in stream[stream.index("--render") + 1]
    assert "--sampling protocol" in stream[stream.index("--render-val") + 1]
    assert train[train.index("--preset") + 1] == "cpu" and train[train.index("--out") + 1] == "runs/cpu"
    assert train[train.index("--data") + 1] == "data/cpu/shards/train"


def test_without_a_folder_of_objects_they_come_from_objaverse(tell) -> None:
    select = tell()[0]
    assert "--source" not in select
    assert select[select.index("--licences") + 1 : select.index("--limit")][:1] == ["CC-BY-4.0"]
