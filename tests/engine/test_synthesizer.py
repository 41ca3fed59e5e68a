"""The synthesizer at work on tiny models: sizes, frames, warnings, memory, precision, cancel."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import torch

from lvsm_engine.errors import (
    ADD_PHOTOS,
    CHOOSE_MODEL,
    USE_FEWER_VIEWS,
    CameraError,
    Cancelled,
    CaptureError,
    CheckpointError,
    DeviceError,
)
from lvsm_engine.model.checkpoint import save_checkpoint
from lvsm_engine.model.config import ModelConfig, model_size
from lvsm_engine.model.costs import bytes_a_target, bytes_of_inputs
from lvsm_engine.scene.camera import Camera, View, cropped, resized
from lvsm_engine.scene.frame import SceneFrame
from lvsm_engine.synthesizer import USABLE_SHARE, Synthesizer
from tests.synthetic import CARD, MODELS, lively_model, ring_cameras, ring_views


def make(name="inputs_first", free_bytes=None, max_batch_tokens=None, **card):
    """free_bytes: what the synthesizer finds free; None: what the system tells."""
    options = {} if free_bytes is None else {"free_bytes": lambda device: free_bytes}
    card, device = dataclasses.replace(CARD, **card), torch.device("cpu")
    return Synthesizer(lively_model(name), card, device, torch.float32, max_batch_tokens=max_batch_tokens, **options)


@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_renders(name):
    scene = make(name).encode(ring_views(3))
    images = scene.render(ring_cameras(5))
    assert images.shape == (5, 32, 32, 3)
    assert images.dtype == np.float32
    assert 0 <= images.min() < images.max() <= 1
    assert scene.warnings == (
        "2 of 5 pictures are perhaps wrong: the camera looks from 47 degrees beside the nearest photo.",
    )
    scene.render(ring_cameras(3))
    assert scene.warnings == ()


def test_a_loaded_model_gives_the_same(tmp_path):
    synthesizer = make()
    save_checkpoint(tmp_path / "model.safetensors", synthesizer.model, CARD)
    loaded = Synthesizer.load(tmp_path / "model.safetensors", "cpu", "float32")
    expected = synthesizer.encode(ring_views(2)).render(ring_cameras(2))
    np.testing.assert_array_equal(loaded.encode(ring_views(2)).render(ring_cameras(2)), expected)


@pytest.mark.parametrize("count", [1, 2, 4, 16, 20])
def test_one_to_many_input_views_work_and_untrained_numbers_are_told(count):
    scene = make().encode(ring_views(count))
    assert scene.render(ring_cameras(1)).shape == (1, 32, 32, 3)
    assert any("trained with 1 to 4 input views" in warning for warning in scene.warnings) == (count > 4)


def test_awkward_cameras_still_give_a_picture():
    views = ring_views(4)
    same_place = [View(views[0].camera, view.photo, view.name) for view in views]
    behind = ring_cameras(1)[0]
    away = Camera(behind.camera_to_world @ np.diag([-1.0, 1.0, -1.0, 1.0]), 35, 35, 16, 16, 32, 32)
    for inputs in (views[:1], same_place, views):
        for frame in ("subject", "mean_pose", "identity"):
            images = make(scene_frame=SceneFrame(frame, 1.35)).encode(inputs).render([away])
            assert np.isfinite(images).all()


def test_a_frame_that_does_not_fit_the_cameras_is_told():
    scene = make(scene_frame=SceneFrame("mean_pose", 1.35)).encode(ring_views(4))
    assert "opposite directions" in scene.warnings[0] or "ring around" in scene.warnings[0]


@pytest.mark.parametrize(
    ("width", "height", "own"), [(64, 64, (32, 32)), (16, 16, (32, 32)), (160, 90, (40, 24)), (7, 623, (8, 304))]
)
def test_any_size_is_rendered_at_the_models_own_and_resized_with_a_warning(width, height, own):
    scene = make().encode(ring_views(2))
    camera = ring_cameras(1, width, height)[0]
    images = scene.render([camera])
    assert images.shape == (1, height, width, 3)
    assert f"{own[0]}x{own[1]} pixels" in scene.warnings[-1]
    scene.render(ring_cameras(1))
    assert scene.warnings == ()  # the next render's own
    if (width, height) == (64, 64):  # what is seen does not depend on the size
        small = scene.render([resized(camera, 32, 32)])[0]
        means = images[0].reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
        assert np.corrcoef(means.ravel(), small.ravel())[0, 1] > 0.95


def test_pixels_that_are_not_square_change_the_models_size():
    scene = make().encode(ring_views(2))
    camera = dataclasses.replace(ring_cameras(1, 64, 32)[0], fx=70.0, fy=35.0)  # covers equal angles both ways
    scene.render([camera])
    assert "32x32 pixels" in scene.warnings[0]


def as_squares(views):
    """The views' middles (32 rows of 48x32 or 32x48 photos), each a photo of its own."""
    squares = []
    for view in views:
        left, top = (view.camera.width - 32) // 2, (view.camera.height - 32) // 2
        photo = view.photo[top : top + 32, left : left + 32]
        squares.append(View(cropped(view.camera, left, top, 32, 32), photo, view.name))
    return squares


