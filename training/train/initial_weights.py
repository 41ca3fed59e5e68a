"""The weights that a run starts from: those of a model's file, grown where the run's model is larger.

Its tokens may read more pixels, or be more, there may be more blocks, and they may turn their values.
"""

import dataclasses

import torch
from torch import Tensor

from lvsm_engine.model.checkpoint import Model, build_model, load_checkpoint
from lvsm_engine.model.decoder_only import DecoderOnly

from ..configs import TrainingConfig
from .state import RunStateError

# What a block adds to its tokens, it adds by these.
WRITING = ("attention.to_out.weight", "mlp.2.weight")
# Tensors whose rows or columns are the pixels of a token: name, axis of the pixels.
OF_PIXELS = (("tokenize_inputs.weight", 1), ("tokenize_targets.weight", 1), ("to_pixels.1.weight", 0))


def load_initial(config: TrainingConfig) -> Model:
    """The model of the configuration's `init` file. Raises CheckpointError, and RunStateError for another architecture."""
    assert config.init is not None
    model, _ = load_checkpoint(config.init)
    model = with_overlap(model, max(model.config.patch_overlap, config.model.patch_overlap))
    model = with_options(
        model,
        input_density=max(model.config.input_density, config.model.input_density),
        target_density=max(model.config.target_density, config.model.target_density),
        turned_values=model.config.turned_values or config.model.turned_values,
    )
    model = with_blocks(model, max(model.config.blocks, config.model.blocks))
    for name in config.model.__dataclass_fields__:
        have, want = getattr(model.config, name), getattr(config.model, name)
        if have != want:
            raise RunStateError(
                f"{config.init}: its model has {name} {have}, and the run's has {want}. Give --model.{name.replace('_', '-')}"
                f" {have}, or another --init."
            )
    return model.train()


def with_overlap(model: Model, overlap: int) -> Model:
    """The same function of photos and cameras as a model whose tokens also reach `overlap` pixels beyond their patch.

    What it gains starts at 0. overlap is at least the model's own.
    """
    own = model.config
    if overlap == own.patch_overlap:
        return model
    wider = build_model(dataclasses.replace(own, patch_overlap=overlap))
    tensors = model.state_dict()
    side = own.patch_size + 2 * own.patch_overlap
    for name, axis in OF_PIXELS:
        tensors[name] = _framed(tensors[name].movedim(axis, 0), side, overlap - own.patch_overlap).movedim(0, axis)
    wider.load_state_dict(tensors)
    return wider


def with_options(model: Model, *, input_density: int, target_density: int, turned_values: bool) -> Model:
    """A model of the same weights, but with these options, which change its pictures."""
    config = dataclasses.replace(
        model.config, input_density=input_density, target_density=target_density, turned_values=turned_values
    )
    if config == model.config:
        return model
    changed = build_model(config)
    changed.load_state_dict(model.state_dict())
    return changed


def with_blocks(model: Model, blocks: int) -> Model:
    """The same function of photos and cameras as a decoder-only model, with copies of its last blocks that add nothing yet.

    Another architecture is returned as it is. blocks is at least the model's own number.
    """
    own = model.config
    if blocks == own.blocks or not isinstance(model, DecoderOnly):
        return model
    deeper = build_model(dataclasses.replace(own, blocks=blocks))
    tensors = model.state_dict()
    for number in range(own.blocks, blocks):
        copied = model.blocks[(number - blocks) % own.blocks]  # one each, so that they do not learn alike
        for name, tensor in copied.state_dict().items():
            tensors[f"blocks.{number}.{name}"] = torch.zeros_like(tensor) if name in WRITING else tensor.clone()
    deeper.load_state_dict(tensors)
    return deeper


def _framed(weights: Tensor, side: int, border: int) -> Tensor:
    """(side * side * C, D) -> the same with zeros for a border of so many pixels around the square of side x side."""
    square = weights.unflatten(0, (side, side, -1))  # (side, side, C, D)
    return torch.nn.functional.pad(square, (0, 0, 0, 0, border, border, border, border)).flatten(0, 2)
