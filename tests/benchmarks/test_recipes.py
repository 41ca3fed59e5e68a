"""Two tiny recipes, each for half a second."""

import re
import subprocess
import sys

from tests.shared_data import ROOT
from tests.synthetic import write_ball_scenes


def test_recipes_are_run_for_equal_time_and_the_better_one_stands_above(tmp_path):
    data = write_ball_scenes(tmp_path / "train", 8)
    validation = write_ball_scenes(tmp_path / "val", 2, seed=1)
    common = f"--preset smoke --data {data} --validation {validation} --stages 8:0.5 16 --views 4 --input-views 1 2"
    still = f"{common} --adamw-lr 1e-9 --muon-lr 1e-9 --muon-tokenizer-head-lr 0"
    command = [sys.executable, "-m", "benchmarks.recipes", "--seconds", "0.5", "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, still, common], cwd=ROOT, capture_output=True, text=True, check=True)
    table = (tmp_path / "out" / "table.md").read_text()
    assert table in done.stdout
    best, other = table.splitlines()[2:]
    assert f"`{common}`" in best and f"`{still}`" in other
    for row in (best, other):
        assert len(re.findall(r"\d+\.\d\d \|", row)) == 4
        assert int(row.split("|")[3]) >= 4