@pytest.mark.parametrize(("width", "height"), [(48, 32), (32, 48)])
def test_a_model_of_one_shape_sees_the_middle_of_photos(width, height):
    views, target = ring_views(3, width, height), ring_cameras(1)
    scene = make(aspect=1.0).encode(views)
    expected = make().encode(as_squares(views)).render(target)
    np.testing.assert_allclose(scene.render(target), expected, atol=1e-6)
    assert np.abs(make().encode(views).render(target) - expected).max() > 0.01  # a model of any shape sees them whole
    assert scene.warnings == ()


@pytest.mark.parametrize("pixel", [1.0, 2.0])
def test_a_model_of_one_shape_draws_a_picture_of_it_around_another(pixel):
    """48x32 pixels are the middle rows of a square; pixel: how much wider than high they are."""
    scene = make(aspect=1.0, resolution=48).encode(ring_views(3))
    around = ring_cameras(2, 48, 48)
    cut = [cropped(camera, 0, 8, 48, 32) for camera in around]
    narrow = [dataclasses.replace(camera, fx=camera.fx / pixel, cx=12.0, width=24) for camera in cut]
    images = scene.render(narrow if pixel == 2 else cut)
    expected = scene.render(around)[:, 8:40]
    if pixel == 2:
        expected = expected.reshape(2, 32, 24, 2, 3).mean(axis=3)
    np.testing.assert_allclose(images, expected, atol=1e-5)


@pytest.mark.parametrize(("width", "height"), [(7, 623), (623, 7), (1, 1)])
def test_a_model_of_one_shape_draws_any_size(width, height):
    scene = make(aspect=16 / 9).encode(ring_views(2))
    assert scene.render(ring_cameras(1, width, height)).shape == (1, height, width, 3)
    assert scene.render_detail(ring_cameras(1, width, height)).images.shape == (1, height, width, 3)


def test_model_sizes_keep_the_trained_number_of_pixels():
    for aspect in (0.1, 0.5, 1.0, 16 / 9, 3.0):
        width, height = model_size(256, 8, aspect)
        assert width % 8 == height % 8 == 0
        assert 0.8 < width * height / 256**2 < 1.25
        assert 0.8 < width / height / aspect < 1.25


def test_no_input_views_and_no_cameras_and_mixed_sizes_are_refused():
    with pytest.raises(CaptureError, match="no input views") as caught:
        make().encode([])
    assert caught.value.remedy == ADD_PHOTOS
    scene = make().encode(ring_views(1))
    with pytest.raises(CameraError, match="no camera to render"):
        scene.render([])
    with pytest.raises(CameraError, match="2 sizes"):
        scene.render([*ring_cameras(1), *ring_cameras(1, 64, 64)])


