"""The studio: a bpy process that photographs objects, one job a line on stdin.

    PYTHON_WITH_BPY -m training.render.studio --device auto

training.render starts it; studio_process has the lines that the two say to each other. It ends, whatever it is doing,
when its stdin closes. Each object becomes one .npz:

    images           (V, S, S, 4) uint8, sRGB-encoded, straight alpha
    camera_to_world  (V, 4, 4) float64, OpenCV axes; the object is centred, its longest side is 1, Z is up
    fxfycxcy         (V, 4) float64, pixels
"""

import argparse
import json
import math
import os
import queue
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import bpy
import numpy as np
from mathutils import Matrix

from blender_addon.scene.scene_cameras import camera_to_blender
from lvsm_engine.scene.camera import Camera

from .cameras import cameras_for
from .devices import Device, choose_cycles_device
from .job import RenderJob
from .lighting import WHITE, lighting_for
from .rejection import RejectedError, check_base_colours, check_images
from .studio_lights import set_lighting

# zlib's fastest: a 512 px view takes 9 ms instead of 35, for 10 % more bytes.
COMPRESSION_LEVEL = 1


class Replies:
    """What the studio says to the process that started it: a JSON object a line."""

    def __init__(self) -> None:
        # Blender prints on stdout as it pleases: keep the real one for replies, send all else to the log.
        self._stream: TextIO = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def say(self, **reply: str | None) -> None:
        self._stream.write(json.dumps(reply) + "\n")
        self._stream.flush()


def main(device: Device) -> None:
    replies = Replies()
    kind = choose_cycles_device(device, _device_names)
    replies.say(ready=f"bpy {bpy.app.version_string} on {' + '.join(_device_names(kind)) or 'CPU'} ({kind})")
    for job in _jobs():
        try:
            render_object(job, kind, replies)
            reason = None
        except RejectedError as error:
            reason = str(error)
        replies.say(rejected=reason)


def render_object(job: RenderJob, device: str, replies: Replies) -> None:
    """Import, normalise, photograph and write one object. Raises RejectedError."""
    replies.say(stage="import")
    scene = dark_scene(job.samples)
    use_device(scene, device)
    scene.cycles.use_denoising = job.denoise
    import_object(Path(job.source))
    check_textures()
    check_materials()
    replies.say(stage="render")
    set_lighting(scene, lighting_for(job.name, job.sampling))
    cameras = cameras_for(job.name, job.sampling, job.views, job.size, job.field_of_view)
    images = np.stack([photograph(scene, camera) for camera in cameras])  # (V, S, S, 4)
    replies.say(stage="check")
    check_images(images)
    replies.say(stage="write")
    write_views(Path(job.output), images, cameras)


def white_scene(samples: int) -> bpy.types.Scene:
    """An empty scene with a camera, in uniform white light."""
    scene = dark_scene(samples)
    set_lighting(scene, WHITE)
    return scene


