"""The Markdown that travels with a model: what it is, its data and whose they are, recipe, scores. Knows no files."""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lvsm_engine.model.checkpoint import ModelCard
from lvsm_engine.model.config import ModelConfig

from .credits import SourceCredits, markdown

CONFIG_WIDTH = 118
LVSM = "2410.17242"
PAPERS = {"fast_weights": "2505.23884"}
"""Of architectures that are not LVSM's."""


@dataclass(frozen=True, slots=True)
class Training:
    """What a run did. config: the resolved one. step, seconds: when its state was written. weights: which were taken."""

    config: Mapping[str, Any]
    step: int
    seconds: float
    weights: str


def card_text(
    card: ModelCard,
    model: ModelConfig,
    about: str,
    credits: Sequence[SourceCredits],
    training: Training,
    scores: Mapping[str, str],
) -> str:
    """The whole card. about: what it is made for, and what is beyond it, in words. scores: tables by their headings."""
    parts = [
        f"# {card.name}",
        f"Licence: {card.licence}.",
        _purpose(card, model),
        *([about] if about else []),
        "## Data",
        _data(credits),
        "## Recipe",
        _recipe(training),
    ]
    if scores:
        parts.append("## Scores")
    for heading, table in scores.items():
        parts += [f"### {heading}", table.strip()]
    return "\n\n".join(parts) + "\n"


def _purpose(card: ModelCard, model: ModelConfig) -> str:
    fewest, most = card.input_views
    narrowest, widest = card.field_of_view
    fields = f"{narrowest:.0f}" if round(narrowest) == round(widest) else f"{narrowest:.0f} to {widest:.0f}"
    paper, architecture = PAPERS.get(model.architecture, LVSM), model.architecture.replace("_", "-")
    return (
        f"A Large View Synthesis Model (arXiv {paper}), {architecture}: {fewest} to {most}"
        f" posed photos in, the view of another camera out. Trained at {card.resolution} px, patches of"
        f" {model.patch_size} px{_tokens(card, model)}, horizontal fields of view of {fields} degrees, scene frame"
        f" {card.scene_frame.kind}."
    )


def _tokens(card: ModelCard, model: ModelConfig) -> str:
    apart = f", those of inputs {model.input_stride} px apart" if model.input_stride < model.patch_size else ""
    apart += f", those of targets {model.target_stride} px apart" if model.target_stride < model.patch_size else ""
    if card.input_keep_ratio < 1:
        apart += f", of an input {card.input_keep_ratio:.0%} of them kept, the subject's first"
    return apart


def _data(credits: Sequence[SourceCredits]) -> str:
    lines = []
    for source in credits:
        line = f"- `{source.folder}`, weight {source.weight:g}"
        if source.known:
            line += f": {len(source.known)} objects of the table below"
        if source.note:
            line += f": {source.note}"
        elif source.others:
            line += f": whose {'its other' if source.known else 'its'} objects are is not recorded here"
        lines.append(f"{line}.")
    known = {name: origin for source in credits for name, origin in source.known.items()}
    return "\n".join(lines) + (f"\n\n{markdown(known.values()).strip()}" if known else "")


def _recipe(training: Training) -> str:
    config = training.config
    stages = ", ".join(_stage(stage) for stage in config["stages"])
    return (
        f"Trained with this project's `training/`, preset `{config['name']}`,"
        f" {_beginning(config)}. Step {training.step} of {config['steps']}, {training.seconds / 3600:.1f} hours; {stages}."
        f" Weights: {training.weights}. The whole configuration:\n\n```\n{_told(config)}\n```"
    )


def _told(config: Mapping[str, Any]) -> str:
    """The resolved configuration, in lines of options; nested ones by dotted names, as on the command line."""
    return textwrap.fill(", ".join(f"{name} {value}" for name, value in _flat(config)), CONFIG_WIDTH)


def _flat(entry: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in entry.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, json.dumps(value)


def _stage(stage: Mapping[str, Any]) -> str:
    crop = stage.get("target_crop", 1.0)
    targets = f" (targets: crops of {crop:.0%} of the side)" if crop < 1 else ""
    kept = stage.get("input_keep_ratio", 1.0)
    inputs = f" (inputs: {kept:.0%} of the tokens)" if kept < 1 else ""
    return f"{stage['size']} px{targets}{inputs} until {stage['until']:.0%} of the steps"


def _beginning(config: Mapping[str, Any]) -> str:
    return f"from `{config['init']}`" if config.get("init") else "from nothing"