def test_progress_runs_to_its_end_and_cancel_stops_between_blocks():
    seen = []
    scene = make().encode(ring_views(2), on_progress=seen.append)
    scene.render(ring_cameras(3), on_progress=seen.append)
    stages = [progress.stage for progress in seen]
    assert sorted(set(stages), key=stages.index) == ["Loading photos", "Reading the photos", "Synthesizing"]
    assert seen[-1].fraction == 1.0
    assert seen[-1].seconds_left == 0.0
    calls = []

    def at_the_second_block():
        calls.append(1)
        return len(calls) > 1

    with pytest.raises(Cancelled):
        scene.render(ring_cameras(3), cancel=at_the_second_block)
    assert len(calls) == 2


class ForgetfulCard:
    """A decode that has memory for a few targets at a time only."""

    def __init__(self, decode, limit):
        self.decode, self.limit, self.batches = decode, limit, []

    def __call__(self, encoding, rays, check):
        self.batches.append(rays.shape[1])
        if rays.shape[1] > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.decode(encoding, rays, check=check)


@pytest.mark.parametrize(("limit", "works"), [(8, True), (4, True), (3, False)])
def test_out_of_memory_halves_the_batch_once_and_then_says_so(limit, works):
    synthesizer = make()
    scene = synthesizer.encode(ring_views(2))
    expected = scene.render(ring_cameras(8))
    card = synthesizer.model.decode = ForgetfulCard(synthesizer.model.decode, limit)
    if works:
        np.testing.assert_allclose(scene.render(ring_cameras(8)), expected, atol=1e-6)
        assert card.batches == ([8] if limit == 8 else [8, 4, 4])
    else:
        with pytest.raises(DeviceError, match=r"needs about .* GB, and .* GB are free on cpu") as caught:
            scene.render(ring_cameras(8))
        assert caught.value.remedy == USE_FEWER_VIEWS


def test_a_full_cpu_is_told_as_a_full_card_is():
    synthesizer = make()
    scene = synthesizer.encode(ring_views(2))
    synthesizer.model.decode = lambda *_, check: torch.empty(2**55)
    with pytest.raises(DeviceError, match=r"GB are free on cpu"):
        scene.render(ring_cameras(1))
    synthesizer.model.encode = lambda *_, check, kept: torch.empty(2**55)
    with pytest.raises(DeviceError, match=r"2 input views of 32x32 pixels need about .* GB are free on cpu"):
        synthesizer.encode(ring_views(2))


@pytest.mark.parametrize(("targets_that_fit", "batches"), [(3.5, [3, 3, 2]), (1.01 * USABLE_SHARE, [1] * 8)])
def test_batches_are_planned_from_what_is_free(targets_that_fit, batches):
    need = bytes_a_target(MODELS["inputs_first"], 16, 2 * 16)
    synthesizer = make()
    scene = synthesizer.encode(ring_views(2))
    synthesizer.free_bytes = lambda device: targets_that_fit * need / USABLE_SHARE
    card = synthesizer.model.decode = ForgetfulCard(synthesizer.model.decode, 99)
    scene.render(ring_cameras(8))
    assert card.batches == batches


def test_where_the_system_does_not_tell_what_is_free_something_is_assumed():
    synthesizer = make()
    synthesizer.free_bytes = lambda device: None
    scene = synthesizer.encode(ring_views(2))
    card = synthesizer.model.decode = ForgetfulCard(synthesizer.model.decode, 99)
    scene.render(ring_cameras(2))
    assert card.batches == [2]


@pytest.mark.parametrize("name", MODELS)
def test_what_cannot_fit_is_told_before_memory_is_taken(name):
    gone = [dataclasses.replace(view, photo=None) for view in ring_views(2)]  # so early that no photo is missed
    with pytest.raises(DeviceError, match=r"2 input views of 32x32 pixels need about .* 0\.0 GB are free") as caught:
        make(name, free_bytes=100).encode(gone)
    assert caught.value.remedy == USE_FEWER_VIEWS
    synthesizer = make(name)
    scene = synthesizer.encode(ring_views(2))
    card = synthesizer.model.decode = ForgetfulCard(synthesizer.model.decode, 99)
    synthesizer.free_bytes = lambda device: 30_000  # enough for the picture itself
    words = r"picture of 32x32 pixels from 2 input views needs about .* 0\.0 GB are free"
    with pytest.raises(DeviceError, match=words):
        scene.render(ring_cameras(1))
    assert card.batches == []


