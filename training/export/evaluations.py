"""Scores that training.evaluate wrote, for the card of the weights that they are of."""

import json
from pathlib import Path

from .trained_run import ExportError


def score_table(folder: Path, weights: str) -> str:
    """The first table of an evaluation, of all its means; a card has room for no more. weights: their digest.

    Raises ExportError where the evaluation is not of them.
    """
    try:
        models = json.loads((folder / "scores.json").read_text(encoding="utf-8"))["models"]
        table = (folder / "table.md").read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError) as error:
        raise ExportError(f"{folder} holds no evaluation ({error!r}): make one with training.evaluate.") from error
    if weights not in [model["weights"] for model in models]:
        raise ExportError(
            f"{folder} is an evaluation of other weights: export without --evaluation, evaluate that file, export again."
        )
    return table.split("\n\n")[0]
