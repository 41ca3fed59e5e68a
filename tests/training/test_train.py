"""The training loop on tiny data: it learns, resumes exactly, and never starts anew in silence."""

import dataclasses
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lvsm_engine.model.checkpoint import build_model, load_checkpoint
from lvsm_engine.model.config import ModelConfig
from training import train
from training.configs import PRESETS, Source, Stage, TrainingConfig
from training.run_state import BEFORE_DECAY, LATEST, load_state

ROOT = Path(__file__).resolve().parents[2]


def write_scenes(folder, count, views=6, size=16, seed=0):
    """Balls of one colour in front of white: scenes as training.procedural writes them, simple enough to learn at once."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    angles = generator.uniform(0, 2 * np.pi, (count, views))
    forward = np.stack([-np.cos(angles), -np.sin(angles), np.zeros_like(angles)], axis=-1)
    right = np.stack([-np.sin(angles), np.cos(angles), np.zeros_like(angles)], axis=-1)
    poses = np.zeros((count, views, 4, 4))
    poses[..., :3, :] = np.stack([right, np.cross(forward, right), forward, -2 * forward], axis=-1)
    poses[..., 3, 3] = 1
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    disc = (x**2 + y**2 < (0.25 * size) ** 2)[None, None, :, :, None]
    colour = generator.integers(0, 200, (count, 1, 1, 1, 3))
    images = np.broadcast_to(np.where(disc, colour, 255), (count, views, size, size, 3)).astype(np.uint8)
    lens = np.broadcast_to(np.array([1.1 * size, 1.1 * size, size / 2, size / 2]), (count, views, 4))
    np.savez(folder / "000.npz", images=images, camera_to_world=poses, fxfycxcy=lens)
    return folder


@pytest.fixture
def config(tmp_path, monkeypatch):
    tiny = TrainingConfig(
        name="tiny",
        model=ModelConfig(width=64, blocks=1, inputs_first=True, camera_encoding="proxy_point", predicted_depth=True),
        sources=(Source(folder=str(write_scenes(tmp_path / "train", 8))),),
        validation=str(write_scenes(tmp_path / "val", 2, seed=1)),
        stages=(Stage(until=0.5, size=8), Stage(until=1.0, size=16)),
        steps=30,
        scenes=4,
        views=4,
        input_views=(1, 2),
        warmup=2,
        save_every=10,
        validate_every=30,
    )
    monkeypatch.setitem(PRESETS, "tiny", lambda: tiny)
    return tiny


def run(folder, steps=None):
    train.main(train.Options(preset="tiny", out=folder, steps=steps))
    return load_state(folder / LATEST)


def test_a_short_run_learns(config, tmp_path, capsys):
    run(tmp_path / "run")
    first, *_, validation = (float(value) for value in re.findall(r"psnr ([\d.]+)", capsys.readouterr().out))
    assert validation > first + 3
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["model"]["camera_encoding"] == "proxy_point"


def test_a_run_that_was_stopped_ends_with_the_same_weights_bit_for_bit(config, tmp_path, monkeypatch):
    whole = run(tmp_path / "whole")
    saved = train.Run.save

    class PowerCut(Exception):
        pass

    def save_then_stop(self, name, step, seconds):
        saved(self, name, step, seconds)
        if name == LATEST and step == 20:
            raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(train.Run, "save", save_then_stop)
        with pytest.raises(PowerCut):
            run(tmp_path / "cut")
    resumed = run(tmp_path / "cut")
    assert resumed["step"] == whole["step"] == config.steps
    for name, tensor in whole["model"].items():
        assert torch.equal(resumed["model"][name], tensor), name


def test_a_longer_run_goes_on_from_before_the_decay(config, tmp_path, capsys):
    run(tmp_path / "run")
    assert load_state(tmp_path / "run" / BEFORE_DECAY)["step"] == 21
    capsys.readouterr()
    assert run(tmp_path / "run", steps=40)["step"] == 40
    assert "from step 21 to 40" in capsys.readouterr().out


def test_a_state_that_cannot_be_read_stops_the_run(config, tmp_path):
    run(tmp_path / "run")
    state = tmp_path / "run" / LATEST
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(SystemExit, match="latest.pt: the run's state cannot be read"):
        run(tmp_path / "run")


def test_a_wild_step_is_skipped(config, tmp_path):
    model = build_model(config.model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    strict = dataclasses.replace(config, skip_above=0.0)
    one = train.Run(
        strict, tmp_path, model, model, train.build_optimizers(model, strict), 1, 1, torch.device("cpu"), torch.float32
    )
    _, batch = next(one.batches(0))
    loss, norm = one.step(0, batch)
    assert math.isfinite(loss)
    assert norm > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_learning_rate_warms_up_in_each_stage_and_falls_to_zero(config):
    factors = [train.learning_rate_factor(config, step) for step in range(config.steps)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[15:17] == [0.5, 1.0]
    assert factors[21] == 1.0
    assert all(a > b for a, b in zip(factors[21:], factors[22:], strict=False))
    assert 0 < factors[-1] < 0.15


def test_two_processes_end_with_the_same_weights(config, tmp_path):
    """torchrun over two gloo ranks: the state is one, and both ranks' batches differ from a single process's."""
    script = tmp_path / "two.py"
    script.write_text(
        "import sys\n"
        "from training import configs, train\n"
        "from training.configs import *\n"
        "from lvsm_engine.model.config import ModelConfig\n"
        "from lvsm_engine.scene.frame import SceneFrame\n"
        f"configs.PRESETS['tiny'] = lambda: {config!r}\n"
        "train.PRESETS = configs.PRESETS\n"
        f"train.main(train.Options(preset='tiny', out=train.Path({str(tmp_path / 'two')!r}), steps=12))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 x cpu" in done.stdout
    two, one = load_state(tmp_path / "two" / LATEST), run(tmp_path / "one", steps=12)
    assert two["step"] == one["step"] == 12
    assert any(not torch.equal(two["model"][name], tensor) for name, tensor in one["model"].items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stages": (Stage(until=0.5, size=16),)}, "end with until = 1.0"),
        ({"stages": (Stage(until=1.0, size=20),)}, "multiple of the patch size 8"),
        ({"input_views": (4,)}, "must leave a target among 4 views"),
    ],
)
def test_a_configuration_that_cannot_run_is_refused(config, change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(config, **change)


def test_every_preset_is_whole():
    for make in PRESETS.values():
        config = make()
        assert config.resolution % config.model.patch_size == 0


def test_an_exported_run_is_a_model_of_the_engine(config, tmp_path):
    from training import export

    state = run(tmp_path / "run")
    out = tmp_path / "model.safetensors"
    export.main(export.Options(run=tmp_path / "run", out=out, name="Tiny"))
    model, card = load_checkpoint(out)
    assert card.resolution == 16
    assert card.input_views == (1, 2)
    assert card.scene_frame == config.scene_frame
    assert "Step 30 of 30" in card.text
    for name, tensor in state["model"].items():
        assert torch.equal(model.state_dict()[name], tensor), name


def test_products_are_computed_in_the_chosen_precision_and_images_are_float32(config):
    model = build_model(config.model)
    torch.nn.init.normal_(model.to_pixels[1].weight)
    generator = torch.Generator().manual_seed(0)
    rays = torch.nn.functional.normalize(torch.randn(1, 3, 6, 16, 16, generator=generator), dim=2)
    batch = train.Batch(torch.rand(1, 3, 3, 16, 16, generator=generator), rays, 2)
    exact = train.predict(model, batch, torch.float32)
    coarse = train.predict(model, batch, torch.bfloat16)
    assert exact.dtype == coarse.dtype == torch.float32
    assert torch.equal(exact, model(batch.images[:, :2], rays[:, :2], rays[:, 2:]))
    assert 1e-5 < (exact - coarse).abs().max() < 0.1