def test_a_picture_too_large_to_be_made_is_told_before_it_is_computed():
    synthesizer = make()
    scene = synthesizer.encode(ring_views(1))
    card = synthesizer.model.decode = ForgetfulCard(synthesizer.model.decode, 99)
    with pytest.raises(CameraError, match="20000x20000 pixels are more than the 300 million .* Render a smaller one"):
        scene.render(ring_cameras(1, 20000, 20000))
    synthesizer.free_bytes = lambda device: 1e9
    with pytest.raises(DeviceError, match=r"2 pictures of 10000x10000 pixels need about 4\.8 GB, and 1\.0 GB of main"):
        scene.render(ring_cameras(2, 10000, 10000))
    assert card.batches == []


@pytest.mark.parametrize("resolution", [4096, 16384])
def test_a_card_that_claims_a_huge_resolution_is_told_before_photos_are_loaded(resolution):
    with pytest.raises(DeviceError, match=f"2 input views of {resolution}x{resolution} pixels need about"):
        make("full", free_bytes=5e9, resolution=resolution).encode(ring_views(2))


def test_a_picture_that_is_not_finite_is_a_typed_error():
    """Weights may be finite, and what is computed with them not."""
    synthesizer = make()
    for parameter in synthesizer.model.parameters():
        parameter.mul_(1e30)
    scene = synthesizer.encode(ring_views(1))
    with pytest.raises(CheckpointError, match="tiny gave a picture with values that are not finite") as caught:
        scene.render(ring_cameras(1))
    assert caught.value.remedy == CHOOSE_MODEL


@pytest.mark.parametrize("name", ["full", "inputs_first"])
def test_cameras_at_absurd_distances_are_typed_errors(name):
    views = ring_views(2)
    far = views[1].camera.camera_to_world.copy()
    far[:3, 3] *= 1e154
    views[1] = dataclasses.replace(views[1], camera=dataclasses.replace(views[1].camera, camera_to_world=far))
    with pytest.raises((CameraError, CheckpointError)):
        make(name).encode(views).render(ring_cameras(1))


def test_the_work_of_many_large_views_is_foreseen():
    """16 views of 256 pixels in the published model's shape under the mask: keys and values alone are 1.2 GB."""
    config = ModelConfig(inputs_first=True)
    assert 1.2e9 < bytes_of_inputs(config, 16 * 1024, 16 * 256**2) < 3e9
    assert bytes_of_inputs(config, 4 * 1024, 4 * 256**2) < 0.8e9


@pytest.mark.parametrize(
    ("name", "keep", "tokens"), [("dense", 1.0, 2 * 64), ("dense_targets", 1.0, 2 * 16), ("dense", 0.5, 2 * 32)]
)
def test_the_work_of_denser_inputs_is_foreseen(name, keep, tokens):
    """Photos of 32 pixels have 16 patches, and 64 tokens half a patch apart: as many as photos of twice the side."""
    need = bytes_of_inputs(MODELS[name], tokens, 2 * 32 * 32)
    make(name, free_bytes=need, input_keep_ratio=keep).encode(ring_views(2))
    with pytest.raises(DeviceError, match="2 input views of 32x32 pixels need about"):
        make(name, free_bytes=need - 1, input_keep_ratio=keep).encode(ring_views(2))


@pytest.mark.parametrize(("name", "tokens", "context"), [("dense", 16, 2 * 64), ("dense_targets", 64, 2 * 16)])
def test_the_work_of_denser_targets_is_foreseen(name, tokens, context):
    synthesizer, need = make(name), bytes_a_target(MODELS[name], tokens, context)
    scene = synthesizer.encode(ring_views(2))
    synthesizer.free_bytes = lambda device: need
    scene.render(ring_cameras(1))
    synthesizer.free_bytes = lambda device: need - 1
    with pytest.raises(DeviceError, match="A picture of 32x32 pixels from 2 input views needs about"):
        scene.render(ring_cameras(1))


