"""What a step sees: whose scenes, varied, framed, cropped, in parts."""

import pytest
import torch

from tests.synthetic import tiny_training_config, write_ball_scenes
from training.batches.augment import ChannelPermutation, Crops, Flip, FrameJitter
from training.batches.steps import SceneStream, Share, step_batches
from training.configs import Stage, changed


@pytest.fixture
def config(tmp_path):
    return tiny_training_config(write_ball_scenes(tmp_path / "train", 8))


def first_batch(config):
    """The first step's scenes, at the first stage's size."""
    scenes = SceneStream(config, Share(), memory=2**30).from_step(0)
    return next(step_batches(scenes, config, 0, Share(), torch.device("cpu")))


def test_shares_of_a_step_are_its_scenes_once_each():
    for processes, accumulate in ((1, 1), (2, 1), (2, 3), (4, 2)):
        shares = [Share(rank, processes, accumulate) for rank in range(processes)]
        numbers = [n for share in shares for part in share.micro_batches(5, 24) for n in part]
        assert sorted(numbers) == list(range(5 * 24, 6 * 24))
        for share in shares:
            of_two_steps = [n for step in (5, 6) for part in share.micro_batches(step, 24) for n in part]
            assert of_two_steps == list(share.numbers(5, 7, 24))


def test_a_batch_is_cropped_to_one_shape_for_all_and_its_frame_is_jittered(config):
    various = changed(
        config,
        stages=(Stage(until=1.0, size=16),),
        crops=Crops(aspect=(0.4, 0.5)),
        frame_jitter=FrameJitter(scale=2.0),
    )
    batch = first_batch(various)
    inputs = batch.images.shape[1]
    assert batch.images.shape == (4, inputs, 3, 24, 8)
    assert batch.truth.shape == (4, 4 - inputs, 3, 24, 8)
    plain = first_batch(changed(various, frame_jitter=FrameJitter()))
    assert torch.equal(batch.images, plain.images)
    moments, plain_moments = (one.rays[:, 0, :3, 0, 0].norm(dim=-1) for one in (batch, plain))
    assert plain_moments.std() < 1e-5  # all inputs stand 2 away and look at the middle
    assert moments.std() > 0.1


def where(part, whole):
    """The (left, top) at which `part` (C, h, w) stands in `whole` (C, H, W): all places."""
    height, width = part.shape[-2:]
    places = whole.unfold(-2, height, 1).unfold(-2, width, 1).permute(1, 2, 0, 3, 4)  # (tops, lefts, C, h, w)
    return [(left, top) for top, left in (places == part).flatten(2).all(-1).nonzero().tolist()]


@pytest.mark.parametrize("crops", [Crops(), Crops(aspect=(0.4, 0.5))])
def test_target_crops_are_parts_of_the_targets_with_their_own_rays_and_the_inputs_stay_whole(config, crops):
    whole = first_batch(changed(config, stages=(Stage(until=1.0, size=16),), crops=crops))
    half = Stage(until=1.0, size=16, target_crop=0.5)
    batch = first_batch(changed(config, stages=(half,), crops=crops))
    assert torch.equal(batch.images, whole.images) and torch.equal(batch.rays, whole.rays)
    assert batch.truth.shape[-2:] == batch.target_rays.shape[-2:] == ((8, 8) if crops == Crops() else (16, 8))
    corners = set()
    for scene in range(4):
        for target in range(batch.truth.shape[1]):
            (corner,) = where(batch.target_rays[scene, target], whole.target_rays[scene, target])
            assert corner in where(batch.truth[scene, target], whole.truth[scene, target])
            corners.add(corner)
    assert len(corners) > 3


def test_a_share_of_the_inputs_tokens_is_kept(config):
    whole = first_batch(changed(config, stages=(Stage(until=1.0, size=16),)))
    batch = first_batch(changed(config, stages=(Stage(until=1.0, size=16, input_keep_ratio=0.5),)))
    assert whole.kept is None
    assert batch.kept.shape == (*batch.images.shape[:2], 2)  # of 4 patches
    assert len(set(map(tuple, batch.kept.flatten(0, 1).tolist()))) > 1
    assert torch.equal(batch.images, whole.images) and torch.equal(batch.truth, whole.truth)


def test_flips_turn_rays_and_channel_permutations_leave_them(config):
    plain = first_batch(config)
    flipped = first_batch(changed(config, flip=Flip(share=1.0)))
    permuted = first_batch(changed(config, channel_permutation=ChannelPermutation(share=1.0)))
    assert not torch.allclose(flipped.rays, plain.rays, rtol=0, atol=1e-3)
    assert torch.equal(permuted.rays, plain.rays) and not torch.equal(permuted.images, plain.images)


def test_scenes_of_a_step_are_the_same_wherever_the_stream_begins(config):
    one, other = (SceneStream(config, Share(), memory=2**30) for _ in range(2))
    names = [next(one.from_step(step)).names for step in (14, 15, 16)]  # one scene of each step, of two stages
    assert one.from_step(17) is one.from_step(18)
    assert [next(other.from_step(step)).names for step in (14, 15)] == names[:2]
