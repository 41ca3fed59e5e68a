"""Put what a card's machine lacks into one folder, which travels there beside the code.

    python -m training.card.pack --views data/views/train --validation data/views/val --manifest data/manifest.jsonl

The folder has wheels/ already (training/on_a_card.sh pack fetches them), and weights/ where an earlier card has left some. As
many objects as there is room for beside these and the code are packed into shards, drawn in an order of their own, each
with its first views as lossy WebP; and all objects to validate on.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from ..exit_status import exit_status
from ..json_lines import write_lines
from ..objects.manifest import MANIFEST, Origin, read_origins
from ..protocol import TARGETS
from ..views.shards.folder import ENDING
from ..views.shards.pack import write_shard
from ..views.shards.record import encode_record
from ..views.stored import StoredScene, ViewsError, read_file, stored_shape, view_files

MEGABYTE = 2**20
# What index and manifest tell of an object.
BYTES_IN_LISTS = 1024
# A shard is written in blocks of 64 KiB.
BYTES_OF_BLOCKS = 2 * 2**16
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Options:
    """Put what a card's machine lacks into one folder."""

    views: Path
    """Folder of .npz views to train on."""
    validation: Path
    """Folder of .npz views to validate on: of sampling protocol."""
    manifest: Path
    """Whose the objects are."""
    out: Path = Path("data/on_a_card")
    """The folder that travels."""
    room: float = 60.0
    """MiB that code and folder may take together."""
    views_each: int = 13
    """Views of an object to train on."""
    quality: int = 75
    """Of the views' WebP."""
    seed: int = 0
    """Where not all objects fit: another seed, other objects."""


def pack(options: Options) -> None:
    """Raises ViewsError where there is room for no object, and what reading and writing raise."""
    origins = read_origins(options.manifest)
    validating = _in_order(options.validation, TARGETS.stop, None)
    validation = _shard(options.out / "val", validating, origins, options.quality, None)
    there = sum(stored_shape(path)[0] for path in view_files(options.views))
    taken = size_of_code() + _size(options.out, besides="train")
    left = options.room * MEGABYTE - taken - BYTES_IN_LISTS * there - BYTES_OF_BLOCKS
    training = _in_order(options.views, options.views_each, options.seed)
    packed = _shard(options.out / "train", training, origins, options.quality, round(left))
    if not packed:
        raise ViewsError(f"{options.out}: there is room for no object: give more --room, or fewer weights.")
    write_lines(options.out / MANIFEST, [origins[name] for name in packed])
    print(
        f"{options.out}: {len(packed)} of {there} objects to train on, {len(validation)} to validate on;"
        f" {_size(options.out) / MEGABYTE:.1f} MiB, and {size_of_code() / MEGABYTE:.1f} MiB of code"
    )


def size_of_code() -> int:
    """Bytes of the files that git follows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sum((ROOT / name).stat().st_size for name in listed.split("\0") if (ROOT / name).is_file())


def _in_order(folder: Path, views_each: int, seed: int | None) -> Iterator[StoredScene]:
    """The scenes of a folder with their first views, by name or in an order drawn by the seed."""
    files = view_files(folder)
    if seed is not None:
        files = [files[number] for number in np.random.default_rng(seed).permutation(len(files))]
    for path in files:
        for scene in read_file(path):
            yield StoredScene(
                scene.name, scene.images[:views_each], scene.camera_to_world[:views_each], scene.fxfycxcy[:views_each]
            )


def _shard(
    folder: Path, scenes: Iterator[StoredScene], origins: Mapping[str, Origin], quality: int, most_bytes: int | None
) -> list[str]:
    """Write one shard with as many of the scenes as fit; returns their names."""
    names: list[str] = []

    def records(pool: ThreadPoolExecutor) -> Iterator[bytes]:
        left = most_bytes
        for scene in scenes:
            if scene.name not in origins:
                raise ViewsError(f"The manifest does not list {scene.name}: add it, or take its views out.")
            record = encode_record(scene, origins[scene.name], pool, quality)
            if left is not None:
                left -= len(record)
                if left < 0:
                    return
            names.append(scene.name)
            yield record

    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(1) as pool, tqdm(unit="object", disable=None) as bar:
        write_shard(folder / f"00000{ENDING}", records(pool), bar)
    return names


def _size(folder: Path, besides: str = "") -> int:
    """Bytes of the files in a folder, but for one folder in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files if path.relative_to(folder).parts[0] != besides)


if __name__ == "__main__":
    sys.exit(exit_status(lambda: pack(tyro.cli(Options))))
