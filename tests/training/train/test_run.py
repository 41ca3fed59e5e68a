"""The training loop on tiny data: it learns, resumes exactly, splits exactly, and never starts anew in silence."""

import dataclasses
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lvsm_engine.model.checkpoint import build_model, load_checkpoint
from lvsm_engine.model.config import ModelConfig
from tests.full_disk import no_file_larger_than
from tests.shared_data import shared
from tests.training.train.launch import launch, launch_ranks
from training.batches.augment import Crops, FrameJitter
from training.batches.sampler import PosedImages, Views
from training.batches.steps import Batch, Share, mirrored_scenes, recoloured_scenes, scenes_of_steps, step_batches
from training.configs import PRESETS, Perceptual, Source, Stage, TrainingConfig
from training.export import __main__ as export
from training.train import run as train
from training.train.log import RunLog, StepReport
from training.train.parallel import Processes, parallelize
from training.train.prediction import predict
from training.train.state import BEFORE_DECAY, LATEST, Progress, RunStateError, load_state
from training.train.validation import validate

ROOT = Path(__file__).resolve().parents[3]
ALONE = Processes(0, 1, torch.device("cpu"))


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


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_scenes(folder / "train", 8)
    write_scenes(folder / "val", 2, seed=1)
    return folder


@pytest.fixture
def config(data):
    return TrainingConfig(
        name="tiny",
        model=ModelConfig(width=64, blocks=1, inputs_first=True, camera_encoding="proxy_point", predicted_depth=True),
        sources=(Source(folder=str(data / "train")),),
        validation=str(data / "val"),
        stages=(Stage(until=0.5, size=8), Stage(until=1.0, size=16)),
        steps=30,
        batch=4,
        views=4,
        input_views=(1, 2),
        warmup=2,
        save_every=10,
        validate_every=30,
    )


def options(config, folder, **others):
    return train.Options(config=config, out=folder, precision="float32", **others)


def run(config, folder, **others):
    train.main(options(config, folder, **others))
    return load_state(folder / LATEST)


def same_bits(first, second):
    """Whether two states hold the same weights."""
    assert first["model"].keys() == second["model"].keys()
    return all(torch.equal(first["model"][name], tensor) for name, tensor in second["model"].items())


def furthest(first, second):
    """The largest relative difference of a tensor of two states, by norms."""
    return max(
        float((first["model"][name] - tensor).double().norm() / tensor.double().norm())
        for name, tensor in second["model"].items()
        if tensor.any()
    )


def test_a_short_run_learns(config, tmp_path, capsys):
    run(config, tmp_path / "run")
    first, *_, validation = (float(value) for value in re.findall(r"psnr ([\d.]+)", capsys.readouterr().out))
    assert validation > first + 3
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["model"]["camera_encoding"] == "proxy_point"


def test_the_log_holds_what_is_watched_and_a_strip_of_pictures(config, tmp_path):
    run(config, tmp_path / "run")
    log = EventAccumulator(str(tmp_path / "run"), size_guidance={"scalars": 0, "images": 0}).Reload()
    watched = ("loss", "squared_error", "perceptual", "psnr", "gradient_norm", "learning_rate", "skipped_steps")
    assert {f"train/{name}" for name in watched} <= set(log.Tags()["scalars"])
    (speed,) = log.Scalars("speed/images_per_second")
    assert speed.value > 0
    assert "speed/model_flops_utilisation" not in log.Tags()["scalars"]  # this device's peak is not known
    (strip,) = log.Images("validation/inputs_truth_and_answer")
    assert (strip.width, strip.height) == ((4 + 2) * 16, 2 * 2 * 16)  # 4 inputs, 2 targets; 2 scenes, truth over answer


def test_the_speed_that_is_told_is_that_of_the_steps_alone(config, tmp_path, monkeypatch):
    one = train.prepare(
        options(dataclasses.replace(config, steps=40, save_every=5, validate_every=5), tmp_path / "run"), ALONE
    )
    one.progress = Progress(step=10)
    monkeypatch.setattr(one, "step", lambda *_: (time.sleep(0.02), (StepReport(0.1, 0.1, 0.0, 0.1, False), False))[1])
    monkeypatch.setattr(one, "validate", lambda *_: time.sleep(0.4))
    one.train()
    log = EventAccumulator(str(tmp_path / "run")).Reload()
    speeds = [scalar.value for scalar in log.Scalars("speed/images_per_second")]
    assert len(speeds) == 2 and all(300 < speed <= 4 * 4 / 0.02 for speed in speeds)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_log_that_finds_the_disk_full_ends_with_a_sentence_and_the_run_goes_on(tmp_path, capsys):
    report = StepReport(0.1, 0.1, 0.0, 0.1, False)
    with no_file_larger_than(2000), RunLog(tmp_path / "run", 0, 200) as log:
        for step in range(200):
            log.step(step, report, 1e-3, 0, 1.0)
            log.validation(step, 20.0, 16, torch.zeros(3, 64, 64))
    assert capsys.readouterr().out.count("the log cannot be written (File too large), so the run goes on") == 1


