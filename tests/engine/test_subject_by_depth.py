"""The subject of cameras that look one way, found in their photos: a wall of known distance; photos that tell nothing."""

import dataclasses

import numpy as np
import pytest
import torch

from lvsm_engine.detail import PhotoDetail
from lvsm_engine.errors import Cancelled
from lvsm_engine.photos import WHITE, to_bytes
from lvsm_engine.scene.camera import View, camera_of
from lvsm_engine.scene.subject import are_nearly_parallel, subject_centre
from lvsm_engine.subject_by_depth import ASKED, asked_photos, subject_by_depth
from lvsm_engine.synthesizer import Synthesizer
from tests.engine.model.walls import BACK, FOCAL, SIZE, camera, walls
from tests.synthetic import CARD, lively_model, ring_cameras, ring_views

LENS = (FOCAL, FOCAL, SIZE / 2, SIZE / 2)


def flight(turn=1.0):
    """Two rows of cameras that look along +z, turned by so many degrees to this side and that, before the wall at z = BACK."""
    poses = [camera(3 + step, row, 0, turn * (-1) ** step) for step in range(6) for row in range(2)]
    return [View(camera_of(pose.numpy(), LENS, SIZE, SIZE), photo_of(pose), f"{n}") for n, pose in enumerate(poses)]


def photo_of(pose):
    return to_bytes(walls(pose)[0].permute(1, 2, 0).numpy())


def found_in(views, check=lambda: None):
    return subject_by_depth(views, asked_photos(views), PhotoDetail(views, WHITE, torch.device("cpu")), check)


@pytest.mark.parametrize("turn", [0.0, 1.0])
def test_what_a_flight_looks_down_on_is_where_its_photos_show_it(turn):
    views = flight(turn)
    subject = found_in(views)
    positions = np.stack([view.camera.position for view in views])
    assert subject.centre[2] == pytest.approx(BACK, rel=0.1)
    np.testing.assert_allclose(subject.centre[:2], positions[:, :2].mean(axis=0), atol=1)
    assert subject.half_side is None
    by_axes = subject_centre(np.stack([view.camera.camera_to_world for view in views]))
    assert abs(by_axes[2] - BACK) > 0.4 * BACK  # which is why the photos are asked


def test_photos_that_tell_nothing_are_not_believed():
    generator = np.random.default_rng(0)
    noise = [
        dataclasses.replace(view, photo=generator.integers(0, 256, (SIZE, SIZE, 3), np.uint8)) for view in flight()
    ]
    assert found_in(noise) is None
    grey = [dataclasses.replace(view, photo=np.full((SIZE, SIZE, 3), 128, np.uint8)) for view in flight()]
    assert found_in(grey) is None


def test_cameras_that_look_at_their_subject_need_no_photos():
    assert len(asked_photos(ring_views(8))) == 0
    assert len(asked_photos(flight())) <= ASKED
    one_place = np.stack([ring_cameras(8)[0].camera_to_world] * 3)
    assert not are_nearly_parallel(one_place) and not are_nearly_parallel(one_place[:1])


def test_the_model_and_the_detail_go_by_it_and_a_named_subject_goes_before_it():
    synthesizer = Synthesizer(lively_model("inputs_first"), CARD, torch.device("cpu"), torch.float32)
    views, told = flight(), []
    scene = synthesizer.encode(views, told.append)
    found = found_in(views)
    by_name = synthesizer.encode(views, subject=found)
    np.testing.assert_array_equal(scene._similarity, by_name._similarity)
    assert {one.stage for one in told} >= {"Finding the subject", "Loading photos"}
    elsewhere = dataclasses.replace(found, centre=(0.0, 0.0, 20.0))
    assert not np.allclose(synthesizer.encode(views, subject=elsewhere)._similarity, scene._similarity)
    assert synthesizer.photo_detail(views).subject == found


def test_photos_that_were_read_for_it_are_not_read_again(monkeypatch):
    synthesizer = Synthesizer(lively_model("inputs_first"), CARD, torch.device("cpu"), torch.float32)
    views = flight()
    found = synthesizer.photo_detail(views)
    monkeypatch.setattr("lvsm_engine.detail.load_cut_out", None)
    assert found.subject is not None and found.depth_quartiles([0], lambda: None).shape == (1, 3)


def test_the_search_for_it_can_be_cancelled():
    def stop():
        raise Cancelled

    with pytest.raises(Cancelled):
        found_in(flight(), stop)
