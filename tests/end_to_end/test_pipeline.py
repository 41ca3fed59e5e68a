"""training/pipeline.sh for real, on a dozen objects: GLB files in, and out come models that the engine and Blender load."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from build_extension import build
from lvsm_engine.model.checkpoint import load_checkpoint
from tests.blender.conftest import INSIDE, Blender
from tests.shared_data import ROOT, shared

OBJECTS, VALIDATION = 12, 2
PRESETS = {"smoke": "decoder_only", "smoke_encoder_decoder": "encoder_decoder"}
BPY = ROOT / ".venv-bpy" / "5.0" / "bin" / "python"
CAPTURE = ROOT / "training" / "sample_capture" / "transforms.json"


def run_pipeline(folder: Path, preset: str) -> str:
    """Run the script for a preset, with one folder of data for all; returns what it printed."""
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "BPY_PYTHON": str(BPY),
        "SOURCE": str(shared("objects")),
        "OBJECTS": str(OBJECTS),
        "VALIDATION": str(VALIDATION),
        "VIEWS": "6",
        "SIZE": "64",
        "SAMPLES": "2",
        "PRESET": preset,
        "DATA": str(folder / "data"),
        "RUN": str(folder / preset),
    }
    done = subprocess.run(
        [ROOT / "training" / "pipeline.sh"], env=environment, text=True, capture_output=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """The model's file of each preset."""
    if not BPY.exists():
        pytest.skip("needs the bpy wheel in .venv-bpy/5.0: run `make test`")
    folder = tmp_path_factory.mktemp("pipeline")
    for preset in PRESETS:
        said = run_pipeline(folder, preset)
        assert "render with  lvsm render" in said
    return {preset: folder / preset / "model.safetensors" for preset in PRESETS}


def test_both_architectures_come_out_with_their_cards(models):
    for preset, architecture in PRESETS.items():
        model, card = load_checkpoint(models[preset])
        assert model.config.architecture == architecture
        assert card.resolution == 32
        assert "PSNR" in card.text, "the scores are in the card"
        for licence in licences_of_train_objects(models):
            assert f"| {licence} |" in card.text, "whose objects they were"


def licences_of_train_objects(models: dict[str, Path]) -> set[str]:
    """As the selection has them."""
    selection = next(iter(models.values())).parents[1] / "data" / "selection.jsonl"
    objects = [json.loads(line) for line in selection.read_text().splitlines()]
    return {one["licence"] for one in objects if one["split"] == "train"}


def test_every_object_is_in_the_shards_once(models):
    data = next(iter(models.values())).parents[1] / "data" / "shards"
    for split, count in (("train", OBJECTS), ("val", VALIDATION)):
        records = [json.loads(path.read_text())["records"] for path in sorted((data / split).glob("*.json"))]
        names = [record["name"] for shard in records for record in shard]
        assert len(names) == len(set(names)) == count


def test_lvsm_render_and_blender_load_them(models, tmp_path):
    for preset, file in models.items():
        out = tmp_path / preset
        command = [sys.executable, "-m", "lvsm_engine.cli", "render", "--capture", CAPTURE, "--inputs", "0,4,9"]
        command += ["--targets", "16", "--model", file, "--out", out]
        subprocess.run([str(part) for part in command], check=True, cwd=ROOT, capture_output=True)
        assert (out / "0016.png").exists()
    blender = Blender("bpy-5.0", tmp_path / "resources")
    blender.execute([BPY, INSIDE / "install.py", build(tmp_path)])
    said = blender.run("own_model.py", CAPTURE, *models.values(), env={"LVSM_PYTHON": sys.executable})
    assert "own model: passed" in said