def test_validation_scenes_are_looked_for_before_the_first_step(config, data, tmp_path):
    with pytest.raises(SystemExit, match="gone has no views"):
        run(dataclasses.replace(config, validation=str(data / "gone")), tmp_path / "run")
    write_scenes(tmp_path / "few", 2, views=4)
    with pytest.raises(SystemExit, match="few: 000/0 has 4 views, and validation takes 4 as inputs"):
        run(dataclasses.replace(config, validation=str(tmp_path / "few")), tmp_path / "run")
    assert not (tmp_path / "run" / LATEST).exists()


# --- Resuming ---------------------------------------------------------------------------------------------------------


def test_a_run_that_was_killed_ends_with_the_same_weights_bit_for_bit(config, tmp_path):
    config = dataclasses.replace(config, steps=40, save_every=1, frame_jitter=FrameJitter(turn=90))
    whole = run(config, tmp_path / "whole")
    for part in np.random.default_rng().uniform(0, 0.3, 2):
        killed = launch(options(config, tmp_path / "killed"), tmp_path / "killed.txt")
        killed.signal_when(tmp_path / "killed" / LATEST, signal.SIGKILL, part * whole["seconds"])
        assert killed.ended() == -signal.SIGKILL, "it ended before it was killed"
    step = load_state(tmp_path / "killed" / LATEST)["step"]
    assert 0 < step < config.steps
    resumed = run(config, tmp_path / "killed")
    assert resumed["step"] == whole["step"] == config.steps
    assert same_bits(resumed, whole), f"killed at step {step}"


def test_a_run_that_is_terminated_saves_first_and_says_so(config, tmp_path):
    config = dataclasses.replace(config, steps=5000, save_every=5000, validate_every=5000, decay=0.9999)
    ended = launch(options(config, tmp_path / "run"), tmp_path / "ended.txt")
    ended.signal_when(tmp_path / "run" / BEFORE_DECAY, signal.SIGTERM, 0.2)
    assert ended.ended() == 143
    step = load_state(tmp_path / "run" / LATEST)["step"]
    assert f"Terminated: saved before step {step}; the same command goes on from there." in ended.says()
    assert 2 < step < 5000


def test_ranks_that_load_ahead_save_before_torchrun_ends_them(data, tmp_path):
    """torchrun signals whole groups, so the loading processes get SIGTERM too."""
    words = (
        f"--preset smoke --data {data / 'train'} --validation {data / 'val'} --stages 16 --views 4 --input-views 1 2"
    )
    words += (
        f" --steps 5000 --decay 0.9999 --save-every 5000 --validate-every 5000 --workers 1 --out {tmp_path / 'run'}"
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with open(tmp_path / "said.txt", "wb") as said:
        ranks = subprocess.Popen(
            [*torchrun, "-m", "training.train", *words.split()], cwd=ROOT, stdout=said, stderr=said
        )
    until = time.monotonic() + 180
    while not (tmp_path / "run" / BEFORE_DECAY).exists():
        assert ranks.poll() is None and time.monotonic() < until, (tmp_path / "said.txt").read_text()[-2000:]
        time.sleep(0.05)
    time.sleep(1)
    ranks.terminate()
    ranks.wait(60)
    said = (tmp_path / "said.txt").read_text()
    step = load_state(tmp_path / "run" / LATEST)["step"]
    assert f"Terminated: saved before step {step}" in said and 2 < step < 5000, said[-2000:]


def test_what_torch_draws_in_a_step_does_not_depend_on_what_was_drawn_before(config, tmp_path, monkeypatch):
    """Weights stay the same when a run is resumed, even where the model draws: here a noise on the loss's truth."""
    drawn = {}

    class Noisy(torch.nn.Module):
        def forward(self, images, truth):
            noise = torch.rand(3)
            drawn.setdefault(len(drawn), noise)
            return (images.mean() - noise.mean()) ** 2

    def with_noise(folder, state):
        one = train.prepare(options(config, folder), ALONE)
        one.perceptual = Noisy()
        one.config = dataclasses.replace(config, perceptual=Perceptual(weight=0.1))
        torch.rand(state)
        one.step(7)
        return list(drawn.values())[-1]

    config = dataclasses.replace(config, stages=(Stage(until=1.0, size=16),))
    assert torch.equal(with_noise(tmp_path / "a", 1), with_noise(tmp_path / "b", 5))


def test_a_longer_run_goes_on_from_before_the_decay(config, tmp_path, capsys):
    run(config, tmp_path / "run")
    assert load_state(tmp_path / "run" / BEFORE_DECAY)["step"] == 21
    capsys.readouterr()
    longer = dataclasses.replace(config, steps=40)
    assert run(longer, tmp_path / "run")["step"] == 40
    assert "from step 21 to 40" in capsys.readouterr().out


def test_a_longer_run_that_was_stopped_goes_on_from_where_it_was_stopped(config, tmp_path, capsys):
    run(config, tmp_path / "run")
    longer = dataclasses.replace(config, steps=50, save_every=1)
    one = train.prepare(options(longer, tmp_path / "run"), ALONE)
    for step in range(21, 25):
        report, _ = one.step(step)
        one.advance(step, report, 0.0)
    one.save(LATEST)
    capsys.readouterr()
    train.prepare(options(longer, tmp_path / "run"), ALONE)
    assert "from step 25 to 50" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda _: b"", lambda _: b"not a state"])
