"""Published models at full size, with random weights, through Blender's button, F12 and the batch: seconds, and memory.

    python -m benchmarks.published lvsm-decoder-only-256 lact-objects-256 [--photos 8 --python PYTHON_WITH_BPY]

A file of random numbers stands under the published name, so that what is measured is what the true file would take; the pictures
are noise. Photos are the sample capture's. Each model has a Blender and engines of its own. Prints a table: the most that an
engine held, beside what is planned for so many photos: its code with torch (0.5 GB) and the photos of the detail are beyond it.
"""

import dataclasses
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from lvsm_engine.known_models import FOLDER_VARIABLE, KnownModel, known_model
from lvsm_engine.model.checkpoint import build_model, export_published
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.model.costs import bytes_a_target, bytes_of_inputs, context_tokens, parameter_count
from training.presets import PRESETS

from .in_blender import measured

ROOT = Path(__file__).resolve().parents[1]
CAPTURE = ROOT / "training" / "sample_capture" / "transforms.json"
PRESET = {
    "decoder_only": "decoder_only_256",
    "encoder_decoder": "encoder_decoder_256",
    "fast_weights": "lact_256",
}


@dataclass(frozen=True)
class Options:
    """Measure published models at full size in Blender."""

    models: tyro.conf.Positional[tuple[str, ...]]
    """Names of known models (lvsm models)."""
    photos: int | None = None
    """That feed the model; the fewest it was trained with where it is not given."""
    python: Path = ROOT / ".venv-bpy" / "5.0" / "bin" / "python"
    """A Python that has the bpy module."""


def main(options: Options) -> None:
    print("| model | photos | file | written | button | F12 | batch | held at most | planned |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in options.models:
        model = known_model(name)
        with tempfile.TemporaryDirectory() as folder:
            print(_row(model, options.photos or model.photos[0], options.python, Path(folder)), flush=True)


def _row(model: KnownModel, photos: int, python: Path, folder: Path) -> str:
    began = time.monotonic()
    file = folder / model.file
    export_published(file, build_model(published_config(model)))
    written = time.monotonic() - began
    words = (model.name, photos, model.width, model.height, CAPTURE, folder)
    took = measured(python, "published_in_blender.py", *words, resources=folder, **{FOLDER_VARIABLE: str(folder)})
    cells = (
        f"`{model.name}`",
        f"{photos}",
        f"{file.stat().st_size / 1e9:.2f} GB",
        *(f"{seconds:.0f} s" for seconds in (written, took["button"], took["F12"], took["batch"])),
        f"{took['held'] / 1e9:.1f} GB",
        f"{planned_bytes(model, photos) / 1e9:.1f} GB",
    )
    return f"| {' | '.join(cells)} |"


def published_config(model: KnownModel) -> ModelConfig:
    """The shape of a published model's file."""
    config = PRESETS[PRESET[model.architecture]]().model
    is_of_wide_pictures = model.architecture == "fast_weights" and model.width != model.height
    return dataclasses.replace(config, fast_hidden=4 * config.width) if is_of_wide_pictures else config


def planned_bytes(model: KnownModel, photos: int) -> float:
    """What the engine plans for the weights, so many photos of the model's size, and a picture of it."""
    config, pixels = published_config(model), model.width * model.height
    with torch.device("meta"):
        weights = 4 * parameter_count(build_model(config))
    tokens = photos * pixels // config.patch_size**2
    inputs = bytes_of_inputs(config, tokens, photos * pixels, photos)
    return float(weights + inputs + bytes_a_target(config, tokens // photos, context_tokens(config, tokens)))


if __name__ == "__main__":
    main(tyro.cli(Options))
