"""What the demo does inside Blender: inside_blender.py EXTENSION_ZIP CAPTURE OUT INPUTS HELD_OUT ORBIT_FRAMES

The engine's Python comes by LVSM_PYTHON. Prints what it does; its last line is a JSON object for the demo's summary.
"""

import json
import math
import sys
import time
from pathlib import Path

import bpy
from mathutils import Matrix, Vector

MODULE = "bl_ext.user_default.lvsm"
SIZE = 512
ORBIT_SIZE = 256


def main(extension_zip: str, capture: str, out: str, inputs: str, held_out: str, orbit_frames: str) -> None:
    folder = Path(out)
    scene = empty_scene(extension_zip)
    cameras = import_capture(capture, {int(position) for position in inputs.split(",")})
    summary = {"held_out": synthesize(scene, cameras[int(held_out)], folder / "held_out.png")}
    summary["free"] = synthesize(scene, free_camera(scene), folder / "free.png")
    summary["orbit"] = render_orbit(scene, folder / "orbit", int(orbit_frames))
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "demo.blend"))
    print(json.dumps(summary))


def empty_scene(extension_zip: str) -> bpy.types.Scene:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(filepath=extension_zip, repo="user_default", enable_on_install=True)
    assert MODULE in bpy.context.preferences.addons, "the extension was not enabled"
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    return scene


def import_capture(capture: str, inputs: set[int]) -> list[bpy.types.Object]:
    """The capture's cameras in its own order; the photos at the positions `inputs` are used, the others are not."""
    bpy.ops.lvsm.import_capture(filepath=capture)
    cameras = sorted((item for item in bpy.context.scene.objects if item.type == "CAMERA"), key=lambda item: item.name)
    for position, camera in enumerate(cameras):
        camera.data.lvsm.use_as_input = position in inputs
    print(f"imported {len(cameras)} cameras, {len(inputs)} of their photos used", flush=True)
    return cameras


def free_camera(scene: bpy.types.Scene) -> bpy.types.Object:
    """A camera where no photo was taken, placed as a user would: looking at the subject from above its front."""
    camera = bpy.data.objects.new("Free Camera", bpy.data.cameras.new("Free Camera"))
    scene.collection.objects.link(camera)
    camera.data.angle = math.radians(50)
    place = 1.9 * Vector((math.cos(-0.9) * 0.85, math.sin(-0.9) * 0.85, 0.5)).normalized()
    camera.matrix_world = Matrix.Translation(place) @ (-place).to_track_quat("-Z", "Y").to_matrix().to_4x4()
    return camera


def synthesize(scene: bpy.types.Scene, camera: bpy.types.Object, path: Path) -> dict:
    """Press Synthesize View for a camera and write the result's bytes to a file."""
    scene.camera = camera
    began = time.monotonic()
    assert bpy.ops.lvsm.synthesize_view() == {"FINISHED"}
    seconds = time.monotonic() - began
    image = next(image for image in bpy.data.images if image.get("lvsm_result") == camera.name)
    path.write_bytes(image.packed_file.data)
    print(f"synthesized {camera.name} in {seconds:.1f} s", flush=True)
    return {"camera": camera.name, "seconds": seconds}


def render_orbit(scene: bpy.types.Scene, folder: Path, frames: int) -> dict:
    """A turn around the subject as an animation of the render engine LVSM, PNG files."""
    scene.render.engine = "LVSM"
    bpy.ops.lvsm.use_exact_colors()
    scene.render.resolution_x = scene.render.resolution_y = ORBIT_SIZE
    scene.frame_start, scene.frame_end = 1, frames
    scene.render.filepath = f"{folder}/"
    pivot = bpy.data.objects.new("Orbit", None)
    camera = bpy.data.objects.new("Orbit Camera", bpy.data.cameras.new("Orbit Camera"))
    for item in (pivot, camera):
        scene.collection.objects.link(item)
    camera.parent, camera.data.angle = pivot, math.radians(50)
    camera.location, camera.rotation_euler = (
        (1.9 * math.cos(0.4), 0, 1.9 * math.sin(0.4)),
        (math.pi / 2 - 0.4, 0, math.pi / 2),
    )
    for frame, angle in ((1, 0.0), (frames + 1, 2 * math.pi)):
        pivot.rotation_euler.z = angle
        pivot.keyframe_insert("rotation_euler", frame=frame)
    turn_evenly(pivot)
    scene.camera = camera
    began = time.monotonic()
    bpy.ops.render.render(animation=True)
    seconds = time.monotonic() - began
    print(f"rendered {frames} frames in {seconds:.1f} s", flush=True)
    return {"frames": frames, "seconds": seconds}


def turn_evenly(item: bpy.types.Object) -> None:
    """Linear keys: no slowing down at the turn's ends."""
    action = item.animation_data.action
    curves = action.fcurves if hasattr(action, "fcurves") else action.layers[0].strips[0].channelbags[0].fcurves
    for curve in curves:
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"


if __name__ == "__main__":
    main(*sys.argv[1:])