def test_a_state_that_cannot_be_read_stops_the_run(config, tmp_path, damage):
    run(dataclasses.replace(config, steps=2), tmp_path / "run")
    state = tmp_path / "run" / LATEST
    state.write_bytes(damage(state.read_bytes()))
    with pytest.raises(SystemExit, match="latest.pt: the run's state cannot be read"):
        run(config, tmp_path / "run")


def test_a_state_without_its_configuration_stops_the_run(config, tmp_path):
    run(dataclasses.replace(config, steps=2), tmp_path / "run")
    (tmp_path / "run" / "config.json").unlink()
    with pytest.raises(SystemExit, match="config.json: the configuration of the run cannot be read"):
        run(config, tmp_path / "run")


def test_a_run_is_resumed_with_its_own_configuration_alone(config, tmp_path):
    run(dataclasses.replace(config, steps=2), tmp_path / "run")
    wider = dataclasses.replace(config, model=dataclasses.replace(config.model, width=128))
    with pytest.raises(SystemExit, match="was started with model.width 64, and 128 is asked for"):
        run(wider, tmp_path / "run")
    run(dataclasses.replace(config, steps=3, save_every=1, validation=None), tmp_path / "run")


def test_a_full_disk_is_told_and_the_former_state_stays(config, tmp_path):
    run(dataclasses.replace(config, steps=2), tmp_path / "run")
    before = (tmp_path / "run" / LATEST).read_bytes()
    told = pytest.raises(SystemExit, match=r"latest.pt: the run's state cannot be written \(File too large\)")
    with no_file_larger_than(len(before) // 2), told:
        run(config, tmp_path / "run")
    assert (tmp_path / "run" / LATEST).read_bytes() == before


# --- Averaged weights -------------------------------------------------------------------------------------------------


def test_averaged_weights_are_the_mean_of_the_first_steps_and_then_forget(config, tmp_path):
    one = train.prepare(options(dataclasses.replace(config, average=3), tmp_path / "run"), ALONE)
    weights = []
    for step in range(5):
        one.step(step)
        weights.append(one.model.to_pixels[1].weight.detach().clone())
        if step == 2:
            with one.averaged.in_place():
                torch.testing.assert_close(one.model.to_pixels[1].weight, torch.stack(weights).mean(0))
            assert torch.equal(one.model.to_pixels[1].weight, weights[-1])
    mean = torch.stack(weights[:3]).mean(0)
    for later in weights[3:]:
        mean = mean.lerp(later, 1 / 3)
    with one.averaged.in_place():
        torch.testing.assert_close(one.model.to_pixels[1].weight, mean)


def test_averaged_weights_are_resumed_bit_for_bit_validated_and_change_nothing_else(config, tmp_path):
    stage = (Stage(until=1.0, size=16),)
    config = dataclasses.replace(config, decay=0.0, average=4, validate_every=3, stages=stage)
    whole = run(dataclasses.replace(config, steps=6), tmp_path / "whole")
    run(dataclasses.replace(config, steps=3), tmp_path / "parts")
    resumed = run(dataclasses.replace(config, steps=6), tmp_path / "parts")
    plain = run(dataclasses.replace(config, steps=6, average=0), tmp_path / "plain")
    assert same_bits(resumed, whole) and same_bits(plain, whole) and "averaged" not in plain
    assert same_bits({"model": resumed["averaged"]}, {"model": whole["averaged"]})
    assert not same_bits({"model": whole["averaged"]}, whole)
    events = EventAccumulator(str(tmp_path / "whole"))
    events.Reload()
    psnr = events.Scalars("validation/psnr_16")[-1].value
    one = train.prepare(options(dataclasses.replace(config, steps=6), tmp_path / "whole"), ALONE)
    said = [validate(one.model, config, 16, torch.float32, ALONE)[0]]
    with one.averaged.in_place():
        said.append(validate(one.model, config, 16, torch.float32, ALONE)[0])
    assert said[1] == pytest.approx(psnr, abs=1e-4) and abs(said[0] - psnr) > 1e-3


def test_averaged_weights_in_shards_are_those_of_one_process(parallel_config, data, tmp_path):
    config = dataclasses.replace(parallel_config, average=3, validation=str(data / "val"), validate_every=2)
    one = run(config, tmp_path / "one")
    ranks = launch_ranks(options(config, tmp_path / "two", parallel="fsdp"), tmp_path / "two.txt", 2)
    assert [rank.ended() for rank in ranks] == [0, 0], ranks[0].says()[-3000:]
    two = load_state(tmp_path / "two" / LATEST)
    assert furthest(two, one) < 1e-6
    assert furthest({"model": two["averaged"]}, {"model": one["averaged"]}) < 1e-6


# --- Splitting the work -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parallel_config(data):
    """Without Muon: its orthogonalisation makes rounding errors of small singular values large (see below)."""
    return TrainingConfig(
        name="parallel",
        model=ModelConfig(width=64, blocks=2, inputs_first=True, camera_encoding="prope"),
        sources=(Source(folder=str(data / "train")),),
        validation=None,
        stages=(Stage(until=1.0, size=16),),
        steps=6,
        batch=4,
        views=4,
        input_views=(1, 2),
        adamw_lr=4e-4,
        muon_lr=0.0,
        warmup=2,
        frame_jitter=FrameJitter(turn=30, scale=1.2),
        crops=Crops(zoom=(1.0, 1.3), aspect=(0.5, 2.0), offset=0.3),
    )


@pytest.fixture(scope="module")
def one_process(parallel_config, tmp_path_factory):
    return run(parallel_config, tmp_path_factory.mktemp("one") / "run")


@pytest.mark.parametrize(
    "how",
    [{}, {"accumulate": 2}, {"parallel": "fsdp"}, {"parallel": "fsdp", "accumulate": 2, "checkpoint_blocks": True}],
    ids=["ddp", "ddp, accumulated", "fsdp", "fsdp, accumulated and checkpointed"],
)
def test_two_ranks_end_with_the_weights_of_one_process_with_the_double_batch(
    parallel_config, one_process, tmp_path, how
):
    ranks = launch_ranks(options(parallel_config, tmp_path / "two", **how), tmp_path / "two.txt", 2)
    assert [rank.ended() for rank in ranks] == [0, 0], ranks[0].says()[-3000:]
    assert "2 x cpu" in ranks[0].says()
    two = load_state(tmp_path / "two" / LATEST)
    assert two["step"] == 6
    assert furthest(two, one_process) < 1e-6


@pytest.mark.parametrize("how", [{"accumulate": 4}, {"checkpoint_blocks": True}])
def test_one_process_ends_with_the_same_weights_in_micro_batches_and_with_checkpoints(
    parallel_config, one_process, tmp_path, how
):
    assert furthest(run(parallel_config, tmp_path / "run", **how), one_process) < 1e-6


def test_muon_splits_to_its_own_rounding(parallel_config, tmp_path):
    config = dataclasses.replace(parallel_config, muon_lr=0.02)
    whole, split = run(config, tmp_path / "whole"), run(config, tmp_path / "split", accumulate=2)
    assert furthest(split, whole) < 1e-4
    ranks = launch_ranks(options(config, tmp_path / "two"), tmp_path / "two.txt", 2)
    assert [rank.ended() for rank in ranks] == [0, 0], ranks[0].says()[-3000:]
    assert furthest(load_state(tmp_path / "two" / LATEST), whole) < 1e-4


def test_a_state_saved_in_shards_goes_on_in_one_process(parallel_config, one_process, tmp_path):
    half = dataclasses.replace(parallel_config, steps=3, decay=0.0)
    whole = dataclasses.replace(parallel_config, decay=0.0)
    expected = run(whole, tmp_path / "one")
    ranks = launch_ranks(options(half, tmp_path / "two", parallel="fsdp"), tmp_path / "two.txt", 2)
    assert [rank.ended() for rank in ranks] == [0, 0], ranks[0].says()[-3000:]
    assert furthest(run(whole, tmp_path / "two"), expected) < 1e-6


def views_at_random(inputs, targets=1):
    """A scene's images, their rays and the targets' rays, 16 px a side, as models take them."""
    generator = torch.Generator().manual_seed(0)
    rays = torch.nn.functional.normalize(torch.randn(1, inputs + targets, 6, 16, 16, generator=generator), dim=2)
    return torch.rand(1, inputs, 3, 16, 16, generator=generator), rays[:, :inputs], rays[:, inputs:]


@pytest.mark.parametrize("checkpoint_blocks", [False, True])
def test_blocks_are_compiled_whole_also_under_checkpoints(checkpoint_blocks):
    torch.manual_seed(0)
    model = build_model(ModelConfig(width=64, blocks=1))
    inputs = views_at_random(2)
    expected = model(*inputs)
    torch._dynamo.reset()
    compiled_before = torch._dynamo.utils.counters["frames"]["ok"]
    trained = parallelize(model, "ddp", ALONE, checkpoint_blocks, compiler="eager")
    answer = trained(*inputs)
    answer.square().sum().backward()
    torch.testing.assert_close(answer, expected)
    assert torch._dynamo.utils.counters["frames"]["ok"] > compiled_before
    assert not torch._dynamo.utils.counters["graph_break"]
    assert all(parameter.grad is not None for parameter in model.parameters())
    torch._dynamo.reset()


def test_blocks_under_ddp_are_compiled_whole_and_once_for_all_numbers_of_inputs(tmp_path):
    """Matrices larger than DDP's first bucket, at whose end torch would cut a block."""
    graphs = []

    def compiler(graph, _):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    model = build_model(ModelConfig(width=256, blocks=2, inputs_first=True, camera_encoding="proxy_point"))
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    try:
        trained = parallelize(model, "ddp", dataclasses.replace(ALONE, count=2), compiler=compiler)
        for inputs in (2, 4, 5):  # first as many as targets, so that their dimensions could be taken for one
            trained(*views_at_random(inputs, targets=2)).sum().backward()
    finally:
        dist.destroy_process_group()
        torch._dynamo.reset()
    assert len(graphs) == 3  # the inputs' first block, their others, and the targets', which see a context


def test_shares_of_a_step_are_its_scenes_once_each():
    for processes, accumulate in ((1, 1), (2, 1), (2, 3), (4, 2)):
        shares = [Share(rank, processes, accumulate) for rank in range(processes)]
        numbers = [n for share in shares for part in share.micro_batches(5, 24) for n in part]
        assert sorted(numbers) == list(range(5 * 24, 6 * 24))
        for share in shares:
            of_two_steps = [n for step in (5, 6) for part in share.micro_batches(step, 24) for n in part]
            assert of_two_steps == list(share.numbers(5, 7, 24))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"accumulate": 3}, "4 scenes cannot be shared by 1 processes in 3 micro-batches each"),
        ({"accumulate": 0}, "cannot be shared"),
    ],
)
def test_a_split_that_cannot_be_is_refused(config, tmp_path, how, words):
    with pytest.raises(SystemExit, match=words):
        run(config, tmp_path / "run", **how)


