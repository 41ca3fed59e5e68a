"""What Blender gets of an object: whole files at rest; of all others the reason."""

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.shared_data import shared
from training.render.glb_file import GlbFile
from training.render.photographable import photographable
from training.render.rejection import RejectedError

from .test_studio import box_glb


def textured(picture: bytes, source: bool = True) -> GlbFile:
    """The box, with a picture after its numbers; source: whether a texture shows it."""
    box = GlbFile.from_bytes(box_glb())
    box.description["bufferViews"].append({"buffer": 0, "byteOffset": len(box.binary), "byteLength": len(picture)})
    box.description["images"] = [{"bufferView": len(box.description["bufferViews"]) - 1, "mimeType": "image/png"}]
    box.description["textures"] = [{"source": 0} if source else {}]
    box.description["buffers"][0]["byteLength"] += len(picture)
    return GlbFile(box.description, box.binary + picture)


def encoded(size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("1", size).save(stream, "PNG")
    return stream.getvalue()


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    box = GlbFile.from_bytes(box_glb())
    change(box.description)
    return box.to_bytes()


def test_a_still_object_is_what_it_was() -> None:
    before, after = GlbFile.from_bytes(box_glb()), GlbFile.from_bytes(photographable(box_glb()))
    assert after.description == before.description and after.binary == before.binary


def test_animations_cameras_and_other_scenes_are_left_out() -> None:
    def add(description: dict[str, Any]) -> None:
        description["nodes"] += [{"mesh": 0, "name": "elsewhere"}, {"camera": 0}]
        description["nodes"][0]["children"].append(3)
        description["scenes"] = [{"nodes": [2]}, {"nodes": [0]}]
        description |= {"scene": 1, "animations": [{"channels": []}], "cameras": [{"type": "perspective"}]}

    after = GlbFile.from_bytes(photographable(changed(add))).description
    assert "animations" not in after and "cameras" not in after
    assert after["scenes"] == [{"nodes": [0]}] and after["scene"] == 0
    assert [sorted(node.keys() & {"mesh", "camera"}) for node in after["nodes"]] == [[], ["mesh"], [], []]


def test_without_scenes_all_nodes_are_shown() -> None:
    after = GlbFile.from_bytes(photographable(changed(lambda description: description.pop("scenes")))).description
    assert after["scenes"] == [{"nodes": [0]}] and after["nodes"][1]["mesh"] == 0


def test_pictures_are_looked_at_where_a_texture_shows_them() -> None:
    assert photographable(textured(encoded((8, 8))).to_bytes())
    with pytest.raises(RejectedError, match=r"its texture 0 cannot be read \(it is in no known format"):
        photographable(textured(b"KTX 20").to_bytes())
    assert photographable(textured(b"KTX 20", source=False).to_bytes())
    with pytest.raises(RejectedError, match="its textures have more than 268 million pixels"):
        photographable(textured(encoded((17000, 16000))).to_bytes())


def nested(description: dict[str, Any]) -> None:
    description["nodes"] = [{"children": [number + 1]} for number in range(400)] + [{"mesh": 0}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d["nodes"][1].update(children=[0]), "its nodes are no tree"),
        (lambda d: d["nodes"][0].update(children=[1, 1]), "its nodes are no tree"),
        (nested, "its nodes are nested more than 300 deep"),
        (lambda d: d["accessors"][0].update(count=5), "its numbers point outside of the file"),
        (lambda d: d["accessors"][0].update(count=-1), "one of its tables has -1 rows"),
        (lambda d: d["accessors"][0].update(count=3), "its faces have vertices that are not there"),
        (lambda d: d["accessors"].append({"componentType": 5126, "type": "VEC3", "count": 10**9}), "claims 10{9} rows"),
        (lambda d: d["bufferViews"][0].update(byteLength=10**9), "its numbers point outside of the file"),
        (lambda d: d["buffers"][0].update(byteLength=10**9), "its numbers are not all there"),
        (lambda d: d["buffers"][0].update(uri="box.bin"), "its numbers are in another file"),
        (lambda d: d.update(images=[{"uri": "../../box.png"}]), "one of its textures is in another file"),
        (lambda d: d.update(scene=7), r"its description does not fit together \(IndexError"),
        (lambda d: d.update(nodes="x"), r"its description does not fit together \("),
    ],
)
def test_what_is_not_whole_is_refused_with_its_reason(change: Callable[[dict[str, Any]], object], reason: str) -> None:
    with pytest.raises(RejectedError, match=reason):
        photographable(changed(change))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it does not begin as one"),
        (box_glb()[:60], "it is cut short"),
        (box_glb()[:-8], "it is cut short"),
        (box_glb()[:4] + b"\1" + box_glb()[5:], "its version is 1"),
        (GlbFile.from_bytes(box_glb()).to_bytes().replace(b'{"asset"', b'["asset"', 1), "its description is no JSON"),
    ],
)
def test_what_is_no_glb_file_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(RejectedError, match=rf"it is no GLB file \({reason}"):
        photographable(content)


def test_damaged_files_are_refused_or_whole() -> None:
    rng = np.random.default_rng(0)
    content = textured(encoded((8, 8))).to_bytes()
    for _ in range(500):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            damaged[place] = rng.integers(256)
        try:
            json.dumps(GlbFile.from_bytes(photographable(bytes(damaged))).description)
        except RejectedError as error:
            assert "\n" not in str(error)


def test_real_objects_are_photographable() -> None:
    for path in shared("objects", "demo").glob("*.glb"):
        assert len(photographable(path.read_bytes())) > 1000
