"""Draw a pool of procedural scenes into shards of posed views; run it again after any interruption.

    python -m training.procedural --out data/views/procedural --scenes 6000 --views 12 --size 64

Each shard is one .npz: images (N, V, S, S, 3) uint8, camera_to_world (N, V, 4, 4) float64, fxfycxcy (N, V, 4) float64.
A scene depends on its number alone, so a longer pool begins with the shorter one.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from tqdm import tqdm

from .scenes import procedural_scene

SCENES_PER_SHARD = 64


@dataclass(frozen=True)
class Options:
    """Draw a pool of procedural scenes."""

    out: Path  # Folder for the shards.
    scenes: int = 6000  # Rounded up to whole shards of 64.
    views: int = 12  # Views a scene.
    size: int = 64  # Pixels a side.
    device: str = "cpu"  # "cuda" draws faster, and other scenes.


def main(options: Options) -> int:
    torch.set_num_threads(1)  # Small tensors: a second thread costs more than it gives.
    options.out.mkdir(parents=True, exist_ok=True)
    shards = -(-options.scenes // SCENES_PER_SHARD)
    for shard in tqdm(range(shards), unit="shard"):
        path = options.out / f"{shard:05d}.npz"
        if not path.exists():
            write_shard(path, shard, options)
    return 0


def write_shard(path: Path, shard: int, options: Options) -> None:
    """Write scenes shard * 64 and following, under a temporary name first."""
    scenes = []
    for number in range(shard * SCENES_PER_SHARD, (shard + 1) * SCENES_PER_SHARD):
        generator = torch.Generator(options.device).manual_seed(number)
        scenes.append([array.cpu().numpy() for array in procedural_scene(generator, options.views, options.size)])
    images, camera_to_world, fxfycxcy = (np.stack(arrays) for arrays in zip(*scenes, strict=True))
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, images=images, camera_to_world=camera_to_world, fxfycxcy=fxfycxcy)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
