"""Detail from the photos, through the engine: the sample capture with the bundled weights, and rings of noise."""

import dataclasses
import os

import numpy as np
import pytest
import torch

from lvsm_engine.detail import PhotoDetail
from lvsm_engine.errors import Cancelled, CaptureError, CheckpointError
from lvsm_engine.metrics import psnr
from lvsm_engine.model.plane_sweep.blend_file import load_blend
from lvsm_engine.photos import WHITE, load_photo, resize_image, save_image, to_bytes
from lvsm_engine.scene.camera import View, cropped, resized
from lvsm_engine.scene.captures import load_capture
from lvsm_engine.scene.selection import photos_for
from lvsm_engine.synthesizer import Synthesizer
from tests.shared_data import ROOT, shared
from tests.synthetic import CARD, lively_model, look_at, ring_cameras, ring_views

LOCOMOTIVE = ROOT / "training" / "sample_capture"
HELD_OUT, SIZE = 16, 192


@pytest.fixture(scope="module")
def locomotive():
    return load_capture(LOCOMOTIVE).views


def photo_detail(views) -> PhotoDetail:
    return PhotoDetail(views, WHITE, torch.device("cpu"))


def make() -> Synthesizer:
    return Synthesizer(lively_model("inputs_first"), CARD, torch.device("cpu"), torch.float32)


