"""The studio in a real bpy: a box of known colours in known places, found again in its views."""

import io
import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lvsm_engine.scene.camera import Camera, project
from training.left_out import LeftOut
from training.render.cameras import cameras_for
from training.render.glb_file import GlbFile
from training.render.job import RenderJob
from training.render.lighting import WHITE, lighting_for
from training.render.photographable import photographable
from training.render.rejection import RejectedError
from training.render.studio_process import StudioProcess
from training.render.views_folder import ViewsFolder

ROOT = Path(__file__).resolve().parents[3]
BPY_PYTHON = ROOT / ".venv-bpy" / "5.0" / "bin" / "python"
SIZE, VIEWS = 64, 8
# The box in glTF's axes (y up), before its node turns, scales and moves it.
HALF_SIDES = np.array([0.5, 0.25, 0.125])
# Its faces: (axis, sign) -> linear colour.
FACES = {
    (0, 1): (0.8, 0.05, 0.05),
    (0, -1): (0.05, 0.8, 0.05),
    (1, 1): (0.05, 0.05, 0.8),
    (1, -1): (0.8, 0.8, 0.05),
    (2, 1): (0.05, 0.8, 0.8),
    (2, -1): (0.8, 0.05, 0.8),
}
GREY = dict.fromkeys(FACES, (0.5, 0.5, 0.5))
BLENDER_FROM_GLTF = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # y up becomes z up


def box_glb(
    faces: dict = FACES, half_sides: np.ndarray = HALF_SIDES, alpha: float = 1.0, glow: dict | None = None
) -> bytes:
    """A GLB of the box, under a parent that scales it by 3 and moves it far from the origin; glow: colours emitted too."""
    buffer, views, accessors, primitives, materials = b"", [], [], [], []
    for (axis, sign), colour in faces.items():
        others = [(axis + 1) % 3, (axis + 2) % 3]
        corners = np.zeros((4, 3), dtype=np.float32)
        corners[:, axis] = sign
        corners[:, others[0]] = [-1, 1, 1, -1]
        corners[:, others[1]] = np.array([-1, -1, 1, 1]) * sign  # counter-clockwise from outside
        corners *= half_sides
        for data, kind, target in ((corners, "VEC3", 5126), (np.array([0, 1, 2, 0, 2, 3], np.uint16), "SCALAR", 5123)):
            payload = data.tobytes()
            views.append({"buffer": 0, "byteOffset": len(buffer), "byteLength": len(payload)})
            accessors.append({"bufferView": len(views) - 1, "componentType": target, "count": len(data), "type": kind})
            buffer += payload
        accessors[-2] |= {"min": corners.min(axis=0).tolist(), "max": corners.max(axis=0).tolist()}
        primitives.append(
            {"attributes": {"POSITION": len(views) - 2}, "indices": len(views) - 1, "material": len(primitives)}
        )
        surface = {"baseColorFactor": [*colour, alpha], "metallicFactor": 0, "roughnessFactor": 1}
        materials.append({"pbrMetallicRoughness": surface, "alphaMode": "OPAQUE" if alpha == 1 else "BLEND"})
        if glow is not None:
            materials[-1]["emissiveFactor"] = list(glow[axis, sign])
    nodes = [{"children": [1], "translation": [50, -20, 7], "scale": [3, 3, 3]}, {"mesh": 0, "translation": [1, 0, 0]}]
    return glb(
        {
            "nodes": nodes,
            "scenes": [{"nodes": [0]}],
            "meshes": [{"primitives": primitives}],
            "materials": materials,
            "accessors": accessors,
            "bufferViews": views,
            "buffers": [{"byteLength": len(buffer)}],
        },
        buffer,
    )


def glb(document: dict, buffer: bytes = b"") -> bytes:
    text = json.dumps({"asset": {"version": "2.0"}, "scene": 0, **document}).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    if buffer:
        buffer += b"\0" * (-len(buffer) % 4)
        chunks += struct.pack("<II", len(buffer), 0x004E4942) + buffer
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks


