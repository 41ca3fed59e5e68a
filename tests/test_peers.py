"""The table of what peers have (peers.md) names tests that exist."""

import re
from pathlib import Path

import pytest

from .shared_data import ROOT

TESTS = Path(__file__).parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (TESTS / "peers.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| peer |"))
]


@pytest.mark.parametrize(("feature", "module", "test"), [row[1:] for row in ROWS if row[2] != "-"])
def test_a_features_test_exists(feature: str, module: str, test: str) -> None:
    places = [TESTS / "blender" / "inside" / f"{module}.py", TESTS / "blender" / f"{module}.py"]
    found = [place for place in places if place.is_file()]
    assert found, f"{feature}: there is no {module}.py in {(TESTS / 'blender').relative_to(ROOT)}"
    assert re.search(rf"^def {re.escape(test)}\(", found[0].read_text(encoding="utf-8"), re.MULTILINE), feature


def test_what_is_not_there_has_a_reason() -> None:
    missing = [row for row in ROWS if row[2] == "-"]
    assert missing and all(len(row[3].split()) > 3 for row in missing)
