"""training/default_weights.sh for real, small: objects in, and out comes a file that could be bundled."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lvsm_engine.model.checkpoint import load_checkpoint
from lvsm_engine.model.plane_sweep.blend_file import load_blend
from tests.shared_data import ROOT, shared

BPY = ROOT / ".venv-bpy" / "5.0" / "bin" / "python"
CAPTURE = ROOT / "training" / "sample_capture" / "transforms.json"
OBJECTS = {"train": 3, "val": 1}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A few of the objects, with the manifest of all."""
    folder = tmp_path_factory.mktemp("objects")
    for split, count in OBJECTS.items():
        (folder / split).mkdir()
        for path in sorted(shared("objects", split).glob("*.glb"), key=lambda path: path.stat().st_size)[:count]:
            (folder / split / path.name).symlink_to(path)
    (folder / "manifest.json").symlink_to(shared("objects", "manifest.json"))
    return folder


def test_weights_come_out_scored_and_again_at_once(source, tmp_path):
    if not BPY.exists():
        pytest.skip("needs the bpy wheel in .venv-bpy/5.0: run `make test`")
    sizes = {"PRESET": "smoke", "PROCESSES": "1", "VIEWS": "5", "SIZE": "32", "SAMPLES": "1", "COMPARED": "16 32"}
    sizes |= {"SCENES": "2", "DETAIL_STEPS": "20"}
    places = {"SOURCE": str(source), "DATA": str(tmp_path / "data"), "RUN": str(tmp_path / "run")}
    environment = {
        **os.environ,
        **sizes,
        **places,
        "PYTHON": sys.executable,
        "BPY_PYTHON": str(BPY),
        "CAPTURES": str(CAPTURE),
        "LPIPS": str(shared("perceptual", "alexnet_features.safetensors")),
    }
    for _ in range(2):
        done = subprocess.run(
            [ROOT / "training" / "default_weights.sh"], env=environment, text=True, capture_output=True, timeout=600
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    _, card = load_checkpoint(tmp_path / "run" / "model.safetensors")
    assert "PSNR" in card.text and card.resolution == 32
    assert load_blend(tmp_path / "run" / "detail" / "detail.safetensors").width > 0
    for kind, inputs in (("objects", [4]), ("objects_nearest", [8]), ("captures", [8])):
        for side in (16, 32):
            report = json.loads((tmp_path / "run" / "evaluation" / f"{kind}_{side}" / "scores.json").read_text())
            assert report["size"] == side and sorted({mean["inputs"] for mean in report["means"]}) == inputs, kind
