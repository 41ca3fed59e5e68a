"""Blender cameras <-> Camera, exactly as Blender itself projects. Knows nothing of photos.

Blender looks along -z of a camera's axes with y up; the matrices here are turned by OPENCV_FROM_OPENGL.
"""

import bpy
import mathutils
import numpy as np

from lvsm_engine.errors import CameraError
from lvsm_engine.scene.camera import OPENCV_FROM_OPENGL, ROTATION_TOLERANCE, Camera

SENSOR_WIDTH = 36.0  # mm, Blender's own default
MIN_LENS = 1.0  # mm, Blender's limit: a wider lens needs a larger sensor

_WHY_NOT = {"ORTHO": "is orthographic", "PANO": "is panoramic", "CUSTOM": "has a lens made of a script"}


def camera_from_blender(
    camera_object: bpy.types.Object, depsgraph: bpy.types.Depsgraph, size: tuple[int, int] | None = None
) -> Camera:
    """The Camera of a Blender camera, evaluated: with its animation and constraints.

    size: (width, height) of a photo with square pixels; without it the scene's render size and pixel aspect.
    The object's scale is dropped, as Blender does. A camera that the view layer leaves out is where its own transform
    and its parents' put it. Raises CameraError, naming the camera.
    """
    lens = camera_object.evaluated_get(depsgraph).data
    if lens.type != "PERSP":
        raise CameraError(f"{camera_object.name} {_WHY_NOT[lens.type]}: make it a perspective camera.")
    camera_to_world = _rigid(camera_object.name, _world_matrix(camera_object, depsgraph))
    if size is not None:
        (width, height), (aspect_x, aspect_y) = size, (1.0, 1.0)
    else:
        width, height, aspect_x, aspect_y = render_size(depsgraph.scene.render)
    is_wide = width * aspect_x >= height * aspect_y
    is_horizontal = is_wide if lens.sensor_fit == "AUTO" else lens.sensor_fit == "HORIZONTAL"
    # AUTO fits the sensor's width to the longer side, even to a tall one.
    sensor = lens.sensor_height if lens.sensor_fit == "VERTICAL" else lens.sensor_width
    side = width * aspect_x if is_horizontal else height * aspect_y
    return Camera(
        camera_to_world,
        fx=lens.lens / sensor * side / aspect_x,
        fy=lens.lens / sensor * side / aspect_y,
        cx=width / 2 - lens.shift_x * side / aspect_x,
        cy=height / 2 + lens.shift_y * side / aspect_y,
        width=width,
        height=height,
    )


def render_size(render: bpy.types.RenderSettings) -> tuple[int, int, float, float]:
    """Width and height in pixels, and the pixels' aspect (x, y). Blender cuts off what a percentage leaves over."""
    width = render.resolution_x * render.resolution_percentage // 100
    height = render.resolution_y * render.resolution_percentage // 100
    return max(width, 1), max(height, 1), render.pixel_aspect_x, render.pixel_aspect_y


