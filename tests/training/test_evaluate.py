"""The evaluation on made-up objects whose scores are known."""

import hashlib
import json

import numpy as np
import pytest
import torch

from lvsm_engine.model.checkpoint import build_model, save_checkpoint
from lvsm_engine.model.config import ModelConfig
from tests.engine.test_synthesizer import CARD, ring_cameras
from training import evaluate

SIZE = 16


@pytest.fixture
def views(tmp_path):
    """Two objects: discs of one colour that look the same from everywhere, 14 views each."""
    folder = tmp_path / "val"
    folder.mkdir()
    cameras = ring_cameras(14, SIZE, SIZE)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    alpha = np.where(x**2 + y**2 < 25, 255, 0).astype(np.uint8)
    for name, colour in (("red", (200, 10, 10)), ("blue", (10, 10, 200))):
        images = np.zeros((14, SIZE, SIZE, 4), np.uint8)
        images[..., :3], images[..., 3] = colour, alpha
        np.savez(
            folder / f"{name}.npz",
            images=images,
            camera_to_world=np.stack([camera.camera_to_world for camera in cameras]),
            fxfycxcy=np.stack([camera.fxfycxcy for camera in cameras]),
        )
    return folder


@pytest.fixture
def model_file(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, build_model(ModelConfig(width=64, blocks=1)), CARD)
    return path


def test_trivial_answers_are_perfect_where_all_views_are_alike(views, model_file, tmp_path, capsys):
    out = tmp_path / "scores"
    evaluate.main(evaluate.Options(views=views, out=out, model=str(model_file), size=SIZE))
    scores = json.loads((out / "scores.json").read_text())
    assert scores["sha256"] == hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert set(scores["objects"]) == {"red", "blue"}
    for answer in ("nearest input view", "mean of the inputs", "true silhouette in its mean colour"):
        assert scores["means"][answer]["psnr"] > 90
        assert scores["means"][answer]["foreground_psnr"] > 90
    assert scores["means"]["model"]["psnr"] < 20
    table = (out / "table.md").read_text()
    assert f"| model | {scores['means']['model']['psnr']:.2f} |" in table
    assert table in capsys.readouterr().out
    assert (out / "sheet.png").exists()


def test_the_foreground_is_scored_apart():
    truth = np.ones((2, SIZE, SIZE, 3), np.float32)
    truth[:, 4:8] = 0.5
    answer = truth.copy()
    answer[:, 4:8] += 0.1
    foreground = np.zeros((2, SIZE, SIZE), bool)
    foreground[:, 4:8] = True
    scores = evaluate.score(answer, truth, foreground)
    assert scores["foreground_psnr"] == pytest.approx(20, abs=1e-3)
    assert scores["psnr"] == pytest.approx(20 + 10 * np.log10(4), abs=1e-3)


def test_a_silhouette_has_the_mean_colour_inside_and_white_outside():
    truth = np.random.default_rng(0).random((1, 4, 4, 3), dtype=np.float32)
    alpha = np.zeros((1, 4, 4), np.float32)
    alpha[0, :2] = 0.8
    alpha[0, 2] = 0.4
    filled = evaluate.silhouettes(truth, alpha)
    np.testing.assert_allclose(filled[0, :2], np.broadcast_to(truth[0, :2].mean(axis=(0, 1)), (2, 4, 3)), atol=1e-6)
    assert (filled[0, 2:] == 1).all()
