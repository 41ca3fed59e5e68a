"""Cameras both ways: 500 random ones against Blender's own matrices, the inverse, what is hidden, what is refused."""

import math
import os
import random
import tempfile

import bpy
import numpy as np
from bl_ext.user_default.lvsm import scene_cameras
from bl_ext.user_default.lvsm.bundled.lvsm_engine.errors import CameraError
from bl_ext.user_default.lvsm.bundled.lvsm_engine.scene.camera import Camera, project
from mathutils import Euler, Matrix

TOLERANCE = 1e-3  # pixels

random.seed(0)
numbers = np.random.default_rng(0)
scene = bpy.context.scene
render = scene.render
lens = bpy.data.cameras.new("Camera A")
camera_object = bpy.data.objects.new("Camera A", lens)
parent = bpy.data.objects.new("Parent", None)
scene.collection.objects.link(camera_object)
scene.collection.objects.link(parent)


def randomize_lens():
    lens.sensor_fit = random.choice(("AUTO", "HORIZONTAL", "VERTICAL"))
    lens.sensor_width, lens.sensor_height = random.uniform(8, 60), random.uniform(8, 60)
    lens.lens = random.uniform(8, 150)
    lens.shift_x, lens.shift_y = random.uniform(-0.5, 0.5), random.uniform(-0.5, 0.5)
    render.resolution_x, render.resolution_y = random.randint(200, 2048), random.randint(200, 2048)
    render.resolution_percentage = random.choice((100, 100, 50, 33, 77, 150))
    aspect = random.choice(((1, 1), (random.uniform(1, 2), 1), (1, random.uniform(1, 2))))
    render.pixel_aspect_x, render.pixel_aspect_y = aspect


def random_rotation():
    return Euler([random.uniform(-math.pi, math.pi) for _ in range(3)])


def randomize_pose():
    """With a parent or without; scales even or uneven where they do not shear; mirrored an even number of times."""
    camera_object.parent = random.choice((None, parent))
    camera_object.matrix_parent_inverse.identity()
    signs = random.choice(((1, 1, 1), (-1, -1, 1), (1, -1, -1)))
    camera_object.scale = [sign * random.uniform(0.1, 5) for sign in signs]
    camera_object.location = [random.uniform(-5, 5) for _ in range(3)]
    camera_object.rotation_mode = "XYZ"
    camera_object.rotation_euler = random_rotation()
    parent.rotation_euler = random_rotation()
    parent.location = [random.uniform(-5, 5) for _ in range(3)]
    parent.scale = [random.uniform(0.1, 5)] * 3
    if camera_object.parent and random.random() < 0.3:  # a parent's mirror and one of the camera's own make none
        parent.scale = [-value for value in parent.scale]
        camera_object.scale.x *= -1


def evaluated():
    bpy.context.view_layer.update()
    return bpy.context.evaluated_depsgraph_get()


