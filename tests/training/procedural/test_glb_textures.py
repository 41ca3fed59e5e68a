"""Textures out of GLB files, of files built here, damaged ones and real ones."""

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.shared_data import shared
from training.procedural.glb_textures import Options, base_colour_images, main
from training.procedural.textures import TextureError


def encoded(seed: int, side: int = 48, kind: str = "PNG") -> bytes:
    """A picture of noise; of one colour for seed -1."""
    pixels = np.random.default_rng(max(seed, 0)).integers(0, 255, size=(side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels if seed >= 0 else np.full_like(pixels, 90)).save(buffer, kind)
    return buffer.getvalue()


def write_glb(path: Path, base_colours: list[bytes], normal_map: bytes = b"") -> None:
    """A file with a material for each base colour image, all of which use one normal map."""
    contents = [*base_colours, normal_map]
    views, binary = [], b""
    for content in contents:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(content)})
        binary += content
    count = len(base_colours)
    description = {
        "asset": {"version": "2.0"},
        "bufferViews": views,
        "images": [{"bufferView": index, "mimeType": "image/png"} for index in range(count + 1)],
        "textures": [{"source": index} for index in reversed(range(count + 1))],  # so that the two numbers differ
        "materials": [
            {"pbrMetallicRoughness": {"baseColorTexture": {"index": count - index}}, "normalTexture": {"index": 0}}
            for index in range(count)
        ]
        + [{}],
    }
    text = json.dumps(description).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)


def test_base_colours_are_taken_and_other_maps_left(tmp_path: Path) -> None:
    write_glb(tmp_path / "thing.glb", [encoded(0), encoded(1)], encoded(2))
    assert list(base_colour_images(tmp_path / "thing.glb")) == [encoded(0), encoded(1)]


def test_each_image_is_written_once_and_small_and_plain_ones_are_not(tmp_path: Path) -> None:
    objects, out = tmp_path / "objects", tmp_path / "textures"
    (objects / "below").mkdir(parents=True)
    write_glb(objects / "one.glb", [encoded(0), encoded(1, kind="JPEG")])
    write_glb(objects / "below" / "two.glb", [encoded(0), encoded(3, side=16), encoded(-1)])
    assert main(Options(objects, out)) == 0
    written = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert sorted(name.split(".")[1] for name in written) == ["jpg", "png"]
    assert main(Options(objects, out)) == 0
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == written


def test_a_damaged_file_is_named_and_the_others_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.glb").write_bytes(b"glTF is not here")
    write_glb(tmp_path / "b.glb", [b"no picture"])
    write_glb(tmp_path / "c.glb", [encoded(5)])
    assert main(Options(tmp_path, tmp_path / "out")) == 0
    said = capsys.readouterr().err
    assert "a.glb cannot be read as a GLB file" in said and "cannot be decoded" in said
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_folder_without_files_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(Options(tmp_path, tmp_path / "out")) == 2
    assert "has no .glb file" in capsys.readouterr().err


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 700), bytes_=st.binary(min_size=1, max_size=6), length=st.integers(0, 900))
def test_no_damage_does_more_than_name_the_file(tmp_path: Path, place: int, bytes_: bytes, length: int) -> None:
    write_glb(tmp_path / "sound.glb", [b"first", b"second"])
    content = bytearray((tmp_path / "sound.glb").read_bytes())
    content[place : place + len(bytes_)] = bytes_
    (tmp_path / "damaged.glb").write_bytes(bytes(content[: max(length, place)]))
    try:
        for image in base_colour_images(tmp_path / "damaged.glb"):
            assert isinstance(image, bytes)
    except TextureError as error:
        assert "damaged.glb" in str(error)


def test_real_objects_have_textures(tmp_path: Path) -> None:
    files = sorted(shared("objects", "demo").glob("*.glb"))
    images = [image for path in files for image in base_colour_images(path)]
    assert len(images) >= 5
    for image in images:
        Image.open(io.BytesIO(image)).verify()
