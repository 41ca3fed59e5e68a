"""lvsm convert: models between the published form and ours."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from .terminal import say


@dataclass
class Convert:
    """Turn a published .pt into our safetensors, or ours into a published .pt."""

    source: tyro.conf.Positional[Path]
    """The model to read."""
    target: tyro.conf.Positional[Path]
    """The file to write: .pt for the published form, else ours."""

    def run(self) -> int:
        """Raises CheckpointError."""
        from ..model.checkpoint import export_published, load_checkpoint, save_checkpoint
        from ..model.costs import parameter_count

        model, card = load_checkpoint(self.source)
        if self.target.suffix == ".pt":
            export_published(self.target, model)
        else:
            save_checkpoint(self.target, model, card)
        millions = parameter_count(model) / 1e6
        say(f"{self.target}: {model.config.architecture}, {millions:.1f} M parameters. Licence: {card.licence}")
        return 0