def test_the_photos_of_a_thing_sharpen_its_picture_and_tell_its_depth(locomotive):
    scene = Synthesizer.load("default", "cpu", "float32").encode(locomotive[:16])
    photo, camera = load_photo(locomotive[HELD_OUT], WHITE)
    target, truth = resized(camera, SIZE, SIZE), resize_image(photo, SIZE, SIZE)
    alone, passes = scene.render([target])[0], scene.render_detail([target])
    nearest = photos_for(target, [view.camera for view in locomotive[:16]], 1)[0]
    copied = resize_image(load_photo(locomotive[nearest], WHITE)[0], SIZE, SIZE)
    assert passes.images.shape == (1, SIZE, SIZE, 3) and passes.images.dtype == np.float32
    sharpened = psnr(passes.images[0], truth)
    assert sharpened > psnr(alone, truth) + 1 and sharpened > psnr(copied, truth) + 4
    edges, soft, true = (np.abs(np.diff(picture, axis=1)).mean() for picture in (passes.images[0], alone, truth))
    assert edges > 1.1 * soft and edges < 1.3 * true
    assert passes.depths is not None and passes.confidences is not None
    middle = passes.depths[0, SIZE // 2 - 20 : SIZE // 2 + 20, SIZE // 2 - 20 : SIZE // 2 + 20]
    assert 1.0 < np.median(middle) < 1.7  # cameras stand 1.6 from the middle of a thing of length 1
    for shares in (passes.confidences, passes.alphas):
        assert shares is not None and shares.min() >= 0 and shares.max() <= 1
    assert passes.main_photos is not None and passes.main_photos.dtype == np.float32
    subject = np.abs(truth - 1).max(axis=-1) > 0.1
    assert passes.alphas[0][subject].mean() > 0.97 and passes.alphas[0][~subject].mean() < 0.15


def test_each_pixel_tells_the_photo_that_it_is_mostly_of(locomotive):
    """From where a photo was taken, nearly all is that photo's, whatever its number among the views."""
    target = resized(load_photo(locomotive[5], WHITE)[1], 96, 96)
    guide = np.full((96, 96, 3), 0.5, np.float32)
    for views, number in ((locomotive[:16], 6), (locomotive[5:16], 1), ([*locomotive[:5], *locomotive[6:16]], None)):
        passes = photo_detail(views).passes_of(guide, target, load_blend(), lambda: None)
        assert passes.main_photos is not None and passes.alphas is not None
        main, is_there = passes.main_photos[0], passes.alphas[0] > 0.5
        assert (main[~is_there] == 0).mean() > 0.95
        if number is not None:
            assert (main[is_there] == number).mean() > 0.8
        else:
            assert set(np.unique(main)) <= set(range(len(views) + 1)) and (main[is_there] > 0).mean() > 0.5


@pytest.mark.parametrize("has_masks", [True, False])
def test_where_the_subject_reaches_the_border_masks_tell_what_is_empty(locomotive, has_masks):
    views = []
    for view in locomotive[:HELD_OUT]:
        image, camera = load_photo(view, WHITE)
        edge = camera.width // 4  # cut through the locomotive
        inner = np.s_[edge : camera.height - edge, edge : camera.width - edge]
        photo = to_bytes(image)[inner]
        mask = np.where(photo.min(axis=-1) < 250, 255, 0).astype(np.uint8) if has_masks else None
        cut = cropped(camera, edge, edge, photo.shape[1], photo.shape[0])
        views.append(dataclasses.replace(view, photo=photo, camera=cut, distortion=None, mask=mask))
    photo, camera = load_photo(locomotive[HELD_OUT], WHITE)
    target, truth = resized(camera, 96, 96), resize_image(photo, 96, 96)
    guide = np.full((96, 96, 3), 0.9, np.float32)
    alphas = photo_detail(views).passes_of(guide, target, load_blend(), lambda: None).alphas
    assert alphas is not None
    middle = np.s_[28:68, 28:68]
    is_there = truth.min(axis=-1)[middle] < 0.9
    emptiness_seen = 1 - alphas[0][middle][~is_there].mean()
    assert emptiness_seen > 0.4 if has_masks else emptiness_seen < 1e-6
    assert alphas[0][middle][is_there].mean() > 0.95


def test_a_view_that_no_photo_sees_or_none_agree_on_is_said_to_be_guessed(locomotive):
    scene = make().encode(locomotive[:8])
    scene.render_detail([resized(locomotive[HELD_OUT].camera, 64, 64)])
    assert not any("guess" in warning for warning in scene.warnings)
    upward = [
        dataclasses.replace(camera, camera_to_world=look_at((0, 0, height), (0, 0.1, 50)))
        for height, camera in zip((5, 6), ring_cameras(2), strict=True)
    ]
    scene = make().encode(ring_views(4))
    scene.render_detail(upward[:1])
    assert "The picture is mostly the model's own guess: the photos hardly see this view" in scene.warnings[-1]
    scene.render_detail([*upward, *ring_cameras(8)[1::2]])  # the photos are noise
    assert "6 of 6 pictures are mostly the model's own guess" in scene.warnings[-1]


def test_photos_that_differ_in_exposure_are_levelled_and_told(locomotive):
    photos = [load_photo(view, WHITE, 256) for view in locomotive[:16]]
    uneven = [
        View(camera, to_bytes(np.where(photo > 0.98, photo, photo * (0.7 if number % 2 else 1.0))), str(number))
        for number, (photo, camera) in enumerate(photos)
    ]
    even = [View(camera, to_bytes(photo), str(number)) for number, (photo, camera) in enumerate(photos)]
    target = resized(load_photo(locomotive[HELD_OUT], WHITE)[1], 128, 128)
    synthesizer = Synthesizer.load("default", "cpu", "float32")
    told = {}
    for name, views in (("uneven", uneven), ("even", even)):
        scene = synthesizer.encode(views)
        scene.render_detail([target])
        told[name] = " ".join(scene.warnings)
    assert "differ in exposure by 1." in told["uneven"] and "exposure" not in told["even"]


def test_depth_is_told_in_the_worlds_own_units(locomotive):
    """The same capture ten times as large."""

    def larger(camera):
        pose = camera.camera_to_world.copy()
        pose[:3, 3] *= 10
        return dataclasses.replace(camera, camera_to_world=pose)

    target, guide = resized(locomotive[HELD_OUT].camera, 64, 64), np.full((64, 64, 3), 0.9, np.float32)
    views = locomotive[:8]
    grown = [dataclasses.replace(view, camera=larger(view.camera)) for view in views]
    depths = [
        photo_detail(chosen).passes_of(guide, camera, load_blend(), lambda: None).depths
        for chosen, camera in ((views, target), (grown, larger(target)))
    ]
    np.testing.assert_allclose(depths[1], 10 * depths[0], rtol=1e-2)


def test_weights_of_the_detail_that_are_damaged_harm_nothing_else(tmp_path):
    path = tmp_path / "detail.safetensors"
    path.write_bytes(b"torn")
    model = lively_model("inputs_first")
    scene = Synthesizer(model, CARD, torch.device("cpu"), torch.float32, detail_weights=path).encode(ring_views(2))
    assert np.isfinite(scene.render(ring_cameras(1))).all()
    with pytest.raises(CheckpointError, match=r"detail\.safetensors: the weights of the detail cannot be used"):
        scene.render_detail(ring_cameras(1))


def test_the_models_own_pictures_stay_exact_without_it(locomotive):
    scene = make().encode(ring_views(4))
    before = scene.render(ring_cameras(2))
    scene.render_detail(ring_cameras(2))
    np.testing.assert_array_equal(scene.render(ring_cameras(2)), before)


@pytest.mark.parametrize(("width", "height"), [(32, 32), (100, 60), (33, 150)])
def test_any_size_is_made_at_once_without_a_word_of_resizing(width, height):
    scene = make().encode(ring_views(4, 64, 48))
    passes = scene.render_detail(ring_cameras(2, width, height))
    assert passes.images.shape == (2, height, width, 3) and not any("resized" in warning for warning in scene.warnings)
    assert passes.depths.shape == passes.confidences.shape == (2, height, width)
    assert np.isfinite(passes.images).all() and np.isfinite(passes.depths).all()


def test_photos_of_several_sizes_and_lenses_serve_together():
    views = [*ring_views(3, 64, 48), *ring_views(5, 40, 60)[3:]]
    assert np.isfinite(make().encode(views).render_detail(ring_cameras(1, 80, 80)).images).all()


def test_larger_photos_are_kept_no_larger_than_a_target_and_depth_need():
    views = ring_views(3, 1024, 1024)
    detail = photo_detail(views)
    target = ring_cameras(1, 64, 64)[0]
    detail.passes_of(np.zeros((8, 8, 3), np.float32), target, load_blend(), lambda: None)
    assert {photo.image.shape for photo in detail._kept.values()} == {(64, 64, 3), (256, 256, 3)}


def test_a_photo_that_has_gone_since_is_named(tmp_path):

    views = []
    for number, view in enumerate(ring_views(3)):
        save_image(tmp_path / f"{number}.png", view.photo)
        views.append(dataclasses.replace(view, photo=tmp_path / f"{number}.png"))
    scene = make().encode(views)
    os.remove(tmp_path / "1.png")
    with pytest.raises(CaptureError, match=r"1\.png: the photo of view 1 is missing"):
        scene.render_detail(ring_cameras(1))


def test_progress_is_told_and_a_cancel_stops_it():
    told = []
    scene = make().encode(ring_views(4))
    scene.render_detail(ring_cameras(1, 64, 64), on_progress=told.append)
    assert list(dict.fromkeys(one.stage for one in told)) == [
        "Synthesizing",
        "Adding detail from the photos",
    ]
    assert told[-1].fraction == 1.0
    seen = []

    def cancel() -> bool:
        return any(one.stage == "Adding detail from the photos" for one in seen)

    with pytest.raises(Cancelled):
        scene.render_detail(ring_cameras(1, 64, 64), on_progress=seen.append, cancel=cancel)


def test_photos_near_the_target_that_look_as_it_does_are_chosen_first():
    cameras = ring_cameras(12)
    assert photos_for(cameras[0], cameras, 3) == [0, 1, 11]
    assert photos_for(cameras[0], cameras[:1], 5) == [0]


def test_a_real_capture_is_drawn_sharper_and_truer_than_by_the_model_alone():
    views = load_capture(shared("captures", "miku_plush_colmap")).views
    truth, camera = load_photo(views[20], WHITE)
    target = resized(camera, 320, 240)
    nearest = [views[number] for number in (16, 17, 18, 19, 21, 22, 23, 24)]
    scene = Synthesizer.load("default", "cpu", "float32").encode(nearest)
    alone, sharpened = scene.render([target])[0], scene.render_detail([target]).images[0]
    seen = resize_image(truth, 320, 240)
    assert psnr(sharpened, seen) > psnr(alone, seen) + 1
    edges, soft, true = (np.abs(np.diff(picture, axis=1)).mean() for picture in (sharpened, alone, seen))
    assert soft < 0.6 * true < 0.8 * edges
