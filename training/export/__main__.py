"""Turn a run's state into a model's file for the engine, with its card.

    python -m training.export --run runs/default --out model.safetensors
    python -m training.evaluate --model model.safetensors --views data/views/val --out runs/default/evaluation
    python -m training.export --run runs/default --out model.safetensors --evaluation runs/default/evaluation \\
        --manifest data/objects/manifest.jsonl --notes data/views/procedural "made by training.procedural"

The file holds weights, configuration and card (data and whose they are, the run's resolved configuration, scores); the
card is also written beside it as .md, and, where manifests are given, a line an object as .attributions.tsv. Scores of
other weights than these are refused. Run it where the run was trained: what its data are is read from them.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro

from lvsm_engine.errors import LvsmError
from lvsm_engine.model.checkpoint import Model, ModelCard, build_model, read_card, save_checkpoint
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.photos import WHITE
from lvsm_engine.scene.frame import SceneFrame
from lvsm_engine.whole_files import write_bytes

from ..evaluate.weights_digest import weights_digest
from ..objects.credits import Attribution, object_names, read_attributions, tab_separated
from ..train.state import AVERAGED, LATEST, load_state
from ..views.sources import is_procedural, procedural_words, read_scenes
from ..views.stored import ViewsError
from .model_card import SourceCredits, Training, card_text
from .soup import soup

OWN_LICENCE = "GPL-3.0-or-later"
# Each view has a lens drawn by itself: so many scenes show the range.
SCENES_MEASURED = 64
MADE_HERE = "made by training.procedural"
NEEDED = ("name", "model", "sources", "scene_frame", "stages", "steps", "input_views")
"""What the card cannot do without in a run's configuration."""


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
    """GPL-3.0-or-later where not given; where other models' weights are in it (started from, soup), theirs."""
    state: str = LATEST
    """Which of the run's states."""
    weights: Literal["best", "last"] = "best"
    """best: averaged ones where the state has them; last: those of its step."""
    soup: dict[str, float] = field(default_factory=dict)
    """Models' files that the run's weights are averaged with, and their shares (training/soup.py): FILE SHARE and so on."""
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


def main(options: Options) -> None:
    config = read_config(options.run)
    state = load_state(options.run / options.state)
    model, weights = model_of(config, state, options)
    tables = {folder.name: score_table(folder, weights_digest(model)) for folder in options.evaluation}
    credits = credits_of(config, options)
    card = ModelCard(
        name=options.name,
        scene_frame=SceneFrame(**config["scene_frame"]),
        resolution=config["stages"][-1]["size"],
        input_views=(min(config["input_views"]), max(config["input_views"])),
        field_of_view=options.field_of_view or measured_field_of_view(config),
        background=WHITE,
        input_keep_ratio=config["stages"][-1].get("input_keep_ratio", 1.0),
        licence=options.licence or licence_of(config, options.soup),
    )
    training = Training(config, state["step"], state["seconds"], f"{weights}, stored as {options.precision}")
    text = card_text(card, model.config, options.about, credits, training, tables)
    save_checkpoint(options.out, model, replace(card, text=text), getattr(torch, options.precision))
    write_bytes(options.out.with_suffix(".md"), text.encode())
    known = {name: one for source in credits for name, one in source.known.items()}
    if known:
        write_bytes(options.out.with_suffix(".attributions.tsv"), tab_separated(known).encode())
    for source in credits:
        if source.others and not source.note:
            print(f"{source.folder}: whose its objects are is not told; give --manifest, or --notes.")
    size = options.out.stat().st_size / 1e6
    print(f"{options.out}: {size:.1f} MB, step {state['step']} of {config['steps']}, {training.weights}")


def read_config(run: Path) -> dict[str, Any]:
    """The resolved configuration of a run. Raises SystemExit with a sentence where it is missing or not one of these."""
    path = run / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(
            f"{path}: the run's configuration cannot be read ({error}): give the folder of a run."
        ) from error
    missing = [key for key in NEEDED if key not in config]
    if missing:
        raise SystemExit(f"{path} does not tell {', '.join(missing)}: it is of another version of this program.")
    return config