def bpy_python() -> str:
    if not BPY_PYTHON.exists():
        pytest.skip("needs .venv-bpy/5.0 (make test makes it)")
    return str(BPY_PYTHON)


def render(source: Path, out: Path, python: str, *more: str) -> subprocess.CompletedProcess:
    arguments = ["--source", str(source), "--out", str(out), "--python", python, "--samples", "8", *more]
    arguments += ["--views", str(VIEWS), "--size", str(SIZE), "--processes", "1"]
    return subprocess.run(
        [sys.executable, "-m", "training.render", *arguments], capture_output=True, text=True, cwd=ROOT
    )


def job_for(name: str, sampling: str) -> RenderJob:
    return RenderJob(
        name=name,
        source="",
        output="",
        sampling=sampling,
        views=VIEWS,
        size=SIZE,
        samples=8,
        denoise=False,
        seconds=120.0,
    )


@pytest.fixture(scope="module")
def studio() -> Iterator[StudioProcess]:
    studio = StudioProcess([bpy_python(), "-m", "training.render.studio", "--device", "cpu"])
    yield studio
    studio.close()


def photographs(studio: StudioProcess, name: str, sampling: str) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(studio.render(job_for(name, sampling), box_glb()))) as file:
        return dict(file)


@pytest.fixture(scope="module")
def box(studio: StudioProcess) -> dict[str, np.ndarray]:
    return photographs(studio, "box", "published")


def cameras_of(box: dict[str, np.ndarray]) -> list[Camera]:
    lenses = box["fxfycxcy"]
    return [Camera(pose, *lens, SIZE, SIZE) for pose, lens in zip(box["camera_to_world"], lenses, strict=True)]


def corners() -> np.ndarray:
    """(8, 3): the normalised box's corners in Blender's axes; its longest side, 1, is x."""
    signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(-1, 3)
    return (signs * HALF_SIDES) @ BLENDER_FROM_GLTF.T


def test_the_file_holds_all_views_and_their_cameras(box: dict[str, np.ndarray]) -> None:
    assert box["images"].shape == (VIEWS, SIZE, SIZE, 4) and box["images"].dtype == np.uint8
    for stored, planned in zip(cameras_of(box), cameras_for("box", "published", VIEWS, SIZE), strict=True):
        assert stored.camera_to_world == pytest.approx(planned.camera_to_world)
        assert stored.fxfycxcy == pytest.approx(planned.fxfycxcy)


def name_in_light(is_white: bool) -> str:
    """The name of a "robust" object in white light, or in a random one."""
    return next(name for name in map(str, range(99)) if (lighting_for(name, "robust") is WHITE) == is_white)


@pytest.mark.parametrize("sampling", ["published", "robust in white light", "robust in random light"])
def test_the_silhouette_lies_where_the_normalised_box_projects(studio: StudioProcess, sampling: str) -> None:
    """Every point of the silhouette is at most a pixel from the box's outline: roll, lens and aim are as stored."""
    name = "box" if sampling == "published" else name_in_light("white" in sampling)
    box = photographs(studio, name, sampling.split()[0])
    for camera, image in zip(cameras_of(box), box["images"], strict=True):
        rows, columns = np.nonzero(image[..., 3] > 127)
        pixels, _ = project(camera, corners())
        # Along turned axes too: bounds of x and y alone would not see a roll of a long box well.
        for degrees in (0, 30, 60, 90, 120, 150):
            axis = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
            expected = pixels @ axis
            found = np.stack([columns + 0.5, rows + 0.5], axis=-1) @ axis
            inside = pixels.min() > 0 and pixels.max() < SIZE
            if inside:
                assert [found.min(), found.max()] == pytest.approx([expected.min(), expected.max()], abs=1.3)
        expected = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)]).clip(0, SIZE)
        assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == pytest.approx(expected, abs=1.0)


def test_robust_cameras_of_a_white_lit_box_show_each_face_in_its_place(studio: StudioProcess) -> None:
    assert_faces_are_in_place(photographs(studio, name_in_light(is_white=True), "robust"))


