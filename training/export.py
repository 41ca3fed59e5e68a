"""Turn a run's state into a model's file for the engine, with its card.

python -m training.export --run runs/default --out lvsm_engine/weights/default.safetensors --evaluation runs/default/evaluation
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import tyro

from lvsm_engine.model.checkpoint import ModelCard, build_model, save_checkpoint
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.scene.frame import SceneFrame

from .run_state import LATEST, load_state


@dataclass
class Options:
    """Turn a run's state into a model's file for the engine."""

    run: Path
    """The run's folder."""
    out: Path
    """The file to write; the card is written beside it, as .md."""
    name: str = "LVSM default"
    licence: str = "GPL-3.0-or-later"
    state: str = LATEST
    """Which of the run's states."""
    evaluation: Path | None = None
    """Folder that training.evaluate wrote: its table goes into the card."""


def main(options: Options) -> None:
    config = json.loads((options.run / "config.json").read_text())
    state = load_state(options.run / options.state)
    model = build_model(ModelConfig(**config["model"]))
    model.load_state_dict(state["model"])
    card = ModelCard(
        name=options.name,
        scene_frame=SceneFrame(**config["scene_frame"]),
        resolution=config["stages"][-1]["size"],
        input_views=(min(config["input_views"]), max(config["input_views"])),
        field_of_view=(50.0, 50.0),
        background=(1.0, 1.0, 1.0),
        licence=options.licence,
        text=card_text(options, config, state),
    )
    save_checkpoint(options.out, model, card)
    options.out.with_suffix(".md").write_text(card.text)
    size = options.out.stat().st_size / 1e6
    print(
        f"{options.out}: {size:.1f} MB, step {state['step']} of {config['steps']}, as {dataclasses.asdict(model.config)}"
    )


def card_text(options: Options, config: dict, state: dict) -> str:
    """The model card, Markdown: what it is for, data, recipe, scores."""
    sources = "\n".join(f"- `{source['folder']}`, weight {source['weight']:g}" for source in config["sources"])
    stages = ", ".join(f"{stage['size']} px until {stage['until']:.0%} of the steps" for stage in config["stages"])
    text = f"""# {options.name}

Licence: {options.licence}. Trained with this project's `training/` (preset `{config["name"]}`), from nothing.

Made for single objects in front of white, photographed all around, at {config["stages"][-1]["size"]} px.
Backgrounds, thin parts and texture finer than a patch of {config["model"]["patch_size"]} px are beyond it.

## Data

{sources}

`data/views/train` is rendered from objects that are free to use, all with attribution kept: Google Scanned Objects
(Google LLC), the YCB Object and Model Set (Calli et al.), Khronos glTF sample models, Babylon.js meshes, Open Robotics'
Gazebo models (all CC BY), AWS RoboMaker worlds (MIT-0), Decentraland's asset packs (ISC), KayKit, Kenney, Poly Haven and
other CC0 packs.
`data/views/procedural` is made by `training/procedural`.

## Recipe

Step {state["step"]} of {config["steps"]}, {state["seconds"] / 3600:.1f} hours; {stages};
inputs drawn from {config["input_views"]}, the rest of {config["views"]} views are targets; MSE;
Muon {config["muon_lr"]:g} for the blocks' matrices, AdamW {config["adamw_lr"]:g} for the rest; bf16.
"""
    if options.evaluation is not None:
        text += "\n## Scores\n\n" + (options.evaluation / "table.md").read_text()
    return text


if __name__ == "__main__":
    main(tyro.cli(Options))