def _world_matrix(camera_object: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> mathutils.Matrix:
    """Where a camera is. Raises CameraError where Blender has not evaluated it and its own transform does not tell.

    Blender evaluates nothing that is excluded from the view layer or disabled: its matrix_world is then that of some
    earlier time, or none at all.
    """
    own, item = mathutils.Matrix(), camera_object
    while not (evaluated := item.evaluated_get(depsgraph)).is_evaluated:
        if not _stands_by_itself(item):
            raise CameraError(
                f"{camera_object.name} is left out of the view layer, and what moves {item.name} is not computed there:"
                " include its collection and enable it in viewports and renders, or leave the camera out."
            )
        own = item.matrix_basis @ own
        if item.parent is None:
            return own
        own, item = item.matrix_parent_inverse @ own, item.parent
    return evaluated.matrix_world @ own


def _stands_by_itself(item: bpy.types.Object) -> bool:
    """Whether an object's own transform and its parent's say where it is, and its data what lens it has."""
    follows_path = item.parent is not None and item.parent.type == "CURVE" and item.parent.data.use_path
    is_plain = item.parent_type == "OBJECT" and not follows_path and not item.constraints
    return is_plain and not any(_is_animated(block) for block in (item, item.data) if block is not None)


def _is_animated(block: bpy.types.ID) -> bool:
    animation = block.animation_data
    return animation is not None and bool(animation.action or animation.drivers or animation.nla_tracks)


def _rigid(name: str, matrix_world: mathutils.Matrix) -> np.ndarray:
    """Blender's matrix as a pose (4, 4) in OpenCV axes, each axis brought to length 1."""
    matrix = np.array(matrix_world, dtype=np.float64)
    if not np.isfinite(matrix).all():
        raise CameraError(f"{name} has a transform that is not finite: clear its transform and its parents'.")
    if np.linalg.norm(matrix[:3, :3], axis=0).min() == 0:
        raise CameraError(f"{name} or one of its parents is scaled to 0: set the scale to 1.")
    axes = np.array(matrix_world.normalized(), dtype=np.float64)[:3, :3]  # rounded as Blender's own is
    if np.abs(axes.T @ axes - np.eye(3)).max() > ROTATION_TOLERANCE:
        raise CameraError(f"{name} is sheared by a parent with uneven scale: apply the parent's scale (Ctrl+A).")
    # Blender would render it as in a mirror, which no lens does.
    if np.linalg.det(axes) < 0:
        raise CameraError(f"{name} or one of its parents is mirrored by a negative scale: apply the scale (Ctrl+A).")
    # Blender's axes are orthogonal to 7 digits. The optical axis stays as it is: an error of it counts times the focal
    # length, in a telephoto lens a hundredth of a pixel; those of the others only times the image's size.
    _, up, back = axes.T
    back = back / np.linalg.norm(back)
    up = up - (up @ back) * back
    up /= np.linalg.norm(up)
    right = up[[1, 2, 0]] * back[[2, 0, 1]] - up[[2, 0, 1]] * back[[1, 2, 0]]  # np.cross takes ten times as long
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = np.stack([right, up, back], axis=-1), matrix[:3, 3]
    return pose @ OPENCV_FROM_OPENGL


def camera_to_blender(camera_object: bpy.types.Object, scene: bpy.types.Scene, camera: Camera) -> None:
    """Make a Blender camera, and the scene's render size, such that camera_from_blender returns `camera`.

    Sets resolution, percentage and pixel aspect of the scene. Blender keeps lens, shift and matrix with 7 digits.
    Raises CameraError where the camera's parents allow no pose.
    """
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = camera.width, camera.height, 100
    render.pixel_aspect_x, render.pixel_aspect_y = _pixel_aspect(camera)
    set_lens(camera_object.data, camera)
    set_pose(camera_object, camera.camera_to_world)


def _pixel_aspect(camera: Camera) -> tuple[float, float]:
    """Blender knows no pixel aspect below 1."""
    return (1.0, camera.fx / camera.fy) if camera.fx >= camera.fy else (camera.fy / camera.fx, 1.0)


def set_lens(lens: bpy.types.Camera, camera: Camera) -> None:
    """Give Blender's camera data this camera's lens, for an image of the camera's size and pixel aspect."""
    aspect_x, aspect_y = _pixel_aspect(camera)
    side = max(camera.width * aspect_x, camera.height * aspect_y)
    sensor = SENSOR_WIDTH * max(1.0, MIN_LENS / (camera.fx * aspect_x / side * SENSOR_WIDTH))
    lens.type, lens.sensor_fit, lens.sensor_width = "PERSP", "AUTO", sensor
    lens.lens = camera.fx * aspect_x / side * sensor
    lens.shift_x = (camera.width / 2 - camera.cx) * aspect_x / side
    lens.shift_y = (camera.cy - camera.height / 2) * aspect_y / side


def set_pose(camera_object: bpy.types.Object, camera_to_world: np.ndarray) -> None:
    """Put a Blender camera at a pose (4, 4) in OpenCV axes, its parents staying where they are.

    Raises CameraError where a parent's matrix cannot be inverted.
    """
    if camera_object.parent is not None:
        # As "Keep Transform" does: its location, rotation and scale then count in the world, however sheared its parent.
        undone = _parent_matrix(camera_object).inverted(None)
        if undone is None:
            raise CameraError(f"{camera_object.name} has a parent that is scaled to 0: set the scale to 1.")
        camera_object.matrix_parent_inverse = undone
    # Blender computes Euler angles near a vertical view to 5 digits only: a tenth of a pixel.
    camera_object.rotation_mode = "QUATERNION"
    camera_object.matrix_basis = mathutils.Matrix((camera_to_world @ OPENCV_FROM_OPENGL).tolist())


def _parent_matrix(camera_object: bpy.types.Object) -> mathutils.Matrix:
    """What the camera's parent, or the bone or vertices of it, does to the camera."""
    if camera_object.parent_type == "OBJECT":
        return camera_object.parent.matrix_world
    own = camera_object.matrix_parent_inverse @ camera_object.matrix_basis
    return camera_object.matrix_world @ own.inverted_safe()
