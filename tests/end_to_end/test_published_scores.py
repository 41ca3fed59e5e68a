"""What the README says that the bundled weights reach, they reach."""

import json
import re

import pytest

from tests.shared_data import ROOT, shared
from training.evaluate.__main__ import Options, main


def told(capture: str) -> tuple[float, float]:
    """A capture's PSNR in the README's table: of the model alone, and with detail."""
    found = re.search(rf"^\| {capture} [^|]*\| ([\d.]+) \| ([\d.]+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert found, f"README.md has no row of {capture}"
    return float(found[1]), float(found[2])


@pytest.mark.parametrize(("capture", "folder"), [("banana", "banana_instant_ngp"), ("buddha", "buddha_formats")])
def test_the_table_of_captures_is_reproduced_to_a_twentieth_of_a_db(capture, folder, tmp_path):
    main(
        Options(
            out=tmp_path,
            capture=(shared("captures", folder),),
            every=8,
            limit=5,
            size=256,
            lpips="none",
            device="cpu",
        )
    )
    means = json.loads((tmp_path / "scores.json").read_text())["means"]
    reached = {mean["answer"]: mean["psnr"] for mean in means}
    assert (reached["default"], reached["default, with detail"]) == pytest.approx(told(capture), abs=0.05)
