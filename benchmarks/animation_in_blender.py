"""What benchmarks.animation measures inside Blender: animation_in_blender.py BLEND FOLDER FRAMES

The engine's Python comes by LVSM_PYTHON. Writes FOLDER/question.json, the views and cameras of the frames, and prints a JSON
object: seconds of each way.
"""

import importlib
import json
import sys
import time
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
importlib.import_module("blender_addon").register()
batch, input_views, scene_cameras, worker_owner, messages = (
    importlib.import_module(name)
    for name in (
        "blender_addon.batch",
        "blender_addon.scene.input_views",
        "blender_addon.scene.scene_cameras",
        "blender_addon.engine.worker_owner",
        "lvsm_engine.worker.messages",
    )
)


def main(blend: str, out: str, count: str) -> None:
    folder, frames = Path(out), int(count)
    bpy.ops.wm.open_mainfile(filepath=blend)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, frames
    scene.render.filepath = f"{folder / 'engine'}/"
    write_question(scene, folder / "question.json")
    seconds = {
        "render engine (-a)": timed(lambda: bpy.ops.render.render(animation=True)),
        "batch": timed(lambda: batch.run(["--out", str(folder / "batch"), "--frames", f"1-{frames}"], "batch")),
    }
    print(json.dumps(seconds))


def write_question(scene: bpy.types.Scene, path: Path) -> None:
    """What the bare engine is asked for."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    views, _ = messages.views_to_fields(input_views.input_views(scene, depsgraph))
    cameras = []
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        cameras.append(scene_cameras.camera_from_blender(scene.camera, bpy.context.evaluated_depsgraph_get()))
    fields = {"views": views, "cameras": [messages.camera_to_fields(camera) for camera in cameras]}
    path.write_text(json.dumps(fields))


def timed(work) -> float:
    """Seconds of some work, the engine's start included."""
    worker_owner.worker.shutdown()
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    main(*sys.argv[1:])
