"""Draw a pool of procedural scenes into shards of posed views; run it again after any interruption.

    python -m training.procedural --out data/views/procedural --scenes 6000 --views 12 --size 64
    python -m training.procedural --out data/views/rooms --kind scenes --textures data/textures --device cuda
    python -m training.procedural.glb_textures --objects data/objects/train --out data/textures     # images for it

Each shard is one .npz: images (N, V, S, S, 4) uint8, sRGB-encoded, straight alpha; camera_to_world (N, V, 4, 4) float64,
OpenCV axes; fxfycxcy (N, V, 4) float64. A scene depends on the seed and its number alone, so a longer pool begins with
the shorter one. The folder's procedural.json keeps what the pool was drawn with: other options need another folder.
"""

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from tqdm import tqdm

from lvsm_engine.errors import LvsmError
from lvsm_engine.scene.srgb import to_srgb
from lvsm_engine.whole_files import write_bytes

from ..exit_status import exit_status
from .scenes import ProceduralViews, procedural_scene
from .textures import LINEAR, ImageFolder


class PoolError(LvsmError):
    """The folder holds a pool that was drawn otherwise."""


@dataclass(frozen=True)
class Options:
    """Draw a pool of procedural scenes."""

    out: Path
    """Folder for the shards."""
    scenes: int = 6000
    """Rounded up to whole shards."""
    shard: int = 64
    """Scenes in a file."""
    views: int = 12
    """Views a scene."""
    size: int = 64
    """Pixels a side."""
    kind: Literal["objects", "scenes", "mixed"] = "mixed"
    """Objects on white, things in rooms and open grounds, or half objects and half scenes."""
    textures: Path | None = None
    """Folder of JPEG and PNG images; 60% of all textures are taken from them."""
    seed: int = 0
    """Another seed draws another series."""
    device: str = "cpu"
    """cuda draws the same scenes, up to the rounding of their pictures."""


def main(options: Options) -> int:
    return exit_status(lambda: draw_pool(options))


def draw_pool(options: Options) -> None:
    """Write the shards that are not there yet. Raises TextureError, PoolError, OutputError."""
    torch.set_num_threads(1)  # Small tensors: a second thread costs more than it gives.
    images = None if options.textures is None else ImageFolder.of(options.textures)
    _claim(options)
    for shard in tqdm(range(-(-options.scenes // options.shard)), unit="shard"):
        path = options.out / f"{shard:05d}.npz"
        if not path.exists():
            write_shard(path, shard, options, images)


def write_shard(path: Path, shard: int, options: Options, images: ImageFolder | None) -> None:
    """Write the scenes of a shard, whole or not at all. Raises OutputError."""
    scenes = [
        procedural_scene(
            options.seed,
            number,
            options.kind,
            views=options.views,
            size=options.size,
            device=options.device,
            images=images,
        )
        for number in range(shard * options.shard, (shard + 1) * options.shard)
    ]
    content = io.BytesIO()
    np.savez_compressed(
        content,
        images=np.stack([straight_alpha(scene) for scene in scenes]),
        camera_to_world=np.stack([scene.camera_to_world for scene in scenes]),
        fxfycxcy=np.stack([scene.fxfycxcy for scene in scenes]),
    )
    write_bytes(path, content.getvalue())


def straight_alpha(scene: ProceduralViews) -> np.ndarray:
    """(V, S, S, 4) uint8: the colours that give the scene's images when they are laid over white, in linear light."""
    images, alpha = scene.images.cpu().numpy(), scene.alpha.cpu().numpy()
    share = np.maximum(alpha[..., None] / np.float32(255), 1e-6)
    linear = np.clip((LINEAR[images] - (1 - share)) / share, 0, 1)
    encoded = to_srgb(linear)
    colours = np.where(alpha[..., None] == 255, images, np.round(encoded * 255).astype(np.uint8))
    return np.concatenate([colours, alpha[..., None]], axis=-1)


def _claim(options: Options) -> None:
    """Note what the pool is drawn with. Raises PoolError where the folder has one that was drawn otherwise."""
    options.out.mkdir(parents=True, exist_ok=True)
    drawn = {
        "kind": options.kind,
        "views": options.views,
        "size": options.size,
        "shard": options.shard,
        "seed": options.seed,
        "textures": None if options.textures is None else options.textures.name,
    }
    note = options.out / "procedural.json"
    if not note.exists():
        write_bytes(note, json.dumps(drawn).encode())
    elif (before := json.loads(note.read_text())) != drawn:
        raise PoolError(
            f"{options.out} holds a pool drawn with {before}, not {drawn}: name another folder for this one."
        )


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
