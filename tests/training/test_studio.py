"""The studio in a real bpy: a box of known colours in known places, found again in its views."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lvsm_engine.scene.camera import Camera, project
from training.render.cameras import cameras_for

ROOT = Path(__file__).resolve().parents[2]
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
BLENDER_FROM_GLTF = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # y up becomes z up


def box_glb(path: Path) -> None:
    """A GLB of the box, under a parent that scales it by 3 and moves it far from the origin."""
    buffer, views, accessors, primitives, materials = b"", [], [], [], []
    for (axis, sign), colour in FACES.items():
        others = [(axis + 1) % 3, (axis + 2) % 3]
        corners = np.zeros((4, 3), dtype=np.float32)
        corners[:, axis] = sign
        corners[:, others[0]] = [-1, 1, 1, -1]
        corners[:, others[1]] = np.array([-1, -1, 1, 1]) * sign  # counter-clockwise from outside
        corners *= HALF_SIDES
        for data, kind, target in ((corners, "VEC3", 5126), (np.array([0, 1, 2, 0, 2, 3], np.uint16), "SCALAR", 5123)):
            payload = data.tobytes()
            views.append({"buffer": 0, "byteOffset": len(buffer), "byteLength": len(payload)})
            accessors.append({"bufferView": len(views) - 1, "componentType": target, "count": len(data), "type": kind})
            buffer += payload
        accessors[-2] |= {"min": corners.min(axis=0).tolist(), "max": corners.max(axis=0).tolist()}
        primitives.append(
            {"attributes": {"POSITION": len(views) - 2}, "indices": len(views) - 1, "material": len(primitives)}
        )
        surface = {"baseColorFactor": [*colour, 1], "metallicFactor": 0, "roughnessFactor": 1}
        materials.append({"pbrMetallicRoughness": surface})
    nodes = [{"children": [1], "translation": [50, -20, 7], "scale": [3, 3, 3]}, {"mesh": 0, "translation": [1, 0, 0]}]
    write_glb(
        path,
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


def write_glb(path: Path, document: dict, buffer: bytes = b"") -> None:
    text = json.dumps({"asset": {"version": "2.0"}, "scene": 0, **document}).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    if buffer:
        buffer += b"\0" * (-len(buffer) % 4)
        chunks += struct.pack("<II", len(buffer), 0x004E4942) + buffer
    path.write_bytes(struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks)


def render(source: Path, out: Path, *more: str) -> subprocess.CompletedProcess:
    if not BPY_PYTHON.exists():
        pytest.skip("needs .venv-bpy/5.0 (make test makes it)")
    arguments = ["--source", str(source), "--out", str(out), "--python", str(BPY_PYTHON), "--samples", "8"]
    arguments += ["--views", str(VIEWS), "--size", str(SIZE), "--processes", "1", *more]
    command = [sys.executable, "-m", "training.render", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the rendered box, beside a file that holds nothing."""
    base = tmp_path_factory.mktemp("studio")
    (base / "objects").mkdir()
    box_glb(base / "objects" / "box.glb")
    write_glb(base / "objects" / "nothing.glb", {"nodes": [{"name": "empty"}], "scenes": [{"nodes": [0]}]})
    render(base / "objects", base / "views", "--sampling", "varied")
    return base


@pytest.fixture(scope="module")
def box(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "views" / "box.npz") as file:
        return dict(file)


def cameras_of(box: dict[str, np.ndarray]) -> list[Camera]:
    lenses = box["fxfycxcy"]
    return [Camera(pose, *lens, SIZE, SIZE) for pose, lens in zip(box["camera_to_world"], lenses, strict=True)]


def corners() -> np.ndarray:
    """(8, 3): the normalised box's corners in Blender's axes; its longest side, 1, is x."""
    signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(-1, 3)
    return (signs * HALF_SIDES) @ BLENDER_FROM_GLTF.T


def test_the_file_holds_all_views_and_their_cameras(box: dict[str, np.ndarray]) -> None:
    assert box["images"].shape == (VIEWS, SIZE, SIZE, 4) and box["images"].dtype == np.uint8
    for stored, planned in zip(cameras_of(box), cameras_for("box", "varied", VIEWS, SIZE), strict=True):
        assert stored.camera_to_world == pytest.approx(planned.camera_to_world)
        assert stored.fxfycxcy == pytest.approx(planned.fxfycxcy)


def test_the_silhouette_lies_where_the_normalised_box_projects(box: dict[str, np.ndarray]) -> None:
    for camera, image in zip(cameras_of(box), box["images"], strict=True):
        rows, columns = np.nonzero(image[..., 3] > 127)
        pixels, _ = project(camera, corners())
        expected = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)]).clip(0, SIZE)
        assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == pytest.approx(expected, abs=1.0)


def test_each_face_has_its_colour_where_its_middle_projects(box: dict[str, np.ndarray]) -> None:
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


def test_an_object_without_a_mesh_is_left_out_with_its_reason(folder: Path) -> None:
    (failure,) = json.loads((folder / "views" / "failures.json").read_text())
    assert failure == {"name": "nothing", "reason": "the file has no mesh"}


def test_an_object_looks_the_same_in_another_run(folder: Path, box: dict[str, np.ndarray]) -> None:
    render(folder / "objects", folder / "again", "--sampling", "varied")
    with np.load(folder / "again" / "box.npz") as file:
        assert np.array_equal(file["images"], box["images"])


def test_a_python_without_bpy_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    arguments = ["--source", str(folder / "objects"), "--out", str(tmp_path), "--python", sys.executable]
    command = [sys.executable, "-m", "training.render", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 2 and "cannot import bpy" in result.stderr


def test_a_folder_without_objects_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        render(tmp_path, tmp_path / "out")
    assert error.value.returncode == 2 and "has no .glb files" in error.value.stderr
