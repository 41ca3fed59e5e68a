"""Where the rendered objects' cameras stand."""

import numpy as np
import pytest

from lvsm_engine.scene.camera import Camera, project
from training import protocol
from training.render.cameras import (
    SAMPLINGS,
    cameras_for,
    look_at,
    on_sphere,
    rolled,
)


def elevation_of(camera: Camera) -> float:
    return float(np.degrees(np.arcsin(camera.position[2] / np.linalg.norm(camera.position))))


def field_of_view_of(camera: Camera) -> float:
    return float(2 * np.degrees(np.arctan(camera.width / 2 / camera.fx)))


def test_look_at_puts_the_target_in_the_middle_and_the_world_upright() -> None:
    camera = Camera(look_at(np.array([2.0, -1.0, 0.7]), np.array([0.1, 0.2, 0.3])), 100, 100, 32, 32, 64, 64)
    pixels, depths = project(camera, np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 0.5]]))
    assert pixels[0] == pytest.approx([32, 32])
    assert depths[0] == pytest.approx(np.linalg.norm([1.9, -1.2, 0.4]))
    assert pixels[1][0] == pytest.approx(32) and pixels[1][1] < 32  # what is higher in the world is higher in the image


@pytest.mark.parametrize("up", [1.0, -1.0])
def test_a_camera_straight_above_or_below_has_a_pose(up: float) -> None:
    Camera(look_at(np.array([0.0, 0.0, 2 * up]), np.zeros(3)), 50, 50, 16, 16, 32, 32)  # checks the rotation


def test_on_sphere_counts_elevation_from_the_horizon_and_azimuth_from_x_to_y() -> None:
    assert on_sphere(0, 90, 2) == pytest.approx([0, 2, 0], abs=1e-12)
    assert on_sphere(30, 0, 2) == pytest.approx([np.sqrt(3), 0, 1])


def test_published_cameras_keep_their_bounds_and_fill_them() -> None:
    cameras = cameras_for("chair", "published", 2000, 128)
    distances = [np.linalg.norm(camera.position) for camera in cameras]
    elevations = [elevation_of(camera) for camera in cameras]
    assert 1.5 <= min(distances) < 1.51 and 2.79 < max(distances) <= 2.8
    assert -30 <= min(elevations) < -28 and 75 < max(elevations) <= 80
    # Uniform over the sphere: as much area lies below the middle of the sines as above it.
    middle = np.degrees(np.arcsin((np.sin(np.radians(-30)) + np.sin(np.radians(80))) / 2))
    assert np.mean(np.array(elevations) < middle) == pytest.approx(0.5, abs=0.04)
    assert {round(field_of_view_of(camera), 6) for camera in cameras} == {50.0}


def test_varied_cameras_keep_the_object_s_size_in_the_image() -> None:
    sampling = SAMPLINGS["varied"]
    cameras = cameras_for("chair", "varied", 500, 128)
    fields = [field_of_view_of(camera) for camera in cameras]
    assert 30 <= min(fields) < 31 and 59 < max(fields) <= 60
    sizes = [camera.fx / np.linalg.norm(camera.position) for camera in cameras]  # pixels a unit at the origin
    nearest, farthest = (64 / np.tan(np.radians(25)) / distance for distance in sampling.distance)
    assert farthest <= min(sizes) < farthest * 1.02 and nearest * 0.98 < max(sizes) <= nearest * (1 + 1e-9)


def test_a_field_of_view_can_be_given_as_a_range() -> None:
    fields = [field_of_view_of(camera) for camera in cameras_for("chair", "published", 500, 128, (35.0, 65.0))]
    assert 35 <= min(fields) < 36 and 64 < max(fields) <= 65


def test_the_optical_axis_passes_the_origin_within_the_jitter() -> None:
    offsets = []
    for camera in cameras_for("chair", "published", 500, 128):
        offsets.append(np.linalg.norm(np.cross(camera.forward, camera.position)))
    assert 0.02 < np.mean(offsets) < 0.06 and max(offsets) < 0.2


