"""The scene frame: published where it is defined, ours everywhere, never NaN."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsm_engine.errors import CameraError
from lvsm_engine.scene.camera import Camera
from lvsm_engine.scene.frame import (
    SceneFrame,
    mean_pose_frame,
    poses_in_frame,
    subject_similarity,
    world_to_model,
)
from tests.synthetic import look_at


def ring(count, height, radius=3.0, centre=(0, 0, 0)):
    angles = 2 * np.pi * np.arange(count) / count
    return np.stack([look_at(np.add(centre, [radius * np.cos(a), radius * np.sin(a), height]), centre) for a in angles])


def random_rotation(generator):
    q, r = np.linalg.qr(generator.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


def camera(pose):
    return Camera(pose, 100, 100, 50, 50, 100, 100)


@pytest.mark.parametrize(
    ("poses", "words"),
    [
        (ring(4, 0.0), "opposite directions"),
        (ring(4, 2.0), "ring around their subject"),
        (ring(4, 2.0)[:1], "at one place"),
        (np.repeat(ring(4, 2.0)[:1], 3, axis=0), "at one place"),
        (np.stack([look_at([1, 0, 0]), look_at([-1, 0, 0])]), "opposite directions"),
    ],
)
def test_the_published_frame_is_refused_where_it_divides_rounding_noise(poses, words):
    with pytest.raises(CameraError, match=words):
        mean_pose_frame(poses)
    similarity, warning = world_to_model(SceneFrame("mean_pose", 1.35), [camera(pose) for pose in poses])
    assert words in warning
    positions = poses_in_frame(similarity, poses)[:, :3, 3]
    np.testing.assert_allclose(np.linalg.norm(positions, axis=1), 1 / 1.35, rtol=1e-6)


def test_the_subjects_middle_becomes_the_origin_and_the_cameras_stand_at_the_given_distance():
    centre = np.array([5.0, -3.0, 2.0])
    similarity = subject_similarity(ring(5, 1.5, centre=centre), mean_distance=2.0)
    np.testing.assert_allclose(similarity @ [*centre, 1], [0, 0, 0, 1], atol=1e-9)
    poses = poses_in_frame(similarity, ring(5, 1.5, centre=centre))
    np.testing.assert_allclose(np.linalg.norm(poses[:, :3, 3], axis=1), 2.0)
    np.testing.assert_allclose(poses[:, 2, 3], 2.0 * 1.5 / np.hypot(3, 1.5), atol=1e-9)  # up stays up


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-3, 1e3))
def test_the_subject_frame_does_not_care_how_the_world_is_turned_moved_and_scaled_but_for_the_azimuth(seed, scale):
    generator = np.random.default_rng(seed)
    poses = np.stack(
        [look_at(position, generator.normal(size=3) * 0.1) for position in generator.normal(size=(5, 3)) * 3]
    )
    world = np.eye(4)
    world[:3, :3] = scale * random_rotation(generator)
    world[:3, 3] = generator.normal(size=3) * 10 * scale
    here = poses_in_frame(subject_similarity(poses, 2.0), poses)
    there = poses_in_frame(subject_similarity(poses_in_frame(world, poses), 2.0), poses_in_frame(world, poses))
    distances = [np.linalg.norm(p[:, None, :3, 3] - p[None, :, :3, 3], axis=-1) for p in (here, there)]
    np.testing.assert_allclose(*distances, atol=1e-6)
    np.testing.assert_allclose(here[:, 2, 3], there[:, 2, 3], atol=1e-6)


AWKWARD = {
    "single": ring(1, 1.0),
    "identical": np.repeat(ring(1, 1.0), 4, axis=0),
    "single at the origin": np.eye(4)[None],
    "turning on the spot": np.stack([look_at([0, 0, 0], target) for target in ([1, 0, 0], [0, 1, 0], [-1, 0.2, 0])]),
    "parallel": np.stack([look_at([x, 0, 5], [x, 1, 5]) for x in range(4)]),
    "looking outward": np.stack([look_at(p, 2 * np.array(p)) for p in ([1, 0, 0], [0, 1, 0], [-1, 0.1, 0])]),
    "far away": ring(6, 1.0, radius=1e7, centre=(1e8, 0, 0)),
    "tiny": ring(6, 1e-6, radius=1e-6),
    "straight down": np.stack([look_at([x, 0, 5], [x, 0, 0], up=(0, 1, 0)) for x in range(3)]),
    "upside down": ring(4, 1.0) @ np.diag([-1.0, -1.0, 1.0, 1.0]),
}


@pytest.mark.parametrize("kind", ["identity", "mean_pose", "subject"])
@pytest.mark.parametrize("name", AWKWARD)
def test_every_set_of_cameras_has_a_finite_frame(name, kind):
    poses = AWKWARD[name]
    similarity, _ = world_to_model(SceneFrame(kind, 1.35), [camera(pose) for pose in poses])
    result = poses_in_frame(similarity, poses)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(
        result[:, :3, :3] @ result[:, :3, :3].transpose(0, 2, 1), np.eye(3)[None].repeat(len(poses), 0), atol=1e-6
    )
    assert np.linalg.det(similarity[:3, :3]) > 0
    if kind == "subject":
        assert np.abs(result[:, :3, 3]).max() < 10


def test_a_single_camera_takes_its_subject_where_its_axis_passes_the_worlds_origin():
    similarity = subject_similarity(ring(1, 2.0, radius=4.0), mean_distance=2.0)
    np.testing.assert_allclose(similarity @ [0, 0, 0, 1], [0, 0, 0, 1], atol=1e-9)


def test_a_target_does_not_move_the_frame():
    inputs = [camera(pose) for pose in ring(4, 1.0)]
    similarity, _ = world_to_model(SceneFrame("subject", 2.0), inputs)
    target = look_at([0.5, 9.0, 1.0])
    moved = poses_in_frame(similarity, target)
    np.testing.assert_allclose(np.linalg.inv(similarity) @ [*moved[:3, 3], 1], [0.5, 9.0, 1.0, 1.0])


def test_a_frame_of_no_kind_is_refused():
    with pytest.raises(ValueError, match="must be one of identity, mean_pose, subject"):
        SceneFrame("cube", 1.0)
