"""The published LVSM models (arXiv 2410.17242)."""

import math
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ...scene.frame import SceneFrame
from ..card import ModelCard
from ..config import ModelConfig
from .tensors import count_blocks, shape_of

LICENCE = "CC BY-NC-SA 4.0 (published LVSM weights: not for commercial use)"

_BLOCK_NAMES = (
    ("attention.to_qkv.weight", "attn.to_qkv.weight"),
    ("attention.to_out.weight", "attn.fc.weight"),
    ("attention.q_norm.weight", "attn.q_norm.weight"),
    ("attention.k_norm.weight", "attn.k_norm.weight"),
    ("norm1.weight", "norm1.weight"),
    ("norm2.weight", "norm2.weight"),
    ("mlp.0.weight", "mlp.mlp.0.weight"),
    ("mlp.2.weight", "mlp.mlp.2.weight"),
)
_OUTER_NAMES = (
    ("latents", "n_light_field_latent"),
    ("tokenize_inputs.weight", "image_tokenizer.1.weight"),
    ("tokenize_targets.weight", "target_pose_tokenizer.1.weight"),
    ("to_pixels.0.weight", "image_token_decoder.0.weight"),
    ("to_pixels.1.weight", "image_token_decoder.1.weight"),
)
_NORM_NAMES = {
    "decoder_only": "transformer_input_layernorm.weight",
    "encoder_decoder": "transformer_input_layernorm_decoder.weight",
}
_STACK_NAMES = {
    "blocks": "transformer_blocks",
    "encoder": "transformer_encoder",
    "decoder": "transformer_decoder",
}


def published_name(name: str, config: ModelConfig) -> str:
    """What the published code calls our tensor `name`."""
    if name == "norm.weight":
        return _NORM_NAMES[config.architecture]
    outer = dict(_OUTER_NAMES)
    if name in outer:
        return outer[name]
    stack, index, rest = name.split(".", 2)
    return f"{_STACK_NAMES[stack]}.{index}.{dict(_BLOCK_NAMES)[rest]}"


def infer_config(tensors: Mapping[str, Tensor]) -> ModelConfig:
    """The configuration that names and shapes tell. Raises ValueError for those of no such model."""

    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        return shape_of(tensors, name, dimensions, "LVSM")

    width, pixels = shape("image_tokenizer.1.weight", 2)
    patch_size = math.isqrt(pixels // 9)
    has_latents = "n_light_field_latent" in tensors
    stack = "transformer_decoder" if has_latents else "transformer_blocks"
    qk_norm = f"{stack}.0.attn.q_norm.weight" in tensors
    return ModelConfig(
        architecture="encoder_decoder" if has_latents else "decoder_only",
        width=width,
        head_width=shape(f"{stack}.0.attn.q_norm.weight", 1)[0] if qk_norm else _usual_head_width(width),
        patch_size=patch_size,
        input_stride=patch_size,
        target_stride=patch_size,
        blocks=count_blocks(tensors, stack),
        encoder_blocks=count_blocks(tensors, "transformer_encoder") if has_latents else 0,
        latents=shape("n_light_field_latent", 2)[0] if has_latents else 0,
        mlp_ratio=shape(f"{stack}.0.mlp.mlp.0.weight", 2)[0] // width,
        qk_norm=qk_norm,
    )


def _usual_head_width(width: int) -> int:
    """Without QK norm no tensor tells the heads' size: 64 as published, 32 in models narrower than two such heads."""
    return 64 if width > 64 and width % 64 == 0 else 32


def card_of(_config: ModelConfig, name: str) -> ModelCard:
    """The card of a model in a file of this name: what the released configurations say (scene-level, RealEstate10K)."""
    return ModelCard(
        name=Path(name).stem,
        scene_frame=SceneFrame("mean_pose", 1.35),
        resolution=512 if "512" in name else 256,
        aspect=1.0,
        input_views=(2, 2),
        field_of_view=(50.0, 90.0),
        background=None,
        licence=LICENCE,
        text="Published LVSM weights, converted.",
    )
