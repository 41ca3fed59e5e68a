"""What is attacked: from a folder of its own each target makes an attack, which gives one bad input to its reader.

An attack returns where the input was read, raises one of our errors where it was refused; all else is a fault.
"""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lvsm_engine.errors import CaptureError, WorkerError
from lvsm_engine.model.checkpoint import build_model, load_checkpoint, published_name
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.model.plane_sweep.blend_file import BUNDLED, load_blend
from lvsm_engine.photos import WHITE, load_photo
from lvsm_engine.scene.camera import Camera, View
from lvsm_engine.scene.captures import load_capture
from lvsm_engine.worker import messages
from lvsm_engine.worker.client import Client
from lvsm_engine.worker.messages import Message
from tests.engine.scene.test_colmap import CAMERA, POSE
from tests.engine.scene.test_solvers_formats import FILES
from tests.shared_data import ROOT
from tests.synthetic import MODELS, ring_cameras, ring_views, write_ring_capture, write_tiny_model
from tests.training.render.test_studio import box_glb
from training.render.photographable import photographable
from training.render.rejection import RejectedError

from .damage import damaged_bytes, damaged_json, damaged_text

Attack = Callable[[np.random.Generator], object]
COLMAP_TEXT = {
    "cameras": CAMERA,
    "images": f"1 {POSE} 1 a.png\n1.5 2.5 1\n2 {POSE} 1 b.jpg\n\n",
    "points3D": "1 0 0 1 9 9 9 0.5 1 0\n",
    "rigs": "1 1 CAMERA 1\n",
    "frames": f"1 1 {POSE} 1 CAMERA 1 1\n2 1 {POSE} 1 CAMERA 1 2\n",
}
PICTURES = {"PNG": "png", "JPEG": "jpg", "TIFF": "tif", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "AVIF": "avif"}
# Bytes that a photo may take.
FREE = 1e9


def _look(folder: Path) -> None:
    """Read a capture and some of its photos, as a synthesis does."""
    for view in load_capture(folder, photo_size=lambda _: (40, 30)).views[:3]:
        if view.photo is not None:
            load_photo(view, WHITE, 32, free_bytes=lambda: FREE)


def _photos(folder: Path) -> None:
    for name in ("a.png", "b.jpg"):
        Image.new("RGB", (40, 30), "red").save(folder / name)


def transforms(folder: Path) -> Attack:
    """transforms.json of a ring of photos."""
    write_ring_capture(folder, 3, 32, 32)
    file = folder / "transforms.json"
    good = json.loads(file.read_text())

    def attack(rng: np.random.Generator) -> None:
        file.write_text(json.dumps(damaged_json(good, rng)))
        _look(folder)

    return attack


def solvers(folder: Path) -> Attack:
    """What photogrammetry programs export."""
    _photos(folder)
    (folder / "list.txt").write_text("./a.png 0 512.3\nc.png\nb.jpg\n")

    def attack(rng: np.random.Generator) -> None:
        name = sorted(FILES)[int(rng.integers(len(FILES)))]
        (folder / name).write_bytes(damaged_text(FILES[name], rng))
        _look(folder / name)

    return attack


def colmap_text(folder: Path) -> Attack:
    """COLMAP's text files."""
    _photos(folder)

    def attack(rng: np.random.Generator) -> None:
        bad = sorted(COLMAP_TEXT)[int(rng.integers(len(COLMAP_TEXT)))]
        for name, text in COLMAP_TEXT.items():
            (folder / f"{name}.txt").write_bytes(damaged_text(text, rng) if name == bad else text.encode())
        _look(folder)

    return attack


def colmap_binary(folder: Path) -> Attack:
    """COLMAP's binary files, as pycolmap writes them."""
    import pycolmap

    _photos(folder)
    for name, text in COLMAP_TEXT.items():
        (folder / f"{name}.txt").write_text(text)
    pycolmap.Reconstruction(str(folder)).write_binary(str(folder))
    for file in folder.glob("*.txt"):
        file.unlink()
    good = {file: file.read_bytes() for file in sorted(folder.glob("*.bin"))}

    def attack(rng: np.random.Generator) -> None:
        bad = list(good)[int(rng.integers(len(good)))]
        for file, content in good.items():
            file.write_bytes(damaged_bytes(content, rng) if file == bad else content)
        _look(folder)

    return attack