def test_protocol_cameras_are_4_known_inputs_10_seeded_targets_and_12_further_inputs() -> None:
    cameras = cameras_for("shoe", "protocol", 0, 64)
    assert len(cameras) == 26
    for camera, azimuth in zip(cameras[:4], (0, 90, 180, 270), strict=True):
        assert camera.position == pytest.approx(on_sphere(20, azimuth, 1.94))
    for camera in (cameras[view] for view in protocol.TARGETS):
        assert -10 <= elevation_of(camera) <= 60 and 1.7 <= np.linalg.norm(camera.position) <= 2.3
    for camera in cameras[14:]:
        assert elevation_of(camera) == pytest.approx(20) and np.linalg.norm(camera.position) == pytest.approx(1.94)
    for camera in cameras:
        assert field_of_view_of(camera) == pytest.approx(50)
        assert project(camera, np.zeros((1, 3)))[0][0] == pytest.approx([32, 32])


def test_the_protocol_s_targets_stay_where_they_were_when_it_had_4_inputs_only() -> None:
    """The positions are those of the 14-view protocol (commit e031f78), whose scores must stay comparable."""
    cameras = cameras_for("gz_fire_hydrant", "protocol", 0, 64)
    assert cameras[4].position == pytest.approx([0.615417082590, -1.771122202630, -0.147185011666])
    assert cameras[13].position == pytest.approx([-1.111708182921, -1.170872401919, 1.560631318254])


def test_a_protocol_camera_is_where_it_always_was() -> None:
    """Positions and axes as commit 05b0376 had them; sines may differ in their last bit between machines."""
    first, target = (cameras_for("chair", "protocol", 0, 512)[view].camera_to_world for view in (0, 4))
    right, down, forward = (
        (0, 1, 0),
        (0.3420201433256687, 0, -0.9396926207859084),
        (-0.9396926207859084, 0, -0.3420201433256687),
    )
    position = (1.8230036843246622, 0, 0.6635190780517973)
    assert pytest.approx(np.array([right, down, forward, position]), abs=1e-15) == first[:3].T
    right = (0.506011965755, -0.8625264578624593, 0)
    down = (-0.4985631042898153, -0.29248829894425515, -0.8160180304512878)
    forward = (0.7038371413570497, 0.41291488768017953, -0.5780264474731249)
    position = (-1.207999748784489, -0.708688205378459, 0.9920701285982678)
    assert pytest.approx(np.array([right, down, forward, position]), abs=1e-15) == target[:3].T


def test_cameras_depend_on_the_object_s_name_alone() -> None:
    one, again, other = (cameras_for(name, "published", 3, 64) for name in ("a", "a", "b"))
    for left, right in zip(one, again, strict=True):
        assert np.array_equal(left.camera_to_world, right.camera_to_world)
    assert not np.array_equal(one[0].camera_to_world, other[0].camera_to_world)


def test_robust_cameras_keep_the_object_s_size_and_are_rolled_about_the_axis() -> None:
    cameras = cameras_for("chair", "robust", 500, 128)
    fields = [field_of_view_of(camera) for camera in cameras]
    assert 25 <= min(fields) < 26 and 69 < max(fields) <= 70
    sizes = [camera.fx / np.linalg.norm(camera.position) for camera in cameras]
    nearest, farthest = (64 / np.tan(np.radians(25)) / distance for distance in (1.5, 2.8))
    assert farthest <= min(sizes) < farthest * 1.02 and nearest * 0.98 < max(sizes) <= nearest * (1 + 1e-9)
    # A level camera's right axis lies in the horizon.
    tilts = [np.degrees(np.arcsin(camera.camera_to_world[2, 0])) for camera in cameras]
    assert 6 < np.std(tilts) < 11 and abs(np.mean(tilts)) < 1.5


def test_a_camera_that_is_rolled_clockwise_sees_the_world_turn_the_other_way() -> None:
    pose = rolled(look_at(np.array([0.0, -2.0, 0.0]), np.zeros(3)), 90)
    pixels, _ = project(Camera(pose, 100, 100, 32, 32, 64, 64), np.array([[0.0, 0.0, 0.2]]))
    assert pixels[0] == pytest.approx([22, 32])  # What is above lies to the left.
