"""Augmentations: known points stay where the cameras say; each draws from a stream of its own."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from lvsm_engine.model.rays import plucker_rays
from lvsm_engine.scene.camera import camera_of, project
from lvsm_engine.scene.frame import poses_in_frame, subject_similarity
from training.batches.augment import (
    Augmentations,
    ChannelPermutation,
    Crops,
    Flip,
    FrameJitter,
    RandomStream,
    augmented,
    crop,
    draw_boxes,
    flipped_cameras,
    rng_of,
)
from training.batches.scene_batch import SceneBatch
from training.srgb import to_linear, to_srgb

SIZE = 96
FXFYCXCY = np.array([110.0, 110.0, SIZE / 2, SIZE / 2])


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
    rng = np.random.default_rng(seed)
    crops = Crops(zoom=(1.0, 1.6), aspect=(0.6, 1.7), offset=0.5)
    seen = [project(camera_of(pose, FXFYCXCY, SIZE, SIZE), POINTS)[0] for pose in POSES]
    images = torch.stack([spots(pixels, SIZE, SIZE) for pixels in seen])
    width, height = crops.draw_image_size(rng, 64, 8)
    boxes = draw_boxes(rng, crops, len(POSES), (SIZE, SIZE), width, height)
    cut, fxfycxcy = crop(images, np.tile(FXFYCXCY, (3, 1)), boxes, width, height)
    assert cut.shape == (3, 3, height, width)
    checked = 0
    for image, pose, intrinsics in zip(cut, POSES, fxfycxcy, strict=True):
        expected = project(camera_of(pose, intrinsics, width, height), POINTS)[0]
        inside = ((expected > 10) & (expected < np.array([width, height]) - 10)).all(axis=1)  # whole spots
        assert np.abs(middles(image) - expected)[inside].max(initial=0) < 0.05
        checked += inside.sum()
    assert checked >= 3


def test_boxes_stay_inside_and_keep_the_aspect():
    crops = Crops(zoom=(1.0, 3.0), aspect=(0.5, 2.0), offset=1.0)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        width, height = crops.draw_image_size(rng, 64, 8)
        assert width % 8 == height % 8 == 0
        assert 0.6 < width * height / 64**2 < 1.5
        boxes = draw_boxes(rng, crops, 4, (SIZE, SIZE), width, height)
        left, top, across, down = boxes.T
        assert (boxes[:, :2] >= 0).all()
        assert (left + across <= SIZE).all() and (top + down <= SIZE).all()
        assert np.abs(across / down * height / width - 1).max() < 0.06


def test_without_crops_a_view_is_the_same_to_the_bit_of_a_code():
    rng = np.random.default_rng(0)
    images = torch.randint(0, 256, (3, 3, 64, 64), generator=torch.Generator().manual_seed(0)).float() / 255
    width, height = Crops().draw_image_size(rng, 64, 8)
    boxes = draw_boxes(rng, Crops(), 3, (64, 64), width, height)
    cut, fxfycxcy = crop(images, np.tile(FXFYCXCY, (3, 1)), boxes, width, height)
    assert (cut - images).abs().max() < 1e-5
    assert np.array_equal(fxfycxcy, np.tile(FXFYCXCY, (3, 1)))


def test_larger_images_are_averaged_in_linear_light():
    rows = torch.zeros(1, 3, 16, 16)
    rows[:, :, ::2] = 1  # half of the light
    cut, fxfycxcy = crop(rows, FXFYCXCY[None], np.array([[0, 0, 16, 16]]), 2, 2)
    assert cut.sub(188 / 255).abs().max() < 0.02  # the mean of codes would be 0.5
    assert fxfycxcy[0].tolist() == (FXFYCXCY / 8).tolist()


def test_points_in_a_flipped_view_are_where_its_camera_projects_them():
    off_centre = FXFYCXCY - [0, 0, 7, -3]
    images = torch.stack(
        [spots(project(camera_of(pose, off_centre, SIZE, SIZE), POINTS)[0], SIZE, SIZE) for pose in POSES]
    )
    poses, fxfycxcy = flipped_cameras(POSES, np.tile(off_centre, (3, 1)), SIZE)
    for image, pose, intrinsics in zip(images.flip(-1), poses, fxfycxcy, strict=True):
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)  # a camera, not a mirror
        expected, depth = project(camera_of(pose, intrinsics, SIZE, SIZE), POINTS * [-1, 1, 1])
        assert (depth > 0).all()
        np.testing.assert_allclose(middles(image), expected, atol=0.05)


def test_a_jitter_moves_cameras_and_scene_together():
    similarity = subject_similarity(POSES, 2.0)
    jitter = FrameJitter(turn=180, tilt=20, scale=1.3, shift=0.2)
    for seed in range(20):
        whole = jitter.draw(np.random.default_rng(seed)) @ similarity
        moved_points = POINTS @ whole[:3, :3].T + whole[:3, 3]
        for pose, moved in zip(POSES, poses_in_frame(whole, POSES), strict=True):
            before, _ = project(camera_of(pose, FXFYCXCY, SIZE, SIZE), POINTS)
            after, _ = project(camera_of(moved, FXFYCXCY, SIZE, SIZE), moved_points)
            assert np.abs(before - after).max() < 1e-9


def test_a_scene_scaled_along_its_axes_is_seen_in_the_same_pixels():
    """The rays of its cameras pass its scaled points."""
    to_frame = subject_similarity(POSES, 2.0)
    jitter = FrameJitter(turn=180, tilt=20, anisotropic_scale=1.4)
    fxfycxcy = torch.from_numpy(np.tile(FXFYCXCY, (1, 3, 1)))
    for seed in range(20):
        whole = jitter.draw(np.random.default_rng(seed)) @ to_frame
        points = POINTS @ whole[:3, :3].T + whole[:3, 3]
        poses = poses_in_frame(whole, POSES)
        rays = plucker_rays(torch.from_numpy(poses)[None], fxfycxcy, SIZE, SIZE)[0]
        for pose, of_view in zip(POSES, rays, strict=True):
            pixels, _ = project(camera_of(pose, FXFYCXCY, SIZE, SIZE), POINTS)
            places = torch.from_numpy(pixels / SIZE * 2 - 1).to(rays.dtype)[None, None]
            moment, direction = (
                torch.nn.functional.grid_sample(of_view[None, part], places, align_corners=False)[0, :, 0].T.numpy()
                for part in (slice(0, 3), slice(3, 6))
            )
            away = np.cross(points, direction) - moment
            assert np.abs(away).max() < 0.01


def test_a_jitter_stays_within_its_bounds_and_fills_them():
    jitter = FrameJitter(turn=40, tilt=10, scale=1.5, shift=0.3)
    drawn = np.stack([jitter.draw(np.random.default_rng(seed)) for seed in range(300)])
    scales = np.cbrt(np.linalg.det(drawn[:, :3, :3]))
    tilts = np.degrees(np.arccos(drawn[:, 2, 2] / scales))
    assert 1 / 1.5 <= scales.min() < 0.7 and 1.4 < scales.max() <= 1.5
    assert 9 < tilts.max() <= 10 + 1e-9
    assert 0.28 < np.abs(drawn[:, :3, 3]).max() <= 0.3
    assert np.array_equal(FrameJitter().draw(np.random.default_rng(0)), np.eye(4))
    scaled = np.stack([FrameJitter(anisotropic_scale=1.5).draw(np.random.default_rng(seed)) for seed in range(300)])
    factors = np.diagonal(scaled, axis1=1, axis2=2)[:, :3]
    assert 1 / 1.5 <= factors.min() < 0.7 and 1.4 < factors.max() <= 1.5
    assert factors.std(axis=1).mean() > 0.1  # each axis by itself


# --- Scenes -----------------------------------------------------------------------------------------------------------


def scenes_of_noise(count, views=3, size=8):
    """Scenes of noise, a batch each, whose principal points are off the middle."""
    torch.manual_seed(0)
    poses, intrinsics = np.tile(np.eye(4), (1, views, 1, 1)), np.tile([9.0, 9, 3, 4], (1, views, 1))
    return [
        SceneBatch((f"{n}",), torch.rand(1, views, 3, size, size), torch.rand(1, views, size, size), poses, intrinsics)
        for n in range(count)
    ]


def after(augmentations, scenes, image_size=(8, 8)):
    """The scenes after these augmentations."""
    ordered = augmentations.in_order(image_size)
    return [augmented(scene, ordered, seed=0, number=number) for number, scene in enumerate(scenes)]


def test_a_share_of_the_scenes_is_flipped_in_all_views():
    scenes = scenes_of_noise(16)
    flipped = 0
    for scene, other in zip(scenes, after(Augmentations(flip=Flip(share=0.5)), scenes), strict=True):
        if other.fxfycxcy[0, 0, 2] == 5:
            flipped += 1
            assert torch.equal(other.images, scene.images.flip(-1)) and torch.equal(other.alpha, scene.alpha.flip(-1))
        else:
            assert torch.equal(other.images, scene.images) and (other.fxfycxcy == scene.fxfycxcy).all()
    assert 3 < flipped < 13


def test_a_share_of_the_scenes_has_its_channels_in_another_order():
    scenes = scenes_of_noise(40)
    permutations = Augmentations(channel_permutation=ChannelPermutation(share=0.5))
    orders = []
    for scene, other in zip(scenes, after(permutations, scenes), strict=True):
        held = [o for o in itertools.permutations(range(3)) if torch.equal(other.images, scene.images[:, :, list(o)])]
        assert len(held) == 1  # all views in the same one
        orders += held
    assert len(set(orders)) == 6
    assert 10 < orders.count((0, 1, 2)) < 30


def test_cropped_scenes_have_the_steps_size_and_jittered_ones_a_matrix():
    augmentations = Augmentations(crops=Crops(zoom=(1.5, 1.5)), frame_jitter=FrameJitter(turn=90))
    (scene,) = after(augmentations, scenes_of_noise(1, size=32), image_size=(16, 8))
    assert scene.images.shape == (1, 3, 3, 8, 16) and scene.alpha.shape == (1, 3, 8, 16)
    assert scene.frame_jitter.shape == (1, 4, 4)


def test_without_augmentations_a_scene_is_the_same_object():
    scenes = scenes_of_noise(1)
    assert after(Augmentations(), scenes)[0] is scenes[0]


def test_no_augmentation_changes_what_another_draws():
    scenes = scenes_of_noise(12)
    alone = Augmentations(flip=Flip(share=0.5))
    beside = Augmentations(flip=Flip(share=0.5), channel_permutation=ChannelPermutation(share=1.0))
    is_flipped = [[s.fxfycxcy[0, 0, 2] == 5 for s in after(which, scenes)] for which in (alone, beside)]
    assert is_flipped[0] == is_flipped[1]


def test_streams_differ_and_keep_the_numbers_that_batches_were_drawn_with():
    """Another number draws other batches by the same seed: runs could not be repeated."""
    assert {stream.name: int(stream) for stream in RandomStream} == {
        "STEP": 1,
        "CROPS": 2,
        "FRAME_JITTER": 3,
        "TARGET_CROP": 4,
        "KEPT_TOKENS": 5,
        "FLIP": 6,
        "CHANNEL_PERMUTATION": 7,
    }
    every = Augmentations(
        flip=Flip(share=1.0),
        channel_permutation=ChannelPermutation(share=1.0),
        crops=Crops(offset=1.0),
        frame_jitter=FrameJitter(turn=1.0),
    )
    streams = [augmentation.stream for augmentation in every.in_order((8, 8))]
    assert len(streams) == len(set(streams)) == len(dataclasses.fields(Augmentations))
    assert rng_of(1, 2, RandomStream.FLIP).random() == np.random.default_rng((1, 2, 6)).random()
