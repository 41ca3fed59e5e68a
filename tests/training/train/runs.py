"""Runs in this process, and what their states have in common."""

import torch

from training.train.options import Options
from training.train.parallel import Processes
from training.train.preparation import prepare
from training.train.state import LATEST, load_state

ALONE = Processes(0, 1, torch.device("cpu"))


def options(config, folder, **others):
    """Of a run in float32."""
    return Options(config=config, out=folder, precision="float32", **others)


def run(config, folder, **others):
    """Train to the end; returns the last state."""
    assert prepare(options(config, folder, **others), ALONE).train()
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
