"""lvsm inspect: what a model's file tells of itself."""

import dataclasses
from dataclasses import dataclass

import tyro

from ..known_models import model_called
from ..plain_text import plain
from .terminal import say


@dataclass
class Inspect:
    """Tell what a model's file holds."""

    file: tyro.conf.Positional[str]
    """A model's file, or the name of a known one (lvsm models), such as default."""

    def run(self) -> int:
        """Raises CheckpointError."""
        from ..model.checkpoint import read_card

        config, card = read_card(self.file)
        entries = {**dataclasses.asdict(config), **dataclasses.asdict(card)}
        text = entries.pop("text")
        for name, value in entries.items():
            say(f"{name:16} {plain(str(value))}")
        if (known := model_called(self.file)) is not None:
            use = "free for commercial use" if known.is_commercial else "not free for every use: read the licence"
            say(f"{'known as':16} {known.name}\n{'its licence':16} {known.licence}\n{'use':16} {use}")
        say(f"\n{text}".rstrip())
        return 0
