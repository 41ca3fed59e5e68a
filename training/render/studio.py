"""The studio: a bpy process that photographs objects in white light, one job a line on stdin.

    PYTHON_WITH_BPY -m training.render.studio < jobs        (training.render starts it; see fan_out for the lines)

Each object becomes one .npz:

    images           (V, S, S, 4) uint8, sRGB-encoded, straight alpha
    camera_to_world  (V, 4, 4) float64, OpenCV axes; the object is centred, its longest side is 1, Z is up
    fxfycxcy         (V, 4) float64, pixels
"""

import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import TextIO

import bpy
import numpy as np
from mathutils import Matrix

from lvsm_engine.scene.camera import OPENCV_FROM_OPENGL, Camera

from .cameras import cameras_for
from .fan_out import RenderJob

# Shares of all pixels that the subject covers, over all views: outside, the views teach nothing.
SMALLEST_SUBJECT, LARGEST_SUBJECT = 0.005, 0.95


class RejectedError(Exception):
    """An object that gives no useful views."""


def main() -> None:
    replies = _set_stdout_aside()
    for line in sys.stdin:
        job = RenderJob(**json.loads(line))
        try:
            render_object(job)
            reason = None
        except RejectedError as error:
            reason = str(error)
        replies.write(json.dumps({"rejected": reason}) + "\n")
        replies.flush()


def render_object(job: RenderJob) -> None:
    """Import, normalise, photograph and write one object. Raises RejectedError."""
    scene = white_scene(job.samples)
    import_object(Path(job.source))
    cameras = cameras_for(job.name, job.sampling, job.views, job.size)
    images = np.stack([photograph(scene, camera) for camera in cameras])  # (V, S, S, 4)
    check_images(images)
    write_views(Path(job.output), images, cameras)


def white_scene(samples: int) -> bpy.types.Scene:
    """An empty scene with a camera, in uniform white light, whose pixels are exact under "Standard"."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    scene.world = bpy.data.worlds.new("White")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
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


def import_object(path: Path) -> None:
    """Import a GLB (turned Z-up by Blender) and normalise it. Raises RejectedError for one without a body."""
    bpy.ops.import_scene.gltf(filepath=str(path))
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


def photograph(scene: bpy.types.Scene, camera: Camera) -> np.ndarray:
    """Render one view: (H, W, 4) uint8, sRGB-encoded, straight alpha."""
    place_camera(scene, camera)
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = os.path.join(folder, "view.png")
        bpy.ops.render.render(write_still=True)
        return read_pixels(Path(scene.render.filepath))


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


def check_images(images: np.ndarray) -> None:
    """Raise RejectedError for views (V, S, S, 4) in which there is nothing to see."""
    subject = images[..., 3] > 127
    share = float(subject.mean())
    if not SMALLEST_SUBJECT <= share <= LARGEST_SUBJECT:
        raise RejectedError(f"the subject covers {share:.1%} of the views")
    colours = images[subject][:, :3].astype(np.float32)
    if colours.std(axis=0).max() < 1:
        raise RejectedError("the subject has a single colour")


def write_views(path: Path, images: np.ndarray, cameras: list[Camera]) -> None:
    """Write the .npz under a temporary name and rename it, so that a file that exists is whole."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            images=images,
            camera_to_world=np.stack([camera.camera_to_world for camera in cameras]),
            fxfycxcy=np.stack([camera.fxfycxcy for camera in cameras]),
        )
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def place_camera(scene: bpy.types.Scene, camera: Camera) -> None:
    """Make the scene's camera and render size those of `camera`, whose principal point is in the middle."""
    scene.render.resolution_x, scene.render.resolution_y = camera.width, camera.height
    scene.render.resolution_percentage = 100
    lens = scene.camera.data
    lens.sensor_width = 36.0
    lens.lens = camera.fx * 36.0 / max(camera.width, camera.height)
    lens.clip_start, lens.clip_end = 0.01, 100.0
    scene.camera.matrix_world = Matrix((camera.camera_to_world @ OPENCV_FROM_OPENGL).tolist())


def _set_stdout_aside() -> TextIO:
    """Blender prints on stdout as it pleases: keep the real one for replies, send all else to the log."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return replies


if __name__ == "__main__":
    main()