@pytest.mark.parametrize("name", MODELS)
def test_of_bare_background_no_more_is_shown_than_the_card_says(name):
    """Of 16 patches a photo's subject touches 6; a share of a half shows these, and 2 of the white ones."""
    synthesizer = make(name, input_keep_ratio=0.5)
    density = 8 // synthesizer.config.input_stride
    views = [dataclasses.replace(view, photo=np.full((32, 32, 3), 255, np.uint8)) for view in ring_views(2)]
    for view in views:
        view.photo[10:14, 2:28] = 40  # touches four patches in a row
        view.photo[24:30, 17:30] = 200  # and two below
    shown, encode = [], synthesizer.model.encode
    synthesizer.model.encode = lambda *of, kept, **more: shown.append(kept) or encode(*of, kept=kept, **more)
    images = synthesizer.encode(views).render(ring_cameras(2))
    (kept,) = shown
    assert kept.shape == (1, 2, 8 * density**2)
    assert ring_subject(density) <= set(kept[0, 0].tolist()) & set(kept[0, 1].tolist())
    np.testing.assert_array_equal(synthesizer.encode(views).render(ring_cameras(2)), images)
    whole = make(name).encode(views).render(ring_cameras(2))
    assert np.abs(whole - images).max() > 1e-3


def ring_subject(density):
    """The numbers of the input tokens that lie on the subject of the test above: tokens are 8 / density pixels apart."""
    if density == 1:
        return {4, 5, 6, 7, 14, 15}
    return {8 * row + column for row in (2, 3) for column in range(7)} | {
        8 * row + column for row in (6, 7) for column in (4, 5, 6, 7)
    }


def test_photos_are_shrunk_as_they_are_loaded():
    """Eight photos of 3 MP (36 MB each as floats) never stand beside each other."""
    photo = np.zeros((1500, 2000, 3), np.uint8)
    views = [dataclasses.replace(view, photo=photo) for view in ring_views(8, 2000, 1500)]
    synthesizer = make()
    tracemalloc.start()
    synthesizer.encode(views)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 36e6 < peak < 120e6


@pytest.mark.parametrize("name", MODELS)
def test_transparent_photos_stand_before_the_cards_background(name):
    views = ring_views(2)
    alpha = np.zeros((32, 32), np.uint8)
    alpha[8:24, 8:24] = 255
    transparent = [dataclasses.replace(view, photo=np.dstack([view.photo, alpha])) for view in views]
    on_black = [dataclasses.replace(view, photo=view.photo * (alpha[..., None] > 0)) for view in views]
    picture = make(name, background=(0.0, 0.0, 0.0)).encode(transparent).render(ring_cameras(1))
    np.testing.assert_allclose(picture, make(name).encode(on_black).render(ring_cameras(1)), atol=1e-5)
    assert np.abs(picture - make(name).encode(transparent).render(ring_cameras(1))).max() > 0.01  # over white


def test_batches_stay_small_enough_for_a_cancel_between_their_blocks():
    synthesizer = make(max_batch_tokens=3 * 16)
    scene = synthesizer.encode(ring_views(2))
    card = synthesizer.model.decode = ForgetfulCard(synthesizer.model.decode, 99)
    scene.render(ring_cameras(7))
    assert card.batches == [3, 3, 1]


def test_bfloat16_stays_close_to_float32():
    synthesizer = make()
    expected = synthesizer.encode(ring_views(3)).render(ring_cameras(2))
    fast = Synthesizer(synthesizer.model, synthesizer.card, synthesizer.device, torch.bfloat16)
    difference = np.abs(fast.encode(ring_views(3)).render(ring_cameras(2)) - expected)
    assert 0 < difference.mean() < 0.02
