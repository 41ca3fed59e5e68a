"""A small scene for tests inside a Blender: cameras in a row with a photo each, and one target without."""

import contextlib
import importlib
import os
import sys
import time
from pathlib import Path

import bpy
import numpy as np
from fake_picture import picture

TESTS = Path(__file__).resolve().parents[1]
SIZE = (64, 48)
HANG_SECONDS = 120  # nothing that is waited for takes as long, however busy the machine is


def addon(module):
    """A module of the add-on, by its room and name: of the enabled extension, else of the source tree, registered here."""
    settings = getattr(bpy.context.scene, "lvsm", None)
    if settings is None:
        sys.path.insert(0, str(TESTS.parents[1]))
        importlib.import_module("blender_addon").register()
        settings = bpy.context.scene.lvsm
    return importlib.import_module(f"{type(settings).__module__.rpartition('.scene.')[0]}.{module}")


def fake_picture(camera_object, depsgraph=None):
    """(H, W, 3) uint8: what the fake worker answers for a camera of the scene."""
    scene_cameras = addon("scene.scene_cameras")
    return picture(scene_cameras.camera_from_blender(camera_object, depsgraph or bpy.context.evaluated_depsgraph_get()))


@contextlib.contextmanager
def fake_worker(**settings):
    """Within the block the add-on's worker is a new one that is told these settings, as fake_worker.py's head lists them."""
    worker = addon("engine.worker_owner").worker
    told = {f"LVSM_FAKE_{name.upper()}": str(value) for name, value in settings.items()}
    worker.shutdown()
    os.environ.update(told)
    try:
        yield
    finally:
        for name in told:
            del os.environ[name]
        worker.shutdown()


def wait_until(condition):
    """Wait for what is to happen; that it never does is an AssertionError."""
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def refusal(act):
    """What Blender says when an operator refuses; that it does not is an AssertionError."""
    try:
        act()
    except RuntimeError as error:
        return str(error)
    raise AssertionError("it was not refused")


def build(folder, views=3):
    """A new scene with input views "View 0" and so on, and the scene's camera "Target". Returns the scene."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    addon("scene.results")
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    for number in range(views):
        camera_object = add_camera(f"View {number}", (number - 1, -4, 1))
        camera_object.data.lvsm.photo = photo(Path(folder) / f"photo {number}.png", 40 * number + 60)
        camera_object.data.lvsm.use_as_input = True
    scene.camera = add_camera("Target", (0.5, -4, 1.5))
    return scene


def add_camera(name, location):
    camera_object = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    camera_object.location = location
    camera_object.rotation_euler = (1.4, 0, 0)
    bpy.context.scene.collection.objects.link(camera_object)
    return camera_object


def photo(path, grey):
    png = addon("scene.results").encode_png(np.full((48, 64, 3), grey, np.uint8))
    path.write_bytes(png)
    return bpy.data.images.load(str(path))


def image_bytes(image):
    """(H, W, 3) uint8, from the top; checks that every value is k / 255."""
    width, height = image.size
    values = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(values)
    pixels = values.reshape(height, width, 4)[::-1, :, :3] * 255
    assert np.abs(pixels - np.rint(pixels)).max() < 1e-4
    return np.rint(pixels).astype(np.uint8)


def file_bytes(path):
    image = bpy.data.images.load(str(path))
    pixels = image_bytes(image)
    bpy.data.images.remove(image)
    return pixels
