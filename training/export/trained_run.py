"""What a run has left behind: its configuration, and a model with its weights. Knows nothing of cards."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lvsm_engine.errors import LvsmError
from lvsm_engine.model.checkpoint import Model, build_model, read_card
from lvsm_engine.model.config import ModelConfig

from ..train.state import AVERAGED, CONFIG

OWN_LICENCE = "GPL-3.0-or-later"
NEEDED = ("name", "model", "sources", "scene_frame", "stages", "steps", "input_views")
"""What the card cannot do without in a run's configuration."""


class ExportError(LvsmError):
    """A run cannot become a model's file: the sentence says why, and what to do."""


def read_config(run: Path) -> dict[str, Any]:
    """The resolved configuration of a run. Raises ExportError where it is missing or not one of these."""
    path = run / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{path}: the run's configuration cannot be read ({error}): give the folder of a run."
        ) from error
    missing = [key for key in NEEDED if key not in config]
    if missing:
        raise ExportError(f"{path} does not tell {', '.join(missing)}: it is of another version of this program.")
    return config


def chosen_weights(state: Mapping[str, Any], last: bool) -> tuple[Mapping[str, torch.Tensor], str]:
    """A state's weights, and in words which they are: averaged ones where it has them and `last` does not forbid."""
    if AVERAGED in state and not last:
        return state[AVERAGED], "averaged over steps"
    return state["model"], "those of its last step"


def model_of(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], precision: str, run: Path) -> Model:
    """A run's model with these weights, rounded as they are stored. Raises ExportError for what the precision cannot hold."""
    stored = getattr(torch, precision)
    rounded = {name: tensor.to(stored).float() for name, tensor in tensors.items()}
    for name, tensor in rounded.items():
        if not torch.isfinite(tensor).all():
            cause = f"do not fit into {precision}" if torch.isfinite(tensors[name]).all() else "are not finite"
            raise ExportError(f"{run}: the weights '{name}' {cause}: export as float32, or an earlier state.")
    model = build_model(ModelConfig(**config["model"]))
    model.load_state_dict(rounded)
    return model.eval().requires_grad_(False)


def licence_of(config: Mapping[str, Any]) -> str:
    """Of weights that come from a model's file, that one's. Raises ExportError where it cannot be read."""
    if not config.get("init"):
        return OWN_LICENCE
    try:
        return read_card(config["init"])[1].licence
    except LvsmError as error:
        raise ExportError(f"{error} These weights come from it; its licence holds on: give --licence.") from error
