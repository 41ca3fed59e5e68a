"""What benchmarks.published measures inside Blender: published_in_blender.py MODEL PHOTOS WIDTH HEIGHT CAPTURE FOLDER

The engine's Python comes by LVSM_PYTHON, the model's file by LVSM_MODELS. Prints a JSON object: seconds of each way, and the
bytes that an engine held at most.
"""

import importlib
import json
import resource
import sys
import time
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
importlib.import_module("blender_addon").register()
batch, worker_owner = (importlib.import_module(f"blender_addon.{name}") for name in ("batch", "engine.worker_owner"))


def main(model: str, photos: int, size: tuple[int, int], capture: str, folder: Path) -> None:
    scene = prepared_scene(model, photos, size, capture)
    files = {"F12": folder / "f12.png", "batch": folder / "batch" / f"{scene.camera.name}.png"}
    words = ["--out", str(folder / "batch"), "--cameras", scene.camera.name]
    seconds = {
        "button": timed(bpy.ops.lvsm.synthesize_view),
        "F12": timed(lambda: render_to(scene, files["F12"])),
        "batch": timed(lambda: batch.run(words, "batch")),
    }
    for way, file in files.items():
        assert file.is_file(), f"{way} wrote nothing"
    held = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # on Linux it counts KiB
    print(json.dumps({**seconds, "held": held}))


def prepared_scene(model: str, photos: int, size: tuple[int, int], capture: str) -> bpy.types.Scene:
    """The capture's, one of whose cameras is the target and gives no photo."""
    scene = bpy.context.scene
    bpy.ops.lvsm.import_capture(filepath=capture)
    scene.camera = next(item for item in scene.objects if item.type == "CAMERA" and item.data.lvsm.use_as_input)
    scene.camera.data.lvsm.use_as_input = False
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.engine = "LVSM"
    scene.lvsm.model, scene.lvsm.max_model_views = model, photos
    return scene


def render_to(scene: bpy.types.Scene, file: Path) -> None:
    scene.render.filepath = str(file)
    bpy.ops.render.render(write_still=True)


def timed(work) -> float:
    """Seconds of some work, the engine's start and the reading of the model included."""
    worker_owner.worker.shutdown()
    began = time.monotonic()
    work()
    took = time.monotonic() - began
    worker_owner.worker.shutdown()
    return took


if __name__ == "__main__":
    name, count, width, height, photos_of, scratch = sys.argv[1:]
    main(name, int(count), (int(width), int(height)), photos_of, Path(scratch))
