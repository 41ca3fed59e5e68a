"""The published LaCT models (arXiv 2505.23884): objects on white, and scenes, a file for each size of pictures."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ...scene.frame import SceneFrame
from ..card import ModelCard
from ..config import ModelConfig
from .tensors import count_blocks, shape_of

LICENCE = "MIT (code of LaCT, Copyright (c) 2025 Tianyuan Zhang, Hao Tan; its weights are published beside it)"
# Height, and width where they differ.
FILE_NAME = re.compile(r"(obj|scene)_res(\d{1,5})(?:x(\d{1,5}))?(?!\d)")
# Of the data of objects: half of the longest side of a subject, and the cameras' field of view.
SUBJECT_SIZE, SUBJECT_FIELD_OF_VIEW = 0.9, 50.0
# Of both published shapes; the fast weights of files for squares are 2 widths wide, those of others 4.
PUBLISHED_WIDTH, PUBLISHED_BLOCKS = 768, 24
# Only this family has a tensor of this name.
MARK = "blocks.0.module_list.1.f.w0"
_OUTER_NAMES = {
    "tokenize_views.weight": "input_linear.weight",
    "norm.weight": "input_layernorm.weight",
    "to_pixels.0.weight": "image_token_decoder.0.weight",
    "to_pixels.1.weight": "image_token_decoder.1.weight",
}
_BLOCK_NAMES = {
    "norm1": "0.ln",
    "attention.to_qkv": "0.f.to_qkv",
    "attention.to_out": "0.f.c_proj",
    "attention.q_norm": "0.f.q_norm",
    "attention.k_norm": "0.f.k_norm",
    "norm2": "1.ln",
    "fast.gate": "1.f.w0",
    "fast.down": "1.f.w1",
    "fast.up": "1.f.w2",
    "fast.to_qkv": "1.f.to_qkv",
    "fast.to_rates": "1.f.lr_fc",
    "fast.out_norm": "1.f.o_norm",
    "fast.to_out": "1.f.c_proj",
    "norm3": "2.ln",
    "mlp.0": "2.f.c_fc",
    "mlp.2": "2.f.c_proj",
}


def published_name(name: str) -> str:
    """What the published code calls our tensor `name`."""
    if name in _OUTER_NAMES:
        return _OUTER_NAMES[name]
    stack, index, layer = name.split(".", 2)
    kind = ""
    if layer not in _BLOCK_NAMES:
        layer, _, kind = layer.rpartition(".")
    return f"{stack}.{index}.module_list.{_BLOCK_NAMES[layer]}{'.' if kind else ''}{kind}"


def infer_config(tensors: Mapping[str, Tensor]) -> ModelConfig:
    """The configuration that names and shapes tell. Raises ValueError for those of no such model."""

    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        return shape_of(tensors, name, dimensions, "LaCT")

    block = "blocks.0.module_list"
    width, pixels = shape("input_linear.weight", 2)
    _, fast_head_width, fast_hidden = shape(MARK, 3)
    patch_size = math.isqrt(pixels // 12)
    return ModelConfig(
        architecture="fast_weights",
        width=width,
        head_width=shape(f"{block}.0.f.q_norm.weight", 1)[0],
        patch_size=patch_size,
        input_stride=patch_size,
        target_stride=patch_size,
        blocks=count_blocks(tensors, "blocks"),
        mlp_ratio=shape(f"{block}.2.f.c_fc.weight", 2)[0] // width,
        fast_head_width=fast_head_width,
        fast_hidden=fast_hidden,
    )


def card_of(config: ModelConfig, name: str) -> ModelCard:
    """The card of a model in a file of this name, which alone tells for what it was trained. Raises ValueError."""
    match = FILE_NAME.search(name)
    if match is None:
        raise ValueError(
            "it is a LaCT model, and its name does not tell for which pictures: give it its published name back, such as"
            " obj_res512.pt or scene_res536x960.pt, or say it to 'lvsm convert --published-as'"
        )
    level, height, width = match[1], int(match[2]), int(match[3] or match[2])
    _check_size(config, width, height)
    return _card_of_objects(name, width, height) if level == "obj" else _card_of_scenes(name, width, height)


def _check_size(config: ModelConfig, width: int, height: int) -> None:
    multiple, told = config.size_multiple, f"its name tells of pictures of {width}x{height} pixels"
    if width % multiple or height % multiple or not width or not height:
        raise ValueError(f"{told}, and with its patches both must be multiples of {multiple}")
    is_published = (config.width, config.blocks) == (PUBLISHED_WIDTH, PUBLISHED_BLOCKS)
    of_squares = config.fast_hidden == 2 * config.width
    if is_published and of_squares != (width == height):
        kind = "squares" if of_squares else "pictures that are no squares"
        raise ValueError(f"{told}, and its fast weights are those of a file for {kind}: it is another file")


def _card_of_objects(name: str, width: int, height: int) -> ModelCard:
    return ModelCard(
        name=Path(name).stem,
        scene_frame=SceneFrame("subject_size", SUBJECT_SIZE),
        resolution=_resolution(width, height),
        aspect=width / height,
        input_views=(8, 20),  # trained with 8; the published example shows it 20
        field_of_view=(SUBJECT_FIELD_OF_VIEW, SUBJECT_FIELD_OF_VIEW),
        background=(1.0, 1.0, 1.0),
        licence=LICENCE,
        text="Published LaCT weights, converted: objects on white, in even light.",
    )


def _card_of_scenes(name: str, width: int, height: int) -> ModelCard:
    views = 32 if width == height else 64
    return ModelCard(
        name=Path(name).stem,
        scene_frame=SceneFrame("mean_pose", 1.0),
        resolution=_resolution(width, height),
        aspect=width / height,
        input_views=(views, views),
        field_of_view=(40.0, 90.0),  # of the videos that it was trained on; not told more exactly
        background=None,
        licence=LICENCE,
        text="Published LaCT weights, converted: scenes of DL3DV.",
    )


def _resolution(width: int, height: int) -> int:
    return round(math.sqrt(width * height))