def test_random_light_is_not_white_and_neither_black_nor_burnt_out(studio: StudioProcess) -> None:
    lit = photographs(studio, name_in_light(is_white=False), "robust")["images"]
    white = photographs(studio, name_in_light(is_white=True), "robust")["images"]
    colours, in_white = (images[images[..., 3] == 255][:, :3].astype(float) for images in (lit, white))
    assert 0.4 < colours.mean() / in_white.mean() < 1.2
    assert (colours.min(axis=1) >= 250).mean() < 0.01 and (colours.max(axis=1) <= 8).mean() < 0.01


def test_each_face_has_its_colour_where_its_middle_projects(box: dict[str, np.ndarray]) -> None:
    assert_faces_are_in_place(box)


def assert_faces_are_in_place(box: dict[str, np.ndarray]) -> None:
    """A convex body in uniform white light shows its own colour, but for what its gloss adds and takes away."""
    checked = set()
    for camera, image in zip(cameras_of(box), box["images"], strict=True):
        for (axis, sign), colour in FACES.items():
            normal = np.zeros(3)
            normal[axis] = sign
            middle = BLENDER_FROM_GLTF @ (normal * HALF_SIDES)
            towards = camera.position - middle
            if (BLENDER_FROM_GLTF @ normal) @ towards / np.linalg.norm(towards) < 0.6:
                continue
            column, row = project(camera, middle[None])[0][0]
            if 1 <= column < SIZE - 1 and 1 <= row < SIZE - 1:
                red, green, blue, alpha = image[int(row), int(column)] / 255
                assert alpha == 1
                linear = np.array([red, green, blue]) ** 2.2
                assert linear == pytest.approx(colour, abs=0.12)
                checked.add((axis, sign))
    assert len(checked) >= 4


def test_half_covered_pixels_keep_the_colour_of_the_subject(box: dict[str, np.ndarray]) -> None:
    """Straight alpha: an edge is no darker or whiter than what it is the edge of."""
    images = box["images"]
    edge = (images[..., 3] > 60) & (images[..., 3] < 200)
    brightest = images[..., :3].max(axis=-1)
    assert edge.sum() > 50
    low, high = np.quantile(brightest[edge], [0.05, 0.95])
    assert low > 205 and high < 245  # 0.8 in linear light is code 231


def test_nothing_lies_outside_the_subject(box: dict[str, np.ndarray]) -> None:
    assert (box["images"][:, :2, :2, 3] == 0).all()


@pytest.mark.parametrize(
    ("glb", "reason"),
    [
        (glb({"nodes": [{"name": "empty"}], "scenes": [{"nodes": [0]}]}), "the file has no mesh"),
        (box_glb(GREY), "the subject is untextured grey"),
        (box_glb(half_sides=np.array([0.5, 0.01, 0.01])), r"the subject covers \d\.\d% of the frame at most"),
        (box_glb(alpha=0.0), "the views are blank"),
    ],
    ids=["empty", "grey", "thread", "glass"],
)
def test_an_object_that_teaches_nothing_is_rejected_with_its_reason(
    studio: StudioProcess, glb: bytes, reason: str
) -> None:
    with pytest.raises(RejectedError, match=reason):
        studio.render(job_for("box", "published"), glb)


def test_an_object_whose_colours_are_emitted_is_kept(studio: StudioProcess) -> None:
    black = dict.fromkeys(FACES, (0.0, 0.0, 0.0))
    assert studio.render(job_for("box", "published"), box_glb(black, glow=FACES))
    with pytest.raises(RejectedError, match="untextured grey"):
        studio.render(job_for("box", "published"), box_glb(black, glow=black))


