"""Take the colour textures out of a folder of GLB files; run it again after any interruption.

    python -m training.procedural.glb_textures --objects data/objects/train --out data/textures
    python -m training.procedural --textures data/textures --out data/views/procedural

Only images that a material uses as its base colour, of 32 pixels and more to each side, and not of one colour. A file
is named by its content's hash, so no image is there twice. Licences of the objects hold for their textures too.
"""

import hashlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from lvsm_engine.scene.picture_formats import open_picture
from lvsm_engine.whole_files import write_bytes

from ..exit_status import exit_status
from ..render.glb_file import GlbError, GlbFile
from .textures import TextureError

MIN_SIDE = 32
MIN_CONTRAST = 4.0  # Standard deviation of the codes; below it is a plain colour, or a palette's one cell.


@dataclass(frozen=True)
class Options:
    """Take the colour textures out of a folder of GLB files."""

    objects: Path
    """Folder of .glb files, searched below too."""
    out: Path
    """Folder for the images."""


def main(options: Options) -> int:
    return exit_status(lambda: take_textures(options))


def take_textures(options: Options) -> None:
    """Write the images; damaged files and images are told of. Raises TextureError for no files, OutputError."""
    files = sorted(options.objects.rglob("*.glb"))
    if not files:
        raise TextureError(f"{options.objects} has no .glb file: name another folder.")
    options.out.mkdir(parents=True, exist_ok=True)
    for path in tqdm(files, unit="file"):
        try:
            for content in base_colour_images(path):
                _write(options.out, content)
        except TextureError as error:
            print(error, file=sys.stderr)


def base_colour_images(path: Path) -> Iterator[bytes]:
    """The encoded base colour images, JPEG or PNG, that lie in a GLB file. Raises TextureError for a damaged one."""
    try:
        file = GlbFile.from_bytes(path.read_bytes())
    except GlbError as error:
        raise TextureError(f"{path} cannot be read as a GLB file ({error}): delete it, or export it again.") from error
    description = file.description
    try:
        textures, images, views = (description.get(key, []) for key in ("textures", "images", "bufferViews"))
        used = {
            textures[material["pbrMetallicRoughness"]["baseColorTexture"]["index"]]["source"]
            for material in description.get("materials", [])
            if "baseColorTexture" in material.get("pbrMetallicRoughness", {})
        }
        for index in sorted(used):
            if "bufferView" in images[index]:
                view = views[images[index]["bufferView"]]
                start = view.get("byteOffset", 0)
                yield file.binary[start : start + view["byteLength"]]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise TextureError(f"{path} has a material whose image is not in it ({error!r}): export it again.") from error


def _write(folder: Path, content: bytes) -> None:
    """Keep an image, unless it is there, too small or plain. Raises TextureError where it cannot be decoded."""
    name = hashlib.sha256(content).hexdigest()[:32]
    if any((folder / f"{name}{suffix}").exists() for suffix in (".jpg", ".png")):
        return
    try:
        with open_picture(io.BytesIO(content)) as image:
            suffix = {"JPEG": ".jpg", "PNG": ".png"}.get(image.format or "")
            plain = np.asarray(image.convert("RGB").resize((64, 64))).std(axis=(0, 1)).max() < MIN_CONTRAST
            too_small = min(image.size) < MIN_SIDE
    except (OSError, ValueError) as error:
        raise TextureError(f"An image of {len(content)} bytes cannot be decoded ({error}): it is left out.") from error
    if suffix is None or plain or too_small:
        return
    write_bytes(folder / f"{name}{suffix}", content)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
