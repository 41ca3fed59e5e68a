"""Make's targets are the interface: each does something."""

import re
import subprocess

from tests.shared_data import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()


def phony_targets() -> list[str]:
    return [target for line in re.findall(r"^\.PHONY:(.*)$", MAKEFILE, re.MULTILINE) for target in line.split()]


def test_every_phony_target_has_a_rule_with_a_recipe_or_what_it_needs() -> None:
    assert "sample-capture" in phony_targets()
    for target in phony_targets():
        rule = re.search(rf"^{re.escape(target)}:(.*)\n(\t?)", MAKEFILE, re.MULTILINE)
        assert rule and (rule[1].strip() or rule[2]), f"make {target} would do nothing"


def test_the_sample_capture_is_made_by_a_python_with_bpy() -> None:
    command = ["make", "-n", "--no-print-directory", "sample-capture"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1].strip() == ".venv-bpy/5.0/bin/python -m training.sample_capture"
