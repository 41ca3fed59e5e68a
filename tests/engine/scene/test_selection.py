"""Which cameras are taken: the nearest by direction, and a spread over all sides."""

import numpy as np

from lvsm_engine.scene.camera import Camera
from lvsm_engine.scene.selection import (
    angles_to,
    nearest_view,
    nearest_views,
    photos_beside,
    presences,
    spread_views,
)
from tests.synthetic import look_at


def ring_camera(degrees, distance=3.0, height=1.0):
    angle = np.radians(degrees)
    pose = look_at([distance * np.cos(angle), distance * np.sin(angle), height])
    return Camera(pose, 100, 100, 50, 50, 100, 100)


def test_the_nearest_view_sees_the_subject_from_the_same_side():
    cameras = [ring_camera(degrees) for degrees in (0, 90, 180, 270)]
    assert nearest_view(ring_camera(100), cameras) == 1
    assert nearest_view(ring_camera(181, distance=9.0), cameras) == 2
    assert nearest_view(ring_camera(-40), cameras) == 0


def test_nearest_views_come_in_the_order_of_their_angle():
    cameras = [ring_camera(degrees, height=0) for degrees in (0, 90, 180, 270)]
    assert nearest_views(ring_camera(100, height=0), cameras, 3) == [1, 2, 0]
    assert nearest_views(ring_camera(100, height=0), cameras, 9) == [1, 2, 0, 3]
    np.testing.assert_allclose(angles_to(ring_camera(100, 7.0, 0), cameras), [100, 10, 80, 170], atol=1e-5)


def test_distance_decides_between_equal_directions():
    cameras = [ring_camera(0, 2.0, 0), ring_camera(0, 6.0, 0), ring_camera(180, 3.0, 0)]
    assert nearest_view(ring_camera(0, 5.5, 0), cameras) == 1
    assert nearest_view(ring_camera(0, 2.5, 0), cameras) == 0


def test_spread_views_leave_no_side_out():
    cameras = [ring_camera(degrees) for degrees in range(0, 360, 10)]
    chosen = spread_views(cameras, 4)
    assert chosen == sorted(set(chosen))
    gaps = np.diff([*chosen, chosen[0] + 36])
    assert gaps.max() <= 12  # 120 degrees; a careless choice leaves half a turn


def test_few_cameras_are_all_taken():
    assert spread_views([ring_camera(0), ring_camera(90)], 8) == [0, 1]
    assert spread_views([ring_camera(0)], 1) == [0]
    identical = [ring_camera(0)] * 5
    assert len(set(spread_views(identical, 3))) == 3


def test_presences_fade_without_a_jump_and_leave_nobody_out_who_is_near():
    cameras = [ring_camera(angle) for angle in range(0, 360, 20)]
    seen = [presences(ring_camera(angle / 2), cameras, 6) for angle in range(81)]
    assert all(len(counts) <= 6 and max(counts.values()) == 1 for counts in seen)
    for before, after in zip(seen, seen[1:], strict=False):
        for position in before.keys() | after.keys():
            assert abs(before.get(position, 0) - after.get(position, 0)) < 0.2
    assert presences(ring_camera(5), cameras[:4], 6) == dict.fromkeys((0, 1, 2, 3), 1.0)


def test_photos_beside_one_have_a_baseline_where_any_has():
    burst = [ring_camera(angle) for angle in (0, 0.2, 0.4)]
    others = [ring_camera(angle) for angle in (10, 20, 300)]
    assert set(photos_beside(0, [*burst, *others], 2, 0.03)) == {3, 4}
    assert photos_beside(0, burst, 3, 0.03) == [1, 2]
    assert photos_beside(0, burst[:1], 3, 0.03) == []
