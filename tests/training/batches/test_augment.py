"""Crops, mirrors and jitters: known points stay where the cameras say."""

import numpy as np
import pytest
import torch

from lvsm_engine.model.rays import plucker_rays
from lvsm_engine.scene.camera import camera_of, project
from lvsm_engine.scene.frame import poses_in_frame, subject_similarity
from training.batches.augment import (
    Crops,
    FrameJitter,
    crop,
    draw_image_size,
    draw_jitter,
    draw_target_corners,
    draw_windows,
    mirrored,
)
from training.srgb import to_linear, to_srgb

SIZE = 96
LENS = np.array([110.0, 110.0, SIZE / 2, SIZE / 2])


def look_at_origin(position):
    """A camera at `position` (3,) that looks at the origin, +z up: camera_to_world (4, 4), OpenCV axes."""
    forward = -position / np.linalg.norm(position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, position], axis=1)
    return pose


POSES = np.stack([look_at_origin(np.array(position)) for position in ([2.0, 0.3, 0.5], [-0.5, 2.2, 0.8], [1, -1.5, 1])])
POINTS = np.array([[0.0, 0.0, 0.0], [0.15, -0.1, 0.1], [-0.1, 0.12, -0.15]])


def spots(pixels, width, height):
    """A black image (3, H, W) with a soft red, green and blue spot at pixels (3, 2): light, not codes."""
    y, x = np.mgrid[:height, :width] + 0.5
    light = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 2.5**2)) for px, py in pixels]
    return to_srgb(torch.from_numpy(np.stack(light)).float())


def middles(image):
    """Where each channel's light has its centre of mass: pixels (3, 2)."""
    light = to_linear(image).double().numpy()
    height, width = light.shape[1:]
    y, x = np.mgrid[:height, :width] + 0.5
    total = light.sum(axis=(1, 2))
    return np.stack([(light * x).sum(axis=(1, 2)) / total, (light * y).sum(axis=(1, 2)) / total], axis=1)


@pytest.mark.parametrize("seed", range(5))
def test_points_in_a_crop_are_where_its_camera_projects_them(seed):
    generator = np.random.default_rng(seed)
    crops = Crops(zoom=(1.0, 1.6), aspect=(0.6, 1.7), offset=0.5)
    seen = [project(camera_of(pose, LENS, SIZE, SIZE), POINTS)[0] for pose in POSES]
    images = torch.stack([spots(pixels, SIZE, SIZE) for pixels in seen])
    width, height = draw_image_size(generator, crops, 64, 8)
    windows = draw_windows(generator, crops, len(POSES), (SIZE, SIZE), width, height)
    cut, lenses = crop(images, np.tile(LENS, (3, 1)), windows, width, height)
    assert cut.shape == (3, 3, height, width)
    checked = 0
    for image, pose, lens in zip(cut, POSES, lenses, strict=True):
        expected = project(camera_of(pose, lens, width, height), POINTS)[0]
        inside = ((expected > 10) & (expected < np.array([width, height]) - 10)).all(axis=1)  # whole spots
        assert np.abs(middles(image) - expected)[inside].max(initial=0) < 0.05
        checked += inside.sum()
    assert checked >= 3


def test_windows_stay_inside_and_keep_the_aspect():
    crops = Crops(zoom=(1.0, 3.0), aspect=(0.5, 2.0), offset=1.0)
    for seed in range(50):
        generator = np.random.default_rng(seed)
        width, height = draw_image_size(generator, crops, 64, 8)
        assert width % 8 == height % 8 == 0
        assert 0.6 < width * height / 64**2 < 1.5
        windows = draw_windows(generator, crops, 4, (SIZE, SIZE), width, height)
        left, top, across, down = windows.T
        assert (windows[:, :2] >= 0).all()
        assert (left + across <= SIZE).all() and (top + down <= SIZE).all()
        assert np.abs(across / down * height / width - 1).max() < 0.06


def test_without_crops_a_view_is_the_same_to_the_bit_of_a_code():
    generator = np.random.default_rng(0)
    images = torch.randint(0, 256, (3, 3, 64, 64), generator=torch.Generator().manual_seed(0)).float() / 255
    width, height = draw_image_size(generator, Crops(), 64, 8)
    windows = draw_windows(generator, Crops(), 3, (64, 64), width, height)
    cut, lenses = crop(images, np.tile(LENS, (3, 1)), windows, width, height)
    assert (cut - images).abs().max() < 1e-5
    assert np.array_equal(lenses, np.tile(LENS, (3, 1)))


def test_larger_images_are_averaged_in_linear_light():
    rows = torch.zeros(1, 3, 16, 16)
    rows[:, :, ::2] = 1  # half of the light
    cut, lenses = crop(rows, LENS[None], np.array([[0, 0, 16, 16]]), 2, 2)
    assert cut.sub(188 / 255).abs().max() < 0.02  # the mean of codes would be 0.5
    assert lenses[0].tolist() == (LENS / 8).tolist()


