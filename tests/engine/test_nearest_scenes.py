"""A model that was trained on pairs gets the two photos nearest to each target, and detail from all."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from lvsm_engine.errors import CameraError, Cancelled
from lvsm_engine.nearest_scenes import NearestScenes
from lvsm_engine.scene.camera import View
from lvsm_engine.scene.selection import photos_for
from lvsm_engine.synthesizer import Synthesizer
from tests.synthetic import CARD, lively_model, ring_cameras, ring_views


@pytest.fixture(scope="module")
def of_pairs() -> Synthesizer:
    card = dataclasses.replace(CARD, input_views=(2, 2))
    return Synthesizer(lively_model("inputs_first"), card, torch.device("cpu"), torch.float32)


def nearest(views: Sequence[View], camera) -> list[int]:
    return sorted(photos_for(camera, [view.camera for view in views], 2))


def test_each_target_is_seen_from_the_two_photos_nearest_to_it(of_pairs: Synthesizer) -> None:
    views, cameras = ring_views(8), ring_cameras(3)
    scene = of_pairs.encode(views)
    images = scene.render(cameras)
    for image, camera in zip(images, cameras, strict=True):
        pair = [views[position] for position in nearest(views, camera)]
        np.testing.assert_allclose(image, of_pairs.encode(pair).render([camera])[0], atol=1e-5)
    assert len({tuple(nearest(views, camera)) for camera in cameras}) > 1
    assert not [warning for warning in scene.warnings if "input views" in warning]  # it gets what it was trained with


def test_pictures_come_in_the_order_of_the_cameras_whatever_their_pairs(of_pairs: Synthesizer) -> None:
    views, cameras = ring_views(8), ring_cameras(5)
    shuffled = [cameras[position] for position in (3, 0, 4, 0, 1)]
    images, expected = of_pairs.encode(views).render(shuffled), of_pairs.encode(views).render(cameras)
    np.testing.assert_allclose(images, expected[[3, 0, 4, 0, 1]], atol=1e-5)


def test_detail_comes_from_all_photos(of_pairs: Synthesizer) -> None:
    views, cameras = ring_views(6), ring_cameras(2)
    passes = of_pairs.encode(views).render_detail(cameras)
    assert passes.images.shape == (2, 32, 32, 3) and passes.depths is not None and passes.main_photos is not None
    detail = of_pairs.photo_detail(views)
    for number, camera in enumerate(cameras):
        pair = [views[position] for position in nearest(views, camera)]
        expected = of_pairs.encode(pair, detail=detail).render_detail([camera])
        np.testing.assert_allclose(passes.images[number], expected.images[0], atol=1e-5)


def test_two_photos_and_a_number_that_someone_asked_for_are_taken_as_they_are(of_pairs: Synthesizer) -> None:
    assert not isinstance(of_pairs.encode(ring_views(2)), NearestScenes)
    assert not isinstance(of_pairs.encode(ring_views(5), max_model_views=4), NearestScenes)
    assert isinstance(of_pairs.encode(ring_views(3)), NearestScenes)


def test_a_pair_that_comes_again_is_encoded_once(of_pairs: Synthesizer) -> None:
    views, asked = ring_views(8), []

    def encode(positions, on_progress, cancel):
        asked.append(positions)
        return of_pairs.encode([views[position] for position in positions])

    scene = NearestScenes(encode, [view.camera for view in views], 2)
    for _ in range(2):
        scene.render(ring_cameras(1))
    assert asked == [tuple(nearest(views, ring_cameras(1)[0]))]


def test_no_cameras_mixed_sizes_and_a_cancel_are_told_as_by_any_scene(of_pairs: Synthesizer) -> None:
    scene = of_pairs.encode(ring_views(4))
    with pytest.raises(CameraError, match="There is no camera to render"):
        scene.render([])
    with pytest.raises(CameraError, match="have 2 sizes"):
        scene.render([*ring_cameras(1), *ring_cameras(1, 48, 32)])
    with pytest.raises(Cancelled):
        scene.render(ring_cameras(1), None, lambda: True)