def photos(folder: Path) -> Attack:
    """Image files of all formats, named as their own or another."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))
    good = {}
    for name in PICTURES:
        stream = io.BytesIO()
        picture.save(stream, name)
        good[name] = stream.getvalue()
    camera = Camera(np.eye(4), 40, 40, 20, 15, 40, 30)

    def attack(rng: np.random.Generator) -> None:
        name, ending = rng.choice(list(PICTURES)), rng.choice(list(PICTURES.values()))
        path = folder / f"a.{ending}"
        path.write_bytes(damaged_bytes(good[name], rng))
        load_photo(View(camera, path, "a"), WHITE, int(rng.choice([8, 64])), free_bytes=lambda: FREE)

    return attack


def models(folder: Path) -> Attack:
    """Models' files, and the detail's."""
    own = write_tiny_model(folder / "tiny.safetensors", ModelConfig(width=64, blocks=1))
    good = {own: own.read_bytes(), folder / "detail.safetensors": BUNDLED.read_bytes()}

    def attack(rng: np.random.Generator) -> None:
        path = list(good)[int(rng.integers(2))]
        content = good[path]
        head = 8 + int.from_bytes(content[:8], "little")
        path.write_bytes(damaged_bytes(content[:head], rng) + content[head:] if rng.random() < 0.8 else content[:-1])
        load_checkpoint(path) if path == own else load_blend(path)

    return attack


def published_models(folder: Path) -> Attack:
    """Published files of both families, whose tensors' names and shapes tell all: some are gone, renamed or of another shape."""
    good = {
        f"obj_res32_{name}.pt": {
            published_name(ours, config): t for ours, t in build_model(config).state_dict().items()
        }
        for name, config in MODELS.items()
        if name in ("full", "encoder_decoder", "fast_weights")
    }

    def attack(rng: np.random.Generator) -> None:
        file = list(good)[int(rng.integers(len(good)))]
        tensors = dict(good[file])
        for _ in range(int(rng.integers(1, 4))):
            name = list(tensors)[int(rng.integers(len(tensors)))]
            tensor, kind = tensors.pop(name), rng.random()
            if kind < 0.4:
                tensors[damaged_text(name, rng).decode(errors="replace")] = tensor
            elif kind < 0.8:
                tensors[name] = torch.zeros(rng.integers(0, 5, int(rng.integers(0, 4))).tolist())
        path = folder / file.replace("32", str(rng.choice(["32", "33", "0", "32x64", "99999", "x"])))
        torch.save({"model": tensors}, path)
        try:
            load_checkpoint(path)
        finally:
            path.unlink()

    return attack


def objects(folder: Path) -> Attack:
    """GLB files, before Blender gets them."""
    good = box_glb()

    def attack(rng: np.random.Generator) -> None:
        try:
            photographable(damaged_bytes(good, rng))
        except RejectedError as error:
            raise CaptureError(f"{error}.") from error

    return attack


def message_bytes(folder: Path) -> Attack:
    """What comes through the pipe between Blender and the engine."""
    fields, arrays = messages.views_to_fields(ring_views(2))
    good = b"".join(bytes(part) for part in messages.encode(Message("render", 1, {"views": fields}, arrays)))

    def attack(rng: np.random.Generator) -> None:
        stream = io.BytesIO(damaged_bytes(good[: int(rng.choice([2000, len(good)]))], rng))
        while messages.read(stream) is not None:
            pass

    return attack


def message_fields(folder: Path) -> Attack:
    """Questions that no Blender asks, to a real engine: each is answered, and the engine lives on."""
    model = write_tiny_model(folder / "tiny.safetensors", ModelConfig(width=64, blocks=1))
    views, arrays = messages.views_to_fields(ring_views(2, 16, 16))
    cameras = [messages.camera_to_fields(camera) for camera in ring_cameras(1, 16, 16)]
    good = {"model": str(model), "views": views, "cameras": cameras, "detail": True}
    command, environment = [sys.executable, "-m", "lvsm_engine.worker"], {**os.environ, "PYTHONPATH": str(ROOT)}
    with open(folder / "log.txt", "wb") as log:
        engine = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
    assert engine.stdin is not None and engine.stdout is not None
    into, out = engine.stdin, engine.stdout

    def asked(message: Message) -> Message:
        messages.write(into, message)
        while (answer := messages.read(out)) is not None:
            if answer.kind not in ("alive", "progress"):
                return answer
        raise AssertionError("the engine died")

    hello = {"protocol": messages.PROTOCOL_VERSION, "engine": "fuzz", "device": "cpu"}
    assert asked(Message("hello", 0, hello)).kind == "hello"

    def attack(rng: np.random.Generator) -> None:
        number, fields = int(rng.integers(1, 2**31)), damaged_json(good, rng)
        answer = asked(Message("render", number, fields if isinstance(fields, dict) else {}, arrays))
        assert answer.id == number and answer.kind in ("result", "error"), answer
        if answer.kind == "error":
            raise messages.error_from_fields(answer.fields)
        assert np.isfinite(answer.arrays["images"]).all()

    return attack


def kills(folder: Path) -> Attack:
    """Engines that are killed in mid-work: the question ends, the next one is answered, and nothing is left behind."""
    model = write_tiny_model(folder / "tiny.safetensors", ModelConfig(width=64, blocks=8))
    views, cameras = ring_views(4, 32, 32), ring_cameras(32, 32, 32)
    held = []

    def attack(rng: np.random.Generator) -> None:
        client = Client(sys.executable, ROOT, folder / "log.txt", device="cpu")
        try:
            request = client.render(str(model), views, cameras)
            while request.progress.stage == "Starting the engine" and not request.poll():
                pass
            killer = threading.Timer(rng.uniform(0, 0.3), client._process.popen.kill)  # type: ignore[union-attr]
            killer.start()
            try:
                request.wait(60)
            except WorkerError as error:
                assert "ended" in str(error), error
            killer.join()
            assert np.isfinite(client.render(str(model), views, cameras[:1]).wait(60)["images"]).all()
        finally:
            client.stop()
        held.append((threading.active_count(), len(os.listdir("/proc/self/fd"))))
        assert held[-1] <= held[0], f"threads and files: {held[0]}, then {held[-1]}"

    return attack


TARGETS: dict[str, Callable[[Path], Attack]] = {
    target.__name__: target
    for target in (
        transforms,
        solvers,
        colmap_text,
        colmap_binary,
        photos,
        models,
        published_models,
        objects,
        message_bytes,
        message_fields,
        kills,
    )
}
