"""Cameras both ways: 500 random ones against Blender's own matrices, the inverse, what is hidden, what is refused."""

import math
import os
import random
import tempfile

import bpy
import numpy as np
import stage
from mathutils import Euler

scene_cameras, errors = stage.addon("scene.scene_cameras"), stage.addon("bundled.lvsm_engine.errors")
engine_camera = stage.addon("bundled.lvsm_engine.scene.camera")

TOLERANCE = 1e-3  # pixels
HIDDEN_FILE = os.path.join(tempfile.mkdtemp(), "hidden.blend")


class Rig:
    """The scene's "Camera A" and an object that may be its parent, as they are now: a file may be loaded in between."""

    camera_object = property(lambda _: bpy.data.objects["Camera A"])
    lens = property(lambda _: bpy.data.objects["Camera A"].data)
    parent = property(lambda _: bpy.data.objects["Parent"])
    scene = property(lambda _: bpy.context.scene)
    render = property(lambda _: bpy.context.scene.render)


rig = Rig()


def build(has_parent=False):
    """A new scene with the rig, all at the origin."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    for item in (
        bpy.data.objects.new("Camera A", bpy.data.cameras.new("Camera A")),
        bpy.data.objects.new("Parent", None),
    ):
        rig.scene.collection.objects.link(item)
    rig.camera_object.parent = rig.parent if has_parent else None


def randomize_lens():
    lens, render = rig.lens, rig.render
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
    camera_object, parent = rig.camera_object, rig.parent
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


def points_before(camera, numbers, count=20):
    """World points (N, 3) that fall within the camera's image, 1 to 10 units away."""
    pixels = numbers.uniform((0, 0), (camera.width, camera.height), (count, 2))
    depth = numbers.uniform(1, 10, (count, 1))
    across = (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    return (np.hstack([across, np.ones((count, 1))]) * depth) @ camera.camera_to_world[:3, :3].T + camera.position


def blender_pixels(points, depsgraph, width, height, aspect_x, aspect_y):
    """Where Blender's own matrices put world points: pixels (N, 2) from the top left corner."""
    projection = rig.camera_object.calc_matrix_camera(depsgraph, x=width, y=height, scale_x=aspect_x, scale_y=aspect_y)
    matrix_world = rig.camera_object.evaluated_get(depsgraph).matrix_world.normalized()
    view = np.linalg.inv(np.array(matrix_world, dtype=np.float64))
    clip = np.hstack([points, np.ones((len(points), 1))]) @ view.T @ np.array(projection, dtype=np.float64).T
    device = clip[:, :2] / clip[:, 3:]
    return np.stack([(device[:, 0] + 1) / 2 * width, (1 - device[:, 1]) / 2 * height], axis=-1)


def distance(pixels, others):
    return np.linalg.norm(pixels - others, axis=1).max()


def compare(numbers, size=None):
    """The Camera, and the largest distance in pixels between its projection and Blender's."""
    depsgraph, render = evaluated(), rig.render
    camera = scene_cameras.camera_from_blender(rig.camera_object, depsgraph, size)
    points = points_before(camera, numbers)
    aspect = (1.0, 1.0) if size else (render.pixel_aspect_x, render.pixel_aspect_y)
    shown = (camera.width, camera.height, *aspect)
    return camera, distance(engine_camera.project(camera, points)[0], blender_pixels(points, depsgraph, *shown))


def test_500_random_cameras_project_as_blender_does():
    build()
    random.seed(0)
    numbers, worst = np.random.default_rng(0), 0.0
    for _ in range(500):
        randomize_lens()
        randomize_pose()
        camera, error = compare(numbers)
        assert camera.width == int(rig.render.resolution_x * rig.render.resolution_percentage / 100)
        worst = max(worst, error)
    print(f"largest distance from Blender's pixels: {worst:.2e}")
    assert worst < TOLERANCE


def test_500_random_cameras_of_photos_with_a_size_of_their_own_project_as_blender_does():
    build()
    random.seed(1)
    numbers, worst = np.random.default_rng(1), 0.0
    for _ in range(500):
        randomize_lens()
        randomize_pose()
        size = (random.randint(200, 2048), random.randint(200, 2048))
        camera, error = compare(numbers, size)
        assert (camera.width, camera.height) == size and camera.fx == camera.fy
        worst = max(worst, error)
    print(f"largest distance from Blender's pixels: {worst:.2e}")
    assert worst < TOLERANCE


def random_camera(numbers):
    """Any Camera that Blender can show."""
    width, height = random.randint(200, 2048), random.randint(200, 2048)
    focal = random.uniform(0.1, 3) * max(width, height)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = np.array(random_rotation().to_matrix()), numbers.uniform(-5, 5, 3)
    left, _, right = np.linalg.svd(pose[:3, :3])
    pose[:3, :3] = left @ right
    centre = (random.uniform(0.2, 0.8) * width, random.uniform(0.2, 0.8) * height)
    fy = focal * random.choice((1, random.uniform(0.6, 1.6)))
    return engine_camera.Camera(pose, focal, fy, *centre, width, height)


def test_any_lens_and_pose_comes_back_from_blender_whatever_the_parents_do():
    build()
    random.seed(2)
    numbers, worst = np.random.default_rng(2), 0.0
    for _ in range(200):
        randomize_lens()
        randomize_pose()
        rig.parent.scale = [random.choice((-1, 1)) * random.uniform(0.5, 2) for _ in range(3)]
        wanted = random_camera(numbers)
        evaluated()
        scene_cameras.camera_to_blender(rig.camera_object, rig.scene, wanted)
        got = scene_cameras.camera_from_blender(rig.camera_object, evaluated())
        assert (got.width, got.height) == (wanted.width, wanted.height)
        points = points_before(wanted, numbers)
        error = distance(engine_camera.project(got, points)[0], engine_camera.project(wanted, points)[0])
        worst = max(worst, error)
    print(f"largest distance of pixels there and back: {worst:.2e}")
    assert worst < 10 * TOLERANCE


def refusal():
    try:
        scene_cameras.camera_from_blender(rig.camera_object, evaluated())
    except errors.CameraError as error:
        return str(error)
    raise AssertionError("the camera was not refused")


def refused_with_parent(scale, rotation=0.0):
    """What is said of a camera, turned by so many radians, whose parent has a scale."""
    build(has_parent=True)
    rig.parent.scale, rig.camera_object.rotation_euler = scale, (0, 0, rotation)
    return refusal()


def test_a_mirrored_camera_is_refused_by_name():
    assert "Camera A or one of its parents is mirrored" in refused_with_parent((-1, 1, 1))


def test_a_camera_scaled_to_0_is_refused_by_name():
    assert "Camera A or one of its parents is scaled to 0" in refused_with_parent((0, 1, 1))


def test_a_sheared_camera_is_refused_by_name():
    assert "Camera A is sheared" in refused_with_parent((1, 3, 1), rotation=0.6)


def test_a_camera_at_no_place_is_refused_by_name():
    build(has_parent=True)
    rig.camera_object.location.x = math.nan
    assert "Camera A has a transform that is not finite" in refusal()


def test_orthographic_and_panoramic_cameras_are_refused_by_name():
    build()
    for kind, words in (("ORTHO", "Camera A is orthographic"), ("PANO", "Camera A is panoramic")):
        rig.lens.type = kind
        said = refusal()
        assert words in said, said


def test_an_animated_camera_counts_as_it_stands_at_the_frame():
    build()
    for frame, place in ((1, 0), (11, 10)):
        rig.camera_object.location = (place, 0, 0)
        rig.camera_object.keyframe_insert("location", frame=frame)
    rig.scene.frame_set(11)
    position = scene_cameras.camera_from_blender(rig.camera_object, bpy.context.evaluated_depsgraph_get()).position
    assert np.abs(position - (10, 0, 0)).max() < 1e-5, position


def build_collection():
    """A new scene with the rig, turned and moved, in a collection; the camera's pose there."""
    build(has_parent=True)
    rig.camera_object.location = (1, 2, 3)
    rig.parent.location, rig.parent.rotation_euler, rig.parent.scale = (5, 0, 0), (0.1, 0.2, 0.3), (2, 2, 2)
    hidden = bpy.data.collections.new("Hidden")
    rig.scene.collection.children.link(hidden)
    for item in (rig.camera_object, rig.parent):
        rig.scene.collection.objects.unlink(item)
        hidden.objects.link(item)
    return scene_cameras.camera_from_blender(rig.camera_object, evaluated()).camera_to_world


def layer_collection():
    return bpy.context.view_layer.layer_collection.children["Hidden"]


def open_with(owner, switch):
    """Save the scene with a switch set, and open it again."""
    setattr(owner(), switch, True)
    bpy.ops.wm.save_as_mainfile(filepath=HIDDEN_FILE)
    bpy.ops.wm.open_mainfile(filepath=HIDDEN_FILE)


def stays_where_it_was(owner, switch):
    """Whether a camera that this switch hides is where its own transforms put it, in a file that was just opened."""
    shown = build_collection()
    open_with(owner, switch)
    hidden = scene_cameras.camera_from_blender(rig.camera_object, evaluated()).camera_to_world
    return np.abs(hidden - shown).max() < 1e-5


def test_a_camera_that_the_view_layer_excludes_is_where_its_own_transforms_put_it():
    assert stays_where_it_was(layer_collection, "exclude")


def test_a_camera_in_a_hidden_collection_is_where_its_own_transforms_put_it():
    assert stays_where_it_was(lambda: bpy.data.collections["Hidden"], "hide_viewport")


def test_a_hidden_camera_or_one_of_a_hidden_parent_is_where_its_own_transforms_put_it():
    assert stays_where_it_was(lambda: rig.camera_object, "hide_viewport")
    assert stays_where_it_was(lambda: rig.parent, "hide_viewport")


def test_a_hidden_camera_whose_parent_is_animated_is_refused_by_name():
    build_collection()
    open_with(layer_collection, "exclude")
    rig.parent.keyframe_insert("location", frame=1)
    assert "Camera A is left out of the view layer, and what moves Parent" in refusal()
    rig.parent.animation_data_clear()
    assert scene_cameras.camera_from_blender(rig.camera_object, evaluated())


def test_a_hidden_camera_with_a_constraint_is_refused_by_name():
    build_collection()
    open_with(layer_collection, "exclude")
    constraint = rig.camera_object.constraints.new("COPY_LOCATION")
    assert "what moves Camera A is not computed" in refusal()
    rig.camera_object.constraints.remove(constraint)
    assert scene_cameras.camera_from_blender(rig.camera_object, evaluated())


def test_a_hidden_camera_with_a_driven_lens_is_refused_by_name():
    build_collection()
    open_with(layer_collection, "exclude")
    rig.lens.keyframe_insert("lens", frame=1)
    assert "what moves Camera A is not computed" in refusal()
    rig.lens.animation_data_clear()
    assert scene_cameras.camera_from_blender(rig.camera_object, evaluated())
