"""Train the weights of the detail from the photos.

    python -m training.detail --model runs/default/model.safetensors --data data/views/train procedural:scenes --out runs/detail

First cases are made, scene after scene; stopped or killed, the same command goes on. Then the blend is fitted to them, in
minutes, and written to detail.safetensors. Several such commands with --part 0/2, --part 1/2 make the cases together.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from tqdm import tqdm

from lvsm_engine.model.plane_sweep.blend_file import save_blend
from lvsm_engine.synthesizer import Synthesizer

from ..batches.sampler import SceneSampler
from ..configs import Sources
from ..exit_status import exit_status
from ..limits import ConfigError, Limits, check_numbers
from .cases import TARGETS, Cases, cases_of_scene, missing_cases
from .fit import fit

LIMITS = {
    "scenes": Limits(1, 10**5, whole=True),
    "size": Limits(16, 2**12, whole=True),
    "views": Limits(TARGETS + 1, 2**10, whole=True),
    "steps": Limits(1, 10**7, whole=True),
    "seed": Limits(0, 2**63 - 1, whole=True),
}


@dataclass
class Options:
    """Train the weights of the detail from the photos."""

    out: Path
    """Folder for the cases, and for detail.safetensors."""
    data: Sources
    """Where scenes come from: folders of views, or procedural:KIND[:FOLDER_OF_TEXTURES]; FOLDER=WEIGHT."""
    model: str = "default"
    """The model that guides: a file, or the bundled one."""
    scenes: int = 240
    """Scenes of which cases are made."""
    size: int = 256
    """Pixels a side of photos and targets."""
    views: int = 20
    """Views of each scene: three are targets, the others photos."""
    part: str = "0/1"
    """Which share of the missing cases this process makes, as 0/2 and 1/2; only a whole one fits the weights."""
    steps: int = 12_000
    """Updates of the weights."""
    seed: int = 0
    """Of scenes, photos and pixels."""


def main(options: Options) -> int:
    return exit_status(lambda: train(options))


def train(options: Options) -> None:
    """Make the cases that are missing, and fit the blend to all. Raises LvsmError."""
    check_numbers(options, LIMITS)
    folder = options.out / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    make_cases(options, folder)
    if options.part != "0/1":
        return
    cases = Cases.joined([Cases.load(path) for path in sorted(folder.glob("*.safetensors"))])
    blend, errors = fit(cases, options.steps, options.seed)
    words = ", ".join(source.name for source in options.data)
    text = f"{len(cases.truth)} pixels of {options.scenes} scenes ({words}); error {errors[1]:.3f}, of the rule {errors[0]:.3f}."
    save_blend(options.out / "detail.safetensors", blend, text)
    print(f"{options.out / 'detail.safetensors'}: {text}")


def make_cases(options: Options, folder: Path) -> None:
    share, shares = _share(options.part)
    missing = [entry for entry in missing_cases(folder, options.scenes) if entry[0] % shares == share]
    if not missing:
        return
    synthesizer = Synthesizer.load(options.model)
    sampler = SceneSampler([(source.folder, source.weight) for source in options.data], options.size, options.seed)
    for number, path in tqdm(missing, unit="scene", disable=None):
        cases_of_scene(sampler, number, options.views, options.seed, synthesizer).save(path)


def _share(part: str) -> tuple[int, int]:
    """ "1/4" as numbers. Raises ConfigError."""
    share, slash, shares = part.partition("/")
    if not slash or not share.isdecimal() or not shares.isdecimal() or int(share) >= int(shares):
        raise ConfigError(f"--part is {part}: give a share such as 0/2 or 1/2.")
    return int(share), int(shares)


if __name__ == "__main__":
    torch.set_num_threads(1)  # as many processes as cores instead
    sys.exit(main(tyro.cli(Options)))
