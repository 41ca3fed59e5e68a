"""What comes back from a card: the run's weights in parts, and beside them all that tells of the run.

python -m training.card.results --run RUN --pack data/on_a_card --before 0 --out results
"""

import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from lvsm_engine.whole_files import write_whole

from ..exit_status import exit_status
from ..export.__main__ import Options as ExportOptions
from ..export.__main__ import export
from ..export.field_of_view import measured_field_of_view
from ..export.trained_run import read_config
from ..objects.manifest import MANIFEST
from ..train.state import CONFIG, LATEST, load_state
from ..views.sources import is_procedural
from .weights import split_weights

MODEL = "model.safetensors"


@dataclass
class Options:
    """Write what comes back from a card."""

    run: Path
    """The run's folder."""
    pack: Path
    """The folder that travelled."""
    out: Path
    """The folder that comes back."""
    before: int = 0
    """Steps that the run's first weights had had before."""


def write_results(options: Options) -> None:
    """Raises LvsmError."""
    run, config = options.run, read_config(options.run)
    # Procedural scenes are slow to draw, and are seen through the same lenses.
    stored = [source for source in config["sources"] if not is_procedural(source["folder"])]
    export(
        ExportOptions(
            run=run,
            out=run / MODEL,
            name=f"LVSM {config['name']}",
            precision="float16",
            manifest=(options.pack / MANIFEST,),
            field_of_view=measured_field_of_view({**config, "sources": stored}),
        )
    )
    step = options.before + load_state(run / LATEST)["step"]
    parts = split_weights(run / MODEL, options.out, step)
    told = [run / CONFIG, run / "model.md", run / "model.attributions.tsv", *sorted(run.glob("events.*"))]
    write_whole(options.out / "run.zip", lambda path: _zip(path, told))
    print(f"{options.out}: the weights of step {step} in {len(parts)} parts")


def _zip(path: Path, files: list[Path]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in filter(Path.exists, files):
            archive.write(file, file.name)


if __name__ == "__main__":
    sys.exit(exit_status(lambda: write_results(tyro.cli(Options))))