def model_of(config: dict[str, Any], state: dict[str, Any], options: Options) -> tuple[Model, str]:
    """The model with its weights rounded as they are stored, and in words which weights they are.

    Raises SystemExit for weights that the precision cannot hold.
    """
    is_averaged = options.weights == "best" and AVERAGED in state
    tensors = state[AVERAGED] if is_averaged else state["model"]
    words = "averaged over steps" if is_averaged else "those of its last step"
    if options.soup:
        tensors = soup(tensors, options.soup)
        others = ", ".join(f"{share:.0%} those of `{file}`" for file, share in options.soup.items())
        words = f"{words}; in the mean with others, of which {others}"
    stored = getattr(torch, options.precision)
    rounded = {name: tensor.to(stored).float() for name, tensor in tensors.items()}
    for name, tensor in rounded.items():
        if not torch.isfinite(tensor).all():
            cause = f"do not fit into {options.precision}" if torch.isfinite(tensors[name]).all() else "are not finite"
            raise SystemExit(f"{options.run}: the weights '{name}' {cause}: export as float32, or an earlier state.")
    model = build_model(ModelConfig(**config["model"]))
    model.load_state_dict(rounded)
    return model.eval().requires_grad_(False), words


def score_table(folder: Path, weights: str) -> str:
    """The table that training.evaluate wrote. Raises SystemExit where it is not of these weights."""
    try:
        models = json.loads((folder / "scores.json").read_text(encoding="utf-8"))["models"]
        table = (folder / "table.md").read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"{folder} holds no evaluation ({error!r}): make one with training.evaluate.") from error
    if weights not in [model["weights"] for model in models]:
        raise SystemExit(
            f"{folder} is an evaluation of other weights: export without --evaluation, evaluate that file, export again."
        )
    return table


def credits_of(config: dict[str, Any], options: Options) -> list[SourceCredits]:
    """Whose the run's sources are, as far as manifests and notes tell. Raises SystemExit for a note on none of them."""
    strangers = set(options.notes) - {source["folder"] for source in config["sources"]}
    if strangers:
        raise SystemExit(f"--notes: '{strangers.pop()}' is no source of {options.run}: see sources in its config.json.")
    listed: dict[str, Attribution] = {}
    for manifest in options.manifest:
        listed |= read_attributions(manifest)
    credits = []
    for source in config["sources"]:
        folder = source["folder"]
        made_here = is_procedural(folder)
        owes_nobody = made_here and procedural_words(folder)[1] is None  # textures from a folder are somebody's
        note = options.notes.get(folder, MADE_HERE if owes_nobody else "")
        names = [] if note or made_here else object_names(Path(folder))
        known = {name: listed[name] for name in names if name in listed}
        others = not names or len(known) < len(names)
        credits.append(SourceCredits(source["folder"], source["weight"], known, others, note))
    return credits


def licence_of(config: dict[str, Any], averaged_with: Iterable[str]) -> str:
    """Of weights that come from models' files (started from, averaged with), theirs.

    Raises SystemExit where one cannot be read, or they differ.
    """
    sources = [*([config["init"]] if config.get("init") else []), *averaged_with]
    try:
        licences = {read_card(file)[1].licence for file in sources} or {OWN_LICENCE}
    except LvsmError as error:
        raise SystemExit(f"{error} These weights come from it; its licence holds on: give --licence.") from error
    if len(licences) > 1:
        raise SystemExit(
            f"The models that these weights come from have different licences ({'; '.join(sorted(licences))}): give --licence."
        )
    return licences.pop()


def measured_field_of_view(config: dict[str, Any]) -> tuple[float, float]:
    """The narrowest and widest horizontal field of view in the run's data, degrees, its crops included.

    Raises SystemExit where the data are not there.
    """
    size = config["stages"][-1]["size"]
    half_widths = []
    for source in config["sources"]:
        try:
            scenes = list(islice(read_scenes(Path(source["folder"]), size), SCENES_MEASURED))
        except ViewsError as error:
            raise SystemExit(f"{error} Or give --field-of-view.") from error
        half_widths += [size / 2 / scene.fxfycxcy[:, 0] for scene in scenes]
    narrowest, widest = float(np.min(np.concatenate(half_widths))), float(np.max(np.concatenate(half_widths)))
    if crops := config.get("crops"):
        # A window narrower than high is cut from the image's width; one wider than high keeps it.
        narrowest *= min(1.0, crops["aspect"][0]) / crops["zoom"][1]
        widest *= min(1.0, crops["aspect"][1]) / crops["zoom"][0]
    return degrees(narrowest), degrees(widest)


def degrees(half_width: float) -> float:
    """The field of view, to a hundredth, of an image that is half_width wide on each side at distance 1."""
    return round(math.degrees(2 * math.atan(half_width)), 2)


if __name__ == "__main__":
    try:
        main(tyro.cli(Options))
    except LvsmError as error:
        raise SystemExit(f"{error}") from error