def test_muon_in_shards_is_refused(config, tmp_path):
    with pytest.raises(RunStateError, match="Muon needs whole matrices"):
        train.check_shares(options(config, tmp_path, parallel="fsdp"), Processes(0, 2, torch.device("cpu")))


def test_when_a_rank_is_lost_all_end_and_say_so(config, tmp_path, data):
    """By torchrun, as a user starts it."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "training.train", "--preset", "smoke", "--out", str(tmp_path / "run"), "--validation", "None"]
    command += ["--data", str(data / "train"), "--stages", "8:0.5", "16", "--views", "4", "--input-views", "1", "2"]
    command += ["--steps", "100000", "--save-every", "3"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as torchrun:
        until = time.monotonic() + 100
        while not (tmp_path / "run" / LATEST).exists():
            assert torchrun.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        children = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()
        ranks = [child for child in children if "training.train" in Path(f"/proc/{child}/cmdline").read_text()]
        os.kill(int(ranks[-1]), signal.SIGKILL)
        _, errors = torchrun.communicate(timeout=100)
    assert torchrun.returncode != 0
    assert "rank 0: another process of this run was lost, so all end" in errors
    assert load_state(tmp_path / "run" / LATEST)["step"] >= 3


# --- A step -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["wild", "not finite"])
def test_a_wild_or_broken_step_is_skipped_and_counted(config, tmp_path, cause):
    config = dataclasses.replace(config, skip_above=0.0 if cause == "wild" else 5.0, stop_after_skips=3)
    one = train.prepare(options(config, tmp_path), ALONE)
    if cause == "not finite":
        with torch.no_grad():
            one.model.to_pixels[1].weight[0, 0] = math.nan
    before = {name: tensor.clone().nan_to_num(7) for name, tensor in one.model.state_dict().items()}
    for step in range(2):
        report, _ = one.step(step)
        assert report.skipped and math.isfinite(report.loss) == (cause == "wild")
        one.advance(step, report, 0.0)
    after = {name: tensor.nan_to_num(7) for name, tensor in one.model.state_dict().items()}
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert (one.progress.step, one.progress.skipped, one.progress.skipped_in_a_row) == (2, 2, 2)
    with pytest.raises(RunStateError, match="3 steps in a row were skipped"):
        one.advance(2, one.step(2)[0], 0.0)


def test_a_run_whose_loss_stays_not_finite_ends_with_a_sentence(config, tmp_path):
    broken = dataclasses.replace(config, adamw_lr=math.inf, stop_after_skips=4)
    with pytest.raises(SystemExit, match="4 steps in a row were skipped"):
        run(broken, tmp_path / "run")


def test_a_good_step_ends_the_row_of_skipped_ones(config, tmp_path):
    one = train.prepare(options(config, tmp_path), ALONE)
    good = StepReport(0.1, 0.1, 0.0, 0.5, skipped=False)
    one.progress = Progress(skipped=2, skipped_in_a_row=2)
    one.advance(4, good, 1.0)
    assert (one.progress.skipped, one.progress.skipped_in_a_row) == (2, 0)


def test_the_perceptual_term_joins_late_and_moves_the_weights(config, tmp_path, capsys):
    backbone = shared("perceptual", "squeezenet1_1_features.safetensors")
    term = Perceptual(kind="lpips_squeeze", weight=0.5, file=str(backbone), begins=0.5)
    data = write_scenes(tmp_path / "large", 2, size=64)
    config = dataclasses.replace(
        config, sources=(Source(folder=str(data)),), validation=None, batch=1, stages=(Stage(until=1.0, size=64),)
    )
    with_term = train.prepare(options(dataclasses.replace(config, perceptual=term, steps=2), tmp_path / "a"), ALONE)
    assert "Loss: MSE + 0.5 x lpips_squeeze from step 1 on." in capsys.readouterr().out
    first, second = with_term.step(0)[0], with_term.step(1)[0]
    assert first.perceptual == 0 and first.loss == first.squared_error
    assert second.perceptual > 0.01
    assert second.loss == pytest.approx(second.squared_error + 0.5 * second.perceptual)
    without = train.prepare(options(dataclasses.replace(config, steps=2), tmp_path / "b"), ALONE)
    assert "THE PERCEPTUAL TERM IS OFF" in capsys.readouterr().out
    without.step(0)
    without.step(1)
    assert furthest({"model": with_term.model.state_dict()}, {"model": without.model.state_dict()}) > 1e-4


def test_products_are_computed_in_the_chosen_precision_and_images_are_float32(config):
    model = build_model(config.model)
    torch.nn.init.normal_(model.to_pixels[1].weight)
    generator = torch.Generator().manual_seed(0)
    rays = torch.nn.functional.normalize(torch.randn(1, 3, 6, 16, 16, generator=generator), dim=2)
    images = torch.rand(1, 3, 3, 16, 16, generator=generator)
    batch = Batch(images[:, :2], rays[:, :2], rays[:, 2:], images[:, 2:])
    exact = predict(model, batch, torch.float32)
    coarse = predict(model, batch, torch.bfloat16)
    assert exact.dtype == coarse.dtype == torch.float32
    assert torch.equal(exact, model(images[:, :2], rays[:, :2], rays[:, 2:]))
    assert 1e-5 < (exact - coarse).abs().max() < 0.1


def first_batch(config):
    """The first step's scenes, at the first stage's size."""
    views = Views([(config.sources[0].folder, 1.0)], config.stages[0].size, config.seed)
    scenes = scenes_of_steps(views, Share(), 0, 1, config, workers=0)
    return next(step_batches(scenes, config, 0, Share(), ALONE.device))


def test_a_batch_is_cropped_to_one_shape_for_all_and_its_frame_is_jittered(config):
    various = dataclasses.replace(
        config,
        stages=(Stage(until=1.0, size=16),),
        crops=Crops(aspect=(0.4, 0.5)),
        frame_jitter=FrameJitter(scale=2.0),
    )
    batch = first_batch(various)
    inputs = batch.images.shape[1]
    assert batch.images.shape == (4, inputs, 3, 24, 8)
    assert batch.truth.shape == (4, 4 - inputs, 3, 24, 8)
    plain = first_batch(dataclasses.replace(various, frame_jitter=FrameJitter()))
    assert torch.equal(batch.images, plain.images)
    moments, plain_moments = (one.rays[:, 0, :3, 0, 0].norm(dim=-1) for one in (batch, plain))
    assert plain_moments.std() < 1e-5  # all inputs stand 2 away and look at the middle
    assert moments.std() > 0.1


def test_a_share_of_the_scenes_is_mirrored_in_all_views(config):
    images, alpha = torch.rand(16, 4, 3, 8, 8), torch.rand(16, 4, 8, 8)
    poses, lenses = np.tile(np.eye(4), (16, 4, 1, 1)), np.tile([9.0, 9, 3, 4], (16, 4, 1))
    drawn = PosedImages(tuple("abcdefghijklmnop"), images, alpha, poses, lenses)
    some = mirrored_scenes(drawn, dataclasses.replace(config, mirror=0.5), range(16))
    is_mirrored = torch.from_numpy(some.fxfycxcy[:, 0, 2] == 5)
    assert 3 < is_mirrored.sum() < 13
    for after, before in ((some.images, images), (some.alpha, alpha)):
        assert torch.equal(after[is_mirrored], before[is_mirrored].flip(-1))
        assert torch.equal(after[~is_mirrored], before[~is_mirrored])
    assert (some.fxfycxcy[~is_mirrored] == lenses[~is_mirrored]).all()
    plain, mirrored = (first_batch(dataclasses.replace(config, mirror=share)) for share in (0.0, 1.0))
    assert not torch.allclose(mirrored.rays, plain.rays, rtol=0, atol=1e-3)
    with pytest.raises(ValueError, match=r"mirror is 1.5: it must be a share of the scenes"):
        dataclasses.replace(config, mirror=1.5)


def test_a_share_of_the_scenes_has_its_colours_in_another_order(config):
    images = torch.rand(40, 2, 3, 8, 8)
    drawn = PosedImages(("scene",) * 40, images, torch.ones(40, 2, 8, 8), np.zeros((40, 2, 4, 4)), np.zeros((40, 2, 4)))
    some = recoloured_scenes(drawn, dataclasses.replace(config, recolour=0.5), range(40)).images
    orders = set()
    for after, before in zip(some, images, strict=True):
        found = [order for order in itertools.permutations(range(3)) if torch.equal(after, before[:, list(order)])]
        assert len(found) == 1  # both views in the same one
        orders.add(found[0])
    assert len(orders) == 6
    unchanged = (some == images).flatten(1).all(-1).sum()
    assert 10 < unchanged < 30
    plain, other = (first_batch(dataclasses.replace(config, recolour=share)) for share in (0.0, 1.0))
    assert torch.equal(other.rays, plain.rays) and not torch.equal(other.images, plain.images)
    with pytest.raises(ValueError, match=r"recolour is -1: it must be a share of the scenes"):
        dataclasses.replace(config, recolour=-1)


def where(part, whole):
    """The (left, top) at which `part` (C, h, w) stands in `whole` (C, H, W): all places."""
    height, width = part.shape[-2:]
    places = whole.unfold(-2, height, 1).unfold(-2, width, 1).permute(1, 2, 0, 3, 4)  # (tops, lefts, C, h, w)
    return [(left, top) for top, left in (places == part).flatten(2).all(-1).nonzero().tolist()]


@pytest.mark.parametrize("crops", [Crops(), Crops(aspect=(0.4, 0.5))])
def test_windows_are_parts_of_the_targets_with_their_own_rays_and_the_inputs_stay_whole(config, crops):
    whole = first_batch(dataclasses.replace(config, stages=(Stage(until=1.0, size=16),), crops=crops))
    half = Stage(until=1.0, size=16, target_crop=0.5)
    batch = first_batch(dataclasses.replace(config, stages=(half,), crops=crops))
    assert torch.equal(batch.images, whole.images) and torch.equal(batch.rays, whole.rays)
    assert batch.truth.shape[-2:] == batch.target_rays.shape[-2:] == ((8, 8) if crops == Crops() else (16, 8))
    corners = set()
    for scene in range(4):
        for target in range(batch.truth.shape[1]):
            (corner,) = where(batch.target_rays[scene, target], whole.target_rays[scene, target])
            assert corner in where(batch.truth[scene, target], whole.truth[scene, target])
            corners.add(corner)
    assert len(corners) > 3


def test_a_share_of_the_inputs_patches_is_seen(config):
    whole = first_batch(dataclasses.replace(config, stages=(Stage(until=1.0, size=16),)))
    batch = first_batch(dataclasses.replace(config, stages=(Stage(until=1.0, size=16, input_keep_ratio=0.5),)))
    assert whole.seen is None
    assert batch.seen.shape == (*batch.images.shape[:2], 2)  # of 4 patches
    assert len(set(map(tuple, batch.seen.flatten(0, 1).tolist()))) > 1
    assert torch.equal(batch.images, whole.images) and torch.equal(batch.truth, whole.truth)


def test_validation_shows_the_share_that_the_engine_will_show(config, tmp_path):
    """It is the last stage's, in all stages."""
    stages = (Stage(until=0.5, size=16), Stage(until=1.0, size=16, input_keep_ratio=0.5))
    one = train.prepare(options(dataclasses.replace(config, stages=stages, steps=4), tmp_path / "run"), ALONE)
    shown = []
    one.model.register_forward_pre_hook(lambda _, of: shown.append(of[3]))
    validate(one.model, one.config, 16, torch.float32, ALONE)
    assert shown and all(seen.shape == (1, 4, 2) for seen in shown)  # of 4 patches


