"""A run on disk: what resumes it exactly. Written whole or not at all; one that cannot be read stops the run."""

import dataclasses
import json
import os
import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

from .configs import TrainingConfig

LATEST = "latest.pt"
BEFORE_DECAY = "before_decay.pt"
"""The state when the learning rate began to fall: from here a longer run can go on."""


def save_state(
    path: Path, step: int, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], seconds: float
) -> None:
    """Write what resumes the run before `step`; seconds: of training so far, wall clock."""
    state = {
        "step": step,
        "model": model.state_dict(),
        "optimizers": get_optimizer_state_dict(model, optimizers),  # by parameters' names, not their order
        "seconds": seconds,
    }
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load_state(path: Path) -> dict:
    """The state that save_state wrote. Raises SystemExit with a sentence where it cannot be read: never a fresh start."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise SystemExit(
            f"{path}: the run's state cannot be read ({error}). Restore the file, or give another --out to start anew."
        ) from error


def restore(state: dict, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Put a loaded state into a model and its optimizers."""
    model.load_state_dict(state["model"])
    set_optimizer_state_dict(model, optimizers, state["optimizers"])


def write_config(folder: Path, config: TrainingConfig) -> None:
    """The resolved configuration, beside the run."""
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n")
