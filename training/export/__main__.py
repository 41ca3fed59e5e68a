"""Turn a run's state into a model's file for the engine, with its card.

    python -m training.export --run runs/default --out model.safetensors
    python -m training.evaluate --model model.safetensors --views data/views/val --out runs/default/evaluation
    python -m training.export --run runs/default --out model.safetensors --evaluation runs/default/evaluation \\
        --manifest data/objects/manifest.jsonl --notes data/views/procedural "made by training.procedural"

The file holds weights, configuration and card (data and whose they are, the run's resolved configuration, scores); the
card is also written beside it as .md, and, where manifests are given, a line an object as .attributions.tsv. Scores of
other weights than these are refused. Run it where the run was trained: what its data are is read from them.
"""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
import tyro

from lvsm_engine.digests import weights_digest
from lvsm_engine.model.checkpoint import ModelCard, save_checkpoint
from lvsm_engine.photos import WHITE
from lvsm_engine.scene.frame import SceneFrame
from lvsm_engine.whole_files import write_bytes

from ..exit_status import exit_status
from ..train.state import LATEST, load_state
from .credits import SourceCredits, credits_of, tab_separated
from .evaluations import score_table
from .field_of_view import measured_field_of_view
from .model_card import Training, card_text
from .trained_run import chosen_weights, licence_of, model_of, read_config


@dataclass
class Options:
    """Turn a run's state into a model's file for the engine."""

    run: Path
    """The run's folder."""
    out: Path
    """The file to write; the card is written beside it, as .md."""
    name: str = "LVSM default"
    about: str = ""
    """What it is made for, and what is beyond it: a paragraph of the card."""
    licence: str | None = None
    """GPL-3.0-or-later where not given; where the run started from a model's file, that one's."""
    state: str = LATEST
    """Which of the run's states."""
    weights: Literal["best", "last"] = "best"
    """best: averaged ones where the state has them; last: those of its step."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """How weights are stored; computing is in float32 or bfloat16 all the same."""
    evaluation: tuple[Path, ...] = ()
    """Folders that training.evaluate wrote for these weights: their tables go into the card."""
    manifest: tuple[Path, ...] = ()
    """Whose the objects are: JSON lines or a JSON list with name, licence, author and address or repository."""
    notes: dict[str, str] = field(default_factory=dict)
    """What to say of a source (its folder in the run's configuration) that no manifest tells of."""
    field_of_view: tuple[float, float] | None = None
    """The narrowest and widest in training, horizontal, degrees; measured on the data where not given."""


def main(options: Options) -> int:
    return exit_status(lambda: export(options))


def export(options: Options) -> None:
    """Write the model's file and its card. Raises LvsmError."""
    config = read_config(options.run)
    state = load_state(options.run / options.state)
    tensors, words = chosen_weights(state, options.weights == "last")
    model = model_of(config, tensors, options.precision, options.run)
    tables = {folder.name: score_table(folder, weights_digest(model)) for folder in options.evaluation}
    credits = credits_of(config, options.run, options.manifest, options.notes)
    card = ModelCard(
        name=options.name,
        scene_frame=SceneFrame(**config["scene_frame"]),
        resolution=config["stages"][-1]["size"],
        input_views=(min(config["input_views"]), max(config["input_views"])),
        field_of_view=options.field_of_view or measured_field_of_view(config),
        background=WHITE,
        input_keep_ratio=config["stages"][-1].get("input_keep_ratio", 1.0),
        licence=options.licence or licence_of(config),
    )
    training = Training(config, state["step"], state["seconds"], f"{words}, stored as {options.precision}")
    text = card_text(card, model.config, options.about, credits, training, tables)
    save_checkpoint(options.out, model, replace(card, text=text), getattr(torch, options.precision))
    write_bytes(options.out.with_suffix(".md"), text.encode())
    write_attributions(options.out.with_suffix(".attributions.tsv"), credits)
    size = options.out.stat().st_size / 1e6
    print(f"{options.out}: {size:.1f} MB, step {state['step']} of {config['steps']}, {training.weights}")


def write_attributions(path: Path, credits: list[SourceCredits]) -> None:
    """A line for each object whose origin is known, where there are any; and a word on sources of which nobody tells."""
    known = {name: one for source in credits for name, one in source.known.items()}
    if known:
        write_bytes(path, tab_separated(known).encode())
    for source in credits:
        if source.others and not source.note:
            print(f"{source.folder}: whose its objects are is not told; give --manifest, or --notes.")


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
