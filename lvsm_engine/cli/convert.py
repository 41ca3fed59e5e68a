"""lvsm convert: models between the published form and ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from .terminal import say


@dataclass
class Convert:
    """Turn a published .pt into our safetensors, or ours into a published .pt."""

    source: tyro.conf.Positional[Path]
    """The model to read."""
    target: tyro.conf.Positional[Path]
    """The file to write: .pt for the published form, else ours."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """How ours stores the weights: the last two make files of half the size."""
    published_as: str | None = None
    """The name that a published LaCT file had, such as obj_res512.pt, where it has another now."""

    def run(self) -> int:
        """Raises CheckpointError."""
        import torch

        from ..model.checkpoint import export_published, load_checkpoint, save_checkpoint
        from ..model.costs import parameter_count

        model, card = load_checkpoint(self.source, self.published_as)
        if self.target.suffix == ".pt":
            export_published(self.target, model)
        else:
            save_checkpoint(self.target, model, card, getattr(torch, self.precision))
        millions = parameter_count(model) / 1e6
        say(f"{self.target}: {model.config.architecture}, {millions:.1f} M parameters. Licence: {card.licence}")
        return 0