@pytest.mark.parametrize("parts", [{"target_crop": 0.5}, {"input_keep_ratio": 0.5}])
def test_a_run_that_is_shown_parts_learns(config, tmp_path, parts):
    half = (Stage(until=1.0, size=16, **parts),)
    one = train.prepare(options(dataclasses.replace(config, stages=half, steps=40), tmp_path / "run"), ALONE)
    losses = [one.step(step)[0].loss for step in range(40)]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


# --- Starting from weights --------------------------------------------------------------------------------------------


@pytest.fixture
def exported(config, tmp_path):
    state = run(dataclasses.replace(config, steps=3), tmp_path / "first")
    out = tmp_path / "model.safetensors"
    export.main(export.Options(run=tmp_path / "first", out=out, name="Tiny"))
    return out, state


def test_an_exported_run_is_a_model_of_the_engine(exported, config):
    out, state = exported
    model, card = load_checkpoint(out)
    assert card.resolution == 16
    assert card.input_views == (1, 2)
    assert card.scene_frame == config.scene_frame
    assert "Step 3 of 3" in card.text
    assert same_bits({"model": model.state_dict()}, state)


def test_a_run_starts_from_given_weights_and_then_from_its_own_state(exported, config, tmp_path, capsys):
    out, state = exported
    chained = dataclasses.replace(config, init=str(out), steps=5)
    one = train.prepare(options(chained, tmp_path / "second"), ALONE)
    assert same_bits({"model": one.model.state_dict()}, state)
    assert f"Starts from the weights in {out}" in capsys.readouterr().out
    first = run(chained, tmp_path / "second")
    assert not same_bits(first, state)
    out.unlink()  # no longer needed: the run has a state
    run(dataclasses.replace(chained, steps=6), tmp_path / "second")


