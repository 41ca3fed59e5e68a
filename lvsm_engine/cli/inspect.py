"""lvsm inspect: what a model's file tells of itself."""

import dataclasses
from dataclasses import dataclass

import tyro

from ..plain_text import plain
from .terminal import say


@dataclass
class Inspect:
    """Tell what a model's file holds."""

    file: tyro.conf.Positional[str]
    """A model's file, or default."""

    def run(self) -> int:
        """Raises CheckpointError."""
        from ..model.checkpoint import read_card

        config, card = read_card(self.file)
        entries = {**dataclasses.asdict(config), **dataclasses.asdict(card)}
        text = entries.pop("text")
        for name, value in entries.items():
            say(f"{name:16} {plain(str(value))}")
        say(f"\n{text}".rstrip())
        return 0