def points_before(camera, count=20):
    """World points (N, 3) that fall within the camera's image, 1 to 10 units away."""
    pixels = numbers.uniform((0, 0), (camera.width, camera.height), (count, 2))
    depth = numbers.uniform(1, 10, (count, 1))
    across = (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    return (np.hstack([across, np.ones((count, 1))]) * depth) @ camera.camera_to_world[:3, :3].T + camera.position


def blender_pixels(points, depsgraph, width, height, aspect_x, aspect_y):
    """Where Blender's own matrices put world points: pixels (N, 2) from the top left corner."""
    projection = camera_object.calc_matrix_camera(depsgraph, x=width, y=height, scale_x=aspect_x, scale_y=aspect_y)
    view = np.linalg.inv(np.array(camera_object.evaluated_get(depsgraph).matrix_world.normalized(), dtype=np.float64))
    clip = np.hstack([points, np.ones((len(points), 1))]) @ view.T @ np.array(projection, dtype=np.float64).T
    device = clip[:, :2] / clip[:, 3:]
    return np.stack([(device[:, 0] + 1) / 2 * width, (1 - device[:, 1]) / 2 * height], axis=-1)


def distance(pixels, others):
    return np.linalg.norm(pixels - others, axis=1).max()


def compare(size=None):
    """The largest distance in pixels between our projection and Blender's."""
    depsgraph = evaluated()
    camera = scene_cameras.engine_camera(camera_object, depsgraph, size)
    points = points_before(camera)
    aspect = (1.0, 1.0) if size else (render.pixel_aspect_x, render.pixel_aspect_y)
    shown = (camera.width, camera.height, *aspect)
    return camera, distance(project(camera, points)[0], blender_pixels(points, depsgraph, *shown))


worst = worst_with_size = 0.0
for _ in range(500):
    randomize_lens()
    randomize_pose()
    camera, error = compare()
    assert camera.width == int(render.resolution_x * render.resolution_percentage / 100)
    worst = max(worst, error)
    size = (random.randint(200, 2048), random.randint(200, 2048))
    camera, error = compare(size)
    assert (camera.width, camera.height) == size and camera.fx == camera.fy
    worst_with_size = max(worst_with_size, error)

# The inverse: any lens and pose, whatever the object's parents do.
worst_inverse = 0.0
for _ in range(200):
    randomize_lens()
    randomize_pose()
    parent.scale = [random.choice((-1, 1)) * random.uniform(0.5, 2) for _ in range(3)]
    width, height = random.randint(200, 2048), random.randint(200, 2048)
    focal = random.uniform(0.1, 3) * max(width, height)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = np.array(random_rotation().to_matrix()), numbers.uniform(-5, 5, 3)
    left, _, right = np.linalg.svd(pose[:3, :3])
    pose[:3, :3] = left @ right
    centre = (random.uniform(0.2, 0.8) * width, random.uniform(0.2, 0.8) * height)
    wanted = Camera(pose, focal, focal * random.choice((1, random.uniform(0.6, 1.6))), *centre, width, height)
    evaluated()
    scene_cameras.apply_camera(camera_object, scene, wanted)
    got = scene_cameras.engine_camera(camera_object, evaluated())
    assert (got.width, got.height) == (wanted.width, wanted.height)
    points = points_before(wanted)
    error = distance(project(got, points)[0], project(wanted, points)[0])
    worst_inverse = max(worst_inverse, error)

print(f"camera error: {worst:.2e} px, with a size {worst_with_size:.2e} px, inverse {worst_inverse:.2e} px")
assert worst < TOLERANCE and worst_with_size < TOLERANCE and worst_inverse < 10 * TOLERANCE


def refusal():
    try:
        scene_cameras.engine_camera(camera_object, evaluated())
    except CameraError as error:
        return str(error)
    raise AssertionError("the camera was not refused")


camera_object.parent = parent
camera_object.matrix_parent_inverse.identity()
camera_object.matrix_basis = Matrix()
camera_object.rotation_mode = "XYZ"
for scale, rotation, words in (
    ((-1, 1, 1), 0, "Camera A or one of its parents is mirrored"),
    ((0, 1, 1), 0, "Camera A or one of its parents is scaled to 0"),
    ((1, 3, 1), 0.6, "Camera A is sheared"),
):
    parent.scale, camera_object.rotation_euler = scale, (0, 0, rotation)
    said = refusal()
    assert words in said, said
parent.scale, camera_object.rotation_euler = (1, 1, 1), (0, 0, 0)
camera_object.location.x = math.nan
assert "Camera A has a transform that is not finite" in refusal()
camera_object.location.x = 0
for kind, words in (("ORTHO", "Camera A is orthographic"), ("PANO", "Camera A is panoramic")):
    lens.type = kind
    said = refusal()
    assert words in said, said
lens.type = "PERSP"

# An animated camera counts as it stands at the frame.
camera_object.parent = None
for frame, place in ((1, 0), (11, 10)):
    camera_object.location = (place, 0, 0)
    camera_object.keyframe_insert("location", frame=frame)
scene.frame_set(11)
position = scene_cameras.engine_camera(camera_object, bpy.context.evaluated_depsgraph_get()).position
assert np.abs(position - (10, 0, 0)).max() < 1e-5, position

# What the view layer leaves out is where its own transforms put it, in a file that was just opened too.
camera_object.animation_data_clear()
camera_object.location, camera_object.parent = (1, 2, 3), parent
parent.location, parent.rotation_euler, parent.scale = (5, 0, 0), (0.1, 0.2, 0.3), (2, 2, 2)
hidden = bpy.data.collections.new("Hidden")
scene.collection.children.link(hidden)
for item in (camera_object, parent):
    scene.collection.objects.unlink(item)
    hidden.objects.link(item)
shown = scene_cameras.engine_camera(camera_object, evaluated()).camera_to_world
path = os.path.join(tempfile.mkdtemp(), "hidden.blend")


def opened(what, how):
    """The scene saved with a switch set and opened again: its camera, and the switch's owner."""
    setattr(what(), how, True)
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    return bpy.data.objects["Camera A"], what()


def layer_collection():
    return bpy.context.view_layer.layer_collection.children["Hidden"]


for what, how in (
    (layer_collection, "exclude"),
    (lambda: bpy.data.collections["Hidden"], "hide_viewport"),
    (lambda: bpy.data.objects["Camera A"], "hide_viewport"),
    (lambda: bpy.data.objects["Parent"], "hide_viewport"),
):
    camera_object, owner = opened(what, how)
    placed = scene_cameras.engine_camera(camera_object, evaluated()).camera_to_world
    assert np.abs(placed - shown).max() < 1e-5, (how, placed, shown)
    setattr(owner, how, False)

# Where something else moves it, it is refused by name: an animation of its parent, a constraint, a driven lens.
camera_object, owner = opened(layer_collection, "exclude")
parent, lens = camera_object.parent, camera_object.data
parent.keyframe_insert("location", frame=1)
assert "Camera A is left out of the view layer, and what moves Parent" in refusal()
parent.animation_data_clear()
constraint = camera_object.constraints.new("COPY_LOCATION")
assert "what moves Camera A is not computed" in refusal()
camera_object.constraints.remove(constraint)
lens.keyframe_insert("lens", frame=1)
assert "what moves Camera A is not computed" in refusal()
lens.animation_data_clear()
assert scene_cameras.engine_camera(camera_object, evaluated())