def skinned_box() -> bytes:
    """The box on a bone that an animation carries away and stretches."""
    file = GlbFile.from_bytes(box_glb())
    description, binary = file.description, file.binary

    def add(values: np.ndarray, kind: str, component: int, **more: object) -> int:
        nonlocal binary
        payload = values.tobytes()
        description["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(payload)})
        place = {"bufferView": len(description["bufferViews"]) - 1, "count": len(values)}
        description["accessors"].append({**place, "type": kind, "componentType": component, **more})
        binary += payload
        description["buffers"][0]["byteLength"] = len(binary)
        return len(description["accessors"]) - 1

    joints = add(np.zeros((4, 4), np.uint8), "VEC4", 5121)
    weights = add(np.tile(np.array([1, 0, 0, 0], np.float32), (4, 1)), "VEC4", 5126)
    for primitive in description["meshes"][0]["primitives"]:
        primitive["attributes"] |= {"JOINTS_0": joints, "WEIGHTS_0": weights}
    description["nodes"] = [{"children": [1, 2]}, {"mesh": 0, "skin": 0}, {"translation": [1, 0, 0]}]
    description["skins"] = [{"joints": [2]}]
    times = add(np.array([0, 1], np.float32), "SCALAR", 5126, min=[0], max=[1])
    places = add(np.array([[30, 0, 0], [60, 0, 0]], np.float32), "VEC3", 5126)
    sizes = add(np.array([[5, 1, 1], [9, 1, 1]], np.float32), "VEC3", 5126)
    channels = [
        {"sampler": number, "target": {"node": 2, "path": path}} for number, path in enumerate(("translation", "scale"))
    ]
    samplers = [{"input": times, "output": places}, {"input": times, "output": sizes}]
    description["animations"] = [{"channels": channels, "samplers": samplers}]
    return GlbFile(description, binary).to_bytes()


def test_a_skinned_object_is_photographed_at_rest(studio: StudioProcess, box: dict[str, np.ndarray]) -> None:
    job = job_for("box", "published")
    with np.load(io.BytesIO(studio.render(job, photographable(skinned_box())))) as file:
        at_rest = file["images"][..., 3] > 127
    with np.load(io.BytesIO(studio.render(job, photographable(box_glb())))) as file:
        still = file["images"][..., 3] > 127
    assert still.any(axis=(1, 2)).all() and (at_rest != still).mean() < 0.002


def test_a_texture_that_is_cut_short_is_named(studio: StudioProcess) -> None:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    picture = stream.getvalue()[:6000]  # its head is whole
    file = GlbFile.from_bytes(box_glb())
    description = file.description
    place = {"buffer": 0, "byteOffset": len(file.binary), "byteLength": len(picture)}
    description["bufferViews"].append(place)
    description["buffers"][0]["byteLength"] += len(picture)
    description["images"] = [{"bufferView": len(description["bufferViews"]) - 1, "mimeType": "image/png"}]
    description["textures"] = [{"source": 0}]
    for material in description["materials"]:
        material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
    cut = GlbFile(description, file.binary + picture).to_bytes()
    with pytest.raises(RejectedError, match=r"its texture '\S+' is missing or cannot be read"):
        studio.render(job_for("box", "published"), photographable(cut))


def test_the_command_renders_a_folder_the_same_and_lists_what_it_leaves_out(
    tmp_path: Path, box: dict[str, np.ndarray]
) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "box.glb").write_bytes(box_glb())
    (tmp_path / "objects" / "broken.glb").write_bytes(b"no GLB at all")
    (tmp_path / "objects" / "grey.glb").write_bytes(box_glb(GREY))
    result = render(tmp_path / "objects", tmp_path / "views", bpy_python())
    assert result.returncode == 0, result.stderr
    assert "on CPU" in result.stderr and "left out: grey: import: the subject is untextured grey" in result.stderr
    with np.load(tmp_path / "views" / "box.npz") as file:
        assert np.array_equal(file["images"], box["images"])
    broken, grey = ViewsFolder(tmp_path / "views").left_out
    assert grey == LeftOut(name="grey", stage="import", reason="the subject is untextured grey")
    assert broken == LeftOut(name="broken", stage="read", reason="it is no GLB file (it does not begin as one)")


def test_a_python_without_bpy_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "box.glb").write_bytes(box_glb())
    result = render(tmp_path, tmp_path / "out", sys.executable)
    assert result.returncode == 2 and "cannot import bpy" in result.stderr


def test_a_folder_without_objects_is_refused_in_a_sentence(tmp_path: Path) -> None:
    result = render(tmp_path, tmp_path / "out", sys.executable)
    assert result.returncode == 2 and "has no .glb files" in result.stderr