def test_a_resumed_run_keeps_the_origin_of_its_weights(exported, config, tmp_path):
    out, _ = exported
    chained = dataclasses.replace(config, init=str(out), steps=3)
    run(chained, tmp_path / "second")
    with pytest.raises(SystemExit, match=r"was started with init .*model\.safetensors, and None is asked for"):
        run(dataclasses.replace(chained, init=None, steps=5), tmp_path / "second")
    assert json.loads((tmp_path / "second" / "config.json").read_text())["init"] == str(out)


def test_weights_of_another_architecture_are_refused(exported, config, tmp_path):
    out, _ = exported
    wider = dataclasses.replace(config, init=str(out), model=dataclasses.replace(config.model, width=128))
    with pytest.raises(SystemExit, match=r"model.safetensors: its model has width 64, and the run's has 128"):
        run(wider, tmp_path / "second")


@pytest.mark.parametrize("side", ["input", "target"])
def test_denser_tokens_begin_with_the_same_weights(side, exported, config, tmp_path):
    out, state = exported
    denser = dataclasses.replace(config.model, **{f"{side}_stride": 4})
    dense = dataclasses.replace(config, init=str(out), model=denser)
    grown = train.prepare(options(dense, tmp_path / "second"), ALONE)
    assert same_bits({"model": grown.model.state_dict()}, state)
    batch = first_batch(config)
    times = {"input": 1, "target": 1} | {side: 4}
    assert grown.model.input_tokens(batch.images, batch.rays).shape[1] == batch.images.shape[1] * times["input"]
    assert grown.model.target_tokens(batch.target_rays).shape[2] == times["target"]  # of one patch
    assert np.isfinite(grown.step(1)[0].loss)