def test_points_in_a_mirror_are_where_its_camera_projects_them():
    lens = LENS - [0, 0, 7, -3]
    images = torch.stack([spots(project(camera_of(pose, lens, SIZE, SIZE), POINTS)[0], SIZE, SIZE) for pose in POSES])
    poses, lenses = mirrored(POSES, np.tile(lens, (3, 1)), SIZE)
    for image, pose, mirrored_lens in zip(images.flip(-1), poses, lenses, strict=True):
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)  # a camera, not a mirror
        expected, depth = project(camera_of(pose, mirrored_lens, SIZE, SIZE), POINTS * [-1, 1, 1])
        assert (depth > 0).all()
        np.testing.assert_allclose(middles(image), expected, atol=0.05)


def test_a_jitter_moves_cameras_and_scene_together():
    similarity = subject_similarity(POSES, 2.0)
    jitter = FrameJitter(turn=180, tilt=20, scale=1.3, shift=0.2)
    for seed in range(20):
        whole = draw_jitter(np.random.default_rng(seed), jitter) @ similarity
        moved_points = POINTS @ whole[:3, :3].T + whole[:3, 3]
        for pose, moved in zip(POSES, poses_in_frame(whole, POSES), strict=True):
            before, _ = project(camera_of(pose, LENS, SIZE, SIZE), POINTS)
            after, _ = project(camera_of(moved, LENS, SIZE, SIZE), moved_points)
            assert np.abs(before - after).max() < 1e-9


def test_a_stretched_scene_is_seen_in_the_same_pixels():
    """The rays of a stretched scene's cameras pass its stretched points."""
    to_frame = subject_similarity(POSES, 2.0)
    jitter = FrameJitter(turn=180, tilt=20, stretch=1.4)
    lenses = torch.from_numpy(np.tile(LENS, (1, 3, 1)))
    for seed in range(20):
        whole = draw_jitter(np.random.default_rng(seed), jitter) @ to_frame
        points = POINTS @ whole[:3, :3].T + whole[:3, 3]
        poses = poses_in_frame(whole, POSES)
        rays = plucker_rays(torch.from_numpy(poses)[None], lenses, SIZE, SIZE)[0]
        for pose, of_view in zip(POSES, rays, strict=True):
            pixels, _ = project(camera_of(pose, LENS, SIZE, SIZE), POINTS)
            places = torch.from_numpy(pixels / SIZE * 2 - 1).to(rays.dtype)[None, None]
            moment, direction = (
                torch.nn.functional.grid_sample(of_view[None, part], places, align_corners=False)[0, :, 0].T.numpy()
                for part in (slice(0, 3), slice(3, 6))
            )
            away = np.cross(points, direction) - moment
            assert np.abs(away).max() < 0.01


def test_a_jitter_stays_within_its_bounds_and_fills_them():
    jitter = FrameJitter(turn=40, tilt=10, scale=1.5, shift=0.3)
    drawn = np.stack([draw_jitter(np.random.default_rng(seed), jitter) for seed in range(300)])
    scales = np.cbrt(np.linalg.det(drawn[:, :3, :3]))
    tilts = np.degrees(np.arccos(drawn[:, 2, 2] / scales))
    assert 1 / 1.5 <= scales.min() < 0.7 and 1.4 < scales.max() <= 1.5
    assert 9 < tilts.max() <= 10 + 1e-9
    assert 0.28 < np.abs(drawn[:, :3, 3]).max() <= 0.3
    assert np.array_equal(draw_jitter(np.random.default_rng(0), FrameJitter()), np.eye(4))
    stretched = np.stack([draw_jitter(np.random.default_rng(seed), FrameJitter(stretch=1.5)) for seed in range(300)])
    factors = np.diagonal(stretched, axis1=1, axis2=2)[:, :3]
    assert 1 / 1.5 <= factors.min() < 0.7 and 1.4 < factors.max() <= 1.5
    assert factors.std(axis=1).mean() > 0.1  # each axis by itself


@pytest.mark.parametrize("make", [lambda: Crops(zoom=(0.5, 1)), lambda: Crops(aspect=(2, 1)), lambda: Crops(offset=2)])
def test_crops_that_cannot_be_are_refused(make):
    with pytest.raises(ValueError, match="crops"):
        make()


def test_a_jitter_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="frame_jitter: scale and stretch must be at least 1"):
        FrameJitter(scale=0.9)
    with pytest.raises(ValueError, match="frame_jitter: scale and stretch must be at least 1"):
        FrameJitter(stretch=0.9)


def test_windows_of_targets_lie_inside_and_mostly_around_the_subject():
    generator = np.random.default_rng(0)
    alpha = np.zeros((400, 40, 60))
    alpha[:, 4:8, 50:56] = 0.5
    alpha[-1] = 0
    left, top = draw_target_corners(generator, alpha, width=16, height=8).T
    assert (left >= 0).all() and (left <= 44).all() and (top >= 0).all() and (top <= 32).all()
    sees_the_subject = (left + 16 > 50) & (top < 8)
    assert 0.85 < sees_the_subject.mean() < 0.95
    assert len(set(left[~sees_the_subject])) > 10


def test_a_window_of_a_view_s_own_size_is_the_view():
    assert not draw_target_corners(np.random.default_rng(0), np.ones((5, 8, 16)), width=16, height=8).any()
