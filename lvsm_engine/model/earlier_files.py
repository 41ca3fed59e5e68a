"""Model files of earlier versions: their words as they are now. Knows JSON, nothing of tensors."""

from collections.abc import Mapping
from typing import Any

RENAMED_OPTIONS = {"turned_values": "rotate_values"}
RENAMED_ON_CARD = {"seen_inputs": "input_keep_ratio"}
# Until December 2026 a token was told by the square of pixels of its own, by how far it reached beyond that, and by how many
# of them stood side by side in that square.
OLD_TOKENS = ("patch_overlap", "input_density", "target_density")


def in_todays_words(entry: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """A file's metadata in today's words, and the factor that its head's weights need for the same pictures.

    Raises KeyError, TypeError, ValueError, AttributeError or ArithmeticError for what was never written.
    """
    config = _renamed(entry["config"], RENAMED_OPTIONS)
    card = _renamed(entry["card"], RENAMED_ON_CARD)
    head_factor = 1.0
    if any(word in config for word in OLD_TOKENS):
        config, head_factor = _with_strides(config)
    return {**entry, "config": config, "card": card}, head_factor


def _renamed(entry: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in entry.items()}


def _with_strides(config: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """patch_size, overlap and densities -> patch_size and strides."""
    overlap, *densities = (config.get(word, default) for word, default in zip(OLD_TOKENS, (0, 1, 1), strict=True))
    own = config["patch_size"]
    if any(own % density for density in densities):
        raise ValueError(f"patch_size is {own}, and densities are {densities}")
    input_stride, target_stride = (own // density for density in densities)
    patch_size = own + 2 * overlap
    others = {name: value for name, value in config.items() if name not in OLD_TOKENS}
    tokens = {"patch_size": patch_size, "input_stride": input_stride, "target_stride": target_stride}
    # Logits were divided by the density squared, and are now by the number of patches that reach a pixel.
    return {**others, **tokens}, (patch_size / target_stride) ** 2 / densities[1] ** 2
