"""Splitting the work changes nothing but rounding; blocks are compiled whole; a lost rank ends all."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from lvsm_engine.model.checkpoint import build_model
from lvsm_engine.model.config import ModelConfig
from tests.shared_data import ROOT
from tests.training.train.launch import launch_ranks
from tests.training.train.runs import ALONE, furthest, options, run
from training.configs import changed
from training.train.parallel import parallelize
from training.train.state import BEFORE_DECAY, LATEST, load_state


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
    config = changed(parallel_config, muon_lr=0.02)
    whole, split = run(config, tmp_path / "whole"), run(config, tmp_path / "split", accumulate=2)
    assert furthest(split, whole) < 1e-4
    ranks = launch_ranks(options(config, tmp_path / "two"), tmp_path / "two.txt", 2)
    assert [rank.ended() for rank in ranks] == [0, 0], ranks[0].says()[-3000:]
    assert furthest(load_state(tmp_path / "two" / LATEST), whole) < 1e-4


def test_a_state_saved_in_shards_goes_on_in_one_process(parallel_config, one_process, tmp_path):
    half = changed(parallel_config, steps=3, decay=0.0)
    whole = changed(parallel_config, decay=0.0)
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