def test_weights_that_are_not_there_are_refused(config, tmp_path):
    with pytest.raises(SystemExit, match=r"gone.safetensors: the model cannot be read"):
        run(dataclasses.replace(config, init=str(tmp_path / "gone.safetensors")), tmp_path / "run")


# --- Command line and presets -----------------------------------------------------------------------------------------


def test_more_views_than_memory_are_refused_with_the_option_that_allows_them(config, tmp_path):
    with pytest.raises(SystemExit, match="a process may keep .* allow more .--memory-gb of training.train"):
        run(config, tmp_path / "run", memory_gb=1e-6)


def test_the_command_line_changes_any_field_of_a_preset():
    words = (
        "--preset cpu --data a b=2.5 --model.width 64 --stages 32:0.5:1:0.6 64:1:0.5 --steps 7 --perceptual.weight 0.5"
    )
    parsed = train.parse([*words.split(), "--scene-frame.kind", "identity", "--init", "weights.safetensors"])
    config = parsed.config
    assert config.sources == (Source(folder="a", weight=1.0), Source(folder="b", weight=2.5))
    assert (config.name, config.model.width, config.model.blocks, config.steps) == ("cpu", 64, 4, 7)
    assert config.stages == (
        Stage(until=0.5, size=32, input_keep_ratio=0.6),
        Stage(until=1.0, size=64, target_crop=0.5),
    )
    assert (config.perceptual.weight, config.scene_frame.kind, config.init) == (0.5, "identity", "weights.safetensors")
    assert train.parse([]).config == PRESETS["default"]()
    with pytest.raises(ValueError, match="must leave a target among 3 views"):
        train.parse(["--views", "3"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stages": (Stage(until=0.5, size=16),)}, "end with until = 1.0"),
        ({"stages": (Stage(until=1.0, size=20),)}, "multiple of the patch size 8"),
        ({"input_views": (4,)}, "must leave a target among 4 views"),
        (
            {"model": ModelConfig(camera_encoding="prope"), "stages": (Stage(until=1.0, size=16, target_crop=0.5),)},
            "PRoPE tells a patch's place in its whole image",
        ),
        (
            {
                "model": ModelConfig(camera_encoding="proxy_point"),
                "stages": (Stage(until=1.0, size=16, input_keep_ratio=0.5),),
            },
            "joint attention with a camera encoding needs as many patches",
        ),
    ],
)
def test_a_configuration_that_cannot_run_is_refused(config, change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(config, **change)


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
@pytest.mark.parametrize(("name", "whole"), [("target_crop", "side"), ("input_keep_ratio", "patches")])
def test_a_stage_s_parts_are_shares(name, whole, share):
    with pytest.raises(ValueError, match=f"{name} is .*: it must be a share of the {whole}"):
        Stage(until=1.0, size=16, **{name: share})


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_whole(name):
    config = PRESETS[name]()
    assert config.name == name
    assert config.resolution % config.model.patch_size == 0
    with torch.device("meta"):
        build_model(config.model)


def test_the_published_presets_are_the_published_models():
    with torch.device("meta"):
        counts = {
            name: sum(parameter.numel() for parameter in build_model(PRESETS[name]().model).parameters())
            for name in ("decoder_only_256", "decoder_only_512", "encoder_decoder_256", "encoder_decoder_512")
        }
    assert set(counts.values()) == {170_795_520, 173_154_816}
    assert PRESETS["decoder_only_512"]().adamw_lr == 4e-5