def dark_scene(samples: int) -> bpy.types.Scene:
    """An empty scene with a camera, without light, whose pixels are exact under "Standard"."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.camera.data.clip_start, scene.camera.data.clip_end = 0.01, 100.0
    scene.collection.objects.link(scene.camera)
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.use_denoising = False
    scene.cycles.use_adaptive_sampling = False
    scene.render.film_transparent = True
    scene.render.use_persistent_data = True  # Views of one object share what was built for the first.
    scene.render.threads_mode = "FIXED"
    scene.render.threads = 1  # The fan-out keeps the cores busy.
    scene.render.dither_intensity = 0.0
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.image_settings.compression = 0
    scene.view_settings.view_transform = "Standard"
    return scene


def use_device(scene: bpy.types.Scene, kind: str) -> None:
    """Render on all devices of a kind that choose_cycles_device named. The factory settings forget it: for each scene anew."""
    if kind == "CPU":
        return
    preferences = bpy.context.preferences.addons["cycles"].preferences
    preferences.compute_device_type = kind
    preferences.refresh_devices()
    for device in preferences.devices:
        device.use = device.type == kind
    scene.cycles.device = "GPU"


def import_object(path: Path) -> None:
    """Import a GLB (turned Z-up by Blender) and normalise it. Raises RejectedError for one without a body."""
    try:
        bpy.ops.import_scene.gltf(filepath=str(path))
    except RuntimeError as error:  # what the importer reports, among it each extension that it does not know
        raise RejectedError(f"Blender cannot import it: {_cause_in(str(error))}") from error
    for stray in [item for item in bpy.context.scene.objects if item.type == "LIGHT"]:
        bpy.data.objects.remove(stray)
    normalise()


def normalise() -> None:
    """Centre the bounding box of all that the scene holds and make its longest side 1."""
    vertices = world_vertices()
    if len(vertices) == 0:
        raise RejectedError("the file has no mesh")
    lowest, highest = vertices.min(axis=0), vertices.max(axis=0)
    longest = float((highest - lowest).max())
    if not math.isfinite(longest) or longest <= 0:
        raise RejectedError(f"the longest side is {longest:g}")
    centred = Matrix.Scale(1 / longest, 4) @ Matrix.Translation(-(lowest + highest) / 2)
    for item in bpy.context.scene.objects:
        if item.parent is None and item != bpy.context.scene.camera:
            item.matrix_world = centred @ item.matrix_world
    bpy.context.view_layer.update()


def world_vertices() -> np.ndarray:
    """(N, 3) float64: the vertices of all meshes, modifiers and parents applied."""
    bpy.context.view_layer.update()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    parts = []
    for instance in depsgraph.object_instances:
        if instance.object.type != "MESH":
            continue
        mesh = instance.object.data
        local = np.empty(len(mesh.vertices) * 3, dtype=np.float32)
        mesh.vertices.foreach_get("co", local)
        world = np.array(instance.matrix_world, dtype=np.float64)
        parts.append(local.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3])
    return np.concatenate(parts) if parts else np.zeros((0, 3))


def check_textures() -> None:
    """Raise RejectedError for a texture without pixels, in whose place Blender renders magenta."""
    for image in bpy.data.images:
        if image.users and image.source == "FILE" and 0 in image.size:
            raise RejectedError(f"its texture '{image.name}' is missing or cannot be read")


def check_materials() -> None:
    """Raise RejectedError for an object of plain grey: no texture, no vertex colours, no hue, no contrast."""
    colours = []
    for item in bpy.context.scene.objects:
        if item.type != "MESH":
            continue
        for material in item.data.materials or [None]:
            found = base_colours(material)
            if found is None:
                return
            colours += found
    check_base_colours(colours)


def base_colours(material: bpy.types.Material | None) -> list[tuple[float, float, float]] | None:
    """The colours (linear) of a material's shaders, of what they emit too; None where a texture or an attribute gives one."""
    if material is None or material.node_tree is None:
        return [(0.8, 0.8, 0.8)]  # What Blender draws without a material.
    colours = []
    for node in material.node_tree.nodes:
        if not any(output.type == "SHADER" for output in node.outputs):
            continue
        glows = "Emission Strength" in node.inputs and node.inputs["Emission Strength"].default_value > 0
        for socket in node.inputs:
            if socket.name in ("Base Color", "Color") or (glows and socket.name == "Emission Color"):
                if socket.is_linked:
                    return None
                colours.append(tuple(socket.default_value[:3]))
    return colours or None


def _cause_in(report: str) -> str:
    """The sentence in an operator's report, or what was raised in its traceback."""
    lines = [line.strip() for line in report.splitlines() if line.strip() and not line.startswith("Location: ")]
    return lines[-1].removeprefix("Error: ") if lines else "it does not say why"


def photograph(scene: bpy.types.Scene, camera: Camera) -> np.ndarray:
    """Render one view: (H, W, 4) uint8, sRGB-encoded, straight alpha."""
    place_camera(scene, camera)
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = os.path.join(folder, "view.png")
        bpy.ops.render.render(write_still=True)
        return read_pixels(Path(scene.render.filepath))


def place_camera(scene: bpy.types.Scene, camera: Camera) -> None:
    """Make the scene's camera and render size those of `camera`."""
    camera_to_blender(scene.camera, scene, camera)


def read_pixels(path: Path) -> np.ndarray:
    """The bytes of an RGBA PNG, read by Blender, since its Python has no other decoder: (H, W, 4) uint8."""
    image = bpy.data.images.load(str(path))
    try:
        image.colorspace_settings.name = "Non-Color"
        image.alpha_mode = "CHANNEL_PACKED"  # Leaves colour and alpha as they are in the file.
        width, height = image.size
        pixels = np.empty(width * height * 4, dtype=np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(image)
    return np.round(pixels.reshape(height, width, 4)[::-1] * 255).astype(np.uint8)


def write_views(path: Path, images: np.ndarray, cameras: list[Camera]) -> None:
    """Write the .npz, as numpy does but for its slow compression."""
    arrays = {
        "images": images,
        "camera_to_world": np.stack([camera.camera_to_world for camera in cameras]),
        "fxfycxcy": np.stack([camera.fxfycxcy for camera in cameras]),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array)


def _jobs() -> Iterator[RenderJob]:
    """The jobs that stdin brings. Its end ends this process at once: whoever wanted the views is gone."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield RenderJob(**json.loads(lines.get()))


def _device_names(kind: str) -> list[str]:
    if kind == "CPU":
        return []
    preferences = bpy.context.preferences.addons["cycles"].preferences
    return [device.name for device in preferences.get_devices_for_type(kind) if device.type == kind]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "optix"])
    main(parser.parse_args().device)
