"""Published LaCT files at work, by tiny ones of their shape: frames of objects and scenes, warnings, memory, lvsm render."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch

from lvsm_engine.cli import main
from lvsm_engine.errors import Cancelled, DeviceError
from lvsm_engine.model.checkpoint import export_published
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.model.costs import bytes_of_inputs
from lvsm_engine.scene.camera import Camera
from lvsm_engine.synthesizer import Synthesizer
from tests.synthetic import lively_model, ring_cameras, ring_views, write_ring_capture

PUBLISHED = ModelConfig(architecture="fast_weights", fast_head_width=768, fast_hidden=1536)


@pytest.fixture
def load(tmp_path):
    def load_as(name):
        export_published(tmp_path / name, lively_model("fast_weights"))
        return Synthesizer.load(tmp_path / name, "cpu", "float32")

    return load_as


def cut_out_views(count):
    views = ring_views(count)
    alpha = np.zeros((32, 32), np.uint8)
    alpha[8:24, 10:22] = 255
    return [dataclasses.replace(view, photo=np.dstack([view.photo, alpha])) for view in views]


def moved(camera, scale, shift):
    pose = camera.camera_to_world.copy()
    pose[:3, 3] = scale * pose[:3, 3] + shift
    return Camera(pose, *camera.fxfycxcy, camera.width, camera.height)


@pytest.mark.parametrize("name", ["obj_res32.pt", "scene_res32x32.pt"])
def test_where_a_capture_stands_and_how_large_it_is_does_not_matter(load, name):
    synthesizer, views = load(name), cut_out_views(8)
    target = ring_cameras(5)[1]
    there = [dataclasses.replace(view, camera=moved(view.camera, 7.0, [3, -2, 5])) for view in views]
    expected = synthesizer.encode(views).render([target])
    np.testing.assert_allclose(synthesizer.encode(there).render([moved(target, 7.0, [3, -2, 5])]), expected, atol=2e-3)


def test_a_cut_out_object_has_its_trained_size_whatever_the_distance_of_the_cameras(load):
    """Twice as far with twice the focal length: nearly the same photos, and the subject is as large as before."""
    synthesizer = load("obj_res32.pt")
    distances = []
    for factor in (1.0, 2.0):
        views = []
        for view in cut_out_views(8):
            camera = moved(view.camera, factor, 0)
            longer = dataclasses.replace(camera, fx=factor * camera.fx, fy=factor * camera.fy)
            views.append(dataclasses.replace(view, camera=longer))
        scene = synthesizer.encode(views)
        assert not any("background" in warning for warning in scene.warnings)
        rays = synthesizer.rays([views[0].camera], scene._similarity)
        distances.append(float(rays[0, 0, :3, 0, 0].norm()))
    assert distances[1] == pytest.approx(2 * distances[0], rel=0.1)


def test_a_photo_with_its_background_is_told_with_the_way_out(load):
    synthesizer = load("obj_res32.pt")
    views = cut_out_views(8)
    views[3] = ring_views(8)[3]
    warnings = synthesizer.encode(views).warnings
    assert warnings == (
        "view 3 shows its background, and obj_res32 knows subjects on white alone: cut the subject out, by masks or alpha, or"
        " choose a model of scenes.",
    )
    assert "view 0 and 7 more photos show their background" in synthesizer.encode(ring_views(8)).warnings[0]
    assert not any("background" in warning for warning in load("scene_res32x32.pt").encode(ring_views(8)).warnings)


def test_an_opaque_photo_before_white_is_a_cut_out(load):
    views = cut_out_views(8)
    on_white = [
        dataclasses.replace(view, photo=np.where(view.photo[..., 3:] > 0, view.photo[..., :3], 255).astype(np.uint8))
        for view in views
    ]
    synthesizer = load("obj_res32.pt")
    scene = synthesizer.encode(on_white)
    assert scene.warnings == ()
    target = ring_cameras(1)
    np.testing.assert_allclose(scene.render(target), synthesizer.encode(views).render(target), atol=0.02)


def test_a_scene_file_is_fed_as_many_photos_as_it_was_trained_with(load):
    scene = load("scene_res32x32.pt").encode(ring_views(20))
    assert any(warning == "scene_res32x32 was trained with 32 input views, and gets 20." for warning in scene.warnings)
    assert not any("was trained with" in warning for warning in load("obj_res32.pt").encode(ring_views(20)).warnings)


@pytest.mark.parametrize(("width", "height", "told"), [(32, 56, True), (56, 32, False), (40, 40, False)])
def test_photos_that_lose_most_to_the_files_shape_are_told(load, width, height, told):
    scene = load("scene_res32x56.pt").encode(ring_views(4, width, height))
    sentence = "scene_res32x56 takes pictures of 56x32 pixels, and 67% of these photos is cut away for it"
    assert any(warning.startswith(sentence) for warning in scene.warnings) == told


def test_a_subject_that_reaches_out_of_what_the_file_sees_is_told(load):
    """Photos of 32x48 pixels, of which 8 rows above and below are cut away."""
    views = ring_views(8, 32, 48)
    for number, view in enumerate(views):
        alpha = np.zeros((48, 32), np.uint8)
        alpha[4 if number in (2, 5) else 12 : 36, 10:22] = 255
        views[number] = dataclasses.replace(view, photo=np.dstack([view.photo, alpha]))
    assert load("obj_res32.pt").encode(views).warnings == (
        "obj_res32 sees the middle of photos, and the subject of view 2 and 1 more photo is cut off at its edge: leave more room"
        " around it.",
    )


def test_the_memory_of_a_scene_is_foreseen():
    """The weights of the scene, 340 MB; what photos add: tokens of 768 numbers, thrice, and their pixels."""
    need = {views: bytes_of_inputs(PUBLISHED, views * 4096, views * 512**2, views) for views in (8, 20, 64)}
    assert 0.9e9 < need[8] < 2e9
    assert need[20] - need[8] < 1.2e9
    assert need[64] < 6e9


def test_what_cannot_fit_is_told_before_memory_is_taken(load):
    synthesizer = load("scene_res32x32.pt")
    tokens, pixels = 4 * 16, 4 * 32 * 32
    need = bytes_of_inputs(synthesizer.config, tokens, pixels, 4)
    synthesizer.free_bytes = lambda device: need
    synthesizer.encode(ring_views(4))
    synthesizer.free_bytes = lambda device: need - 1
    with pytest.raises(DeviceError, match="4 input views of 32x32 pixels need about"):
        synthesizer.encode(ring_views(4))


def test_a_cancel_stops_within_a_block_and_progress_runs_to_its_end(load):
    synthesizer, seen = load("obj_res32.pt"), []
    synthesizer.encode(cut_out_views(8), on_progress=seen.append).render(ring_cameras(2), on_progress=seen.append)
    ends = [last.fraction for _, (*_, last) in itertools.groupby(seen, key=lambda progress: progress.stage)]
    assert ends == [1.0, 1.0, 1.0]
    calls = itertools.count()
    with pytest.raises(Cancelled):
        synthesizer.encode(
            cut_out_views(2), cancel=lambda: next(calls) == 3
        )  # two photos, then the second part of a block


def test_the_scene_is_taught_once_and_asked_often(load):
    synthesizer = load("obj_res32.pt")
    scene, taught = synthesizer.encode(cut_out_views(4)), []
    for block in synthesizer.model.blocks:
        teach = block.fast.taught
        block.fast.taught = lambda lesson, teach=teach: taught.append(lesson) or teach(lesson)
    first = scene.render(ring_cameras(3))
    np.testing.assert_array_equal(scene.render(ring_cameras(3)), first)
    assert taught == []


def test_bfloat16_stays_close_to_float32(load):
    synthesizer = load("obj_res32.pt")
    expected = synthesizer.encode(cut_out_views(4)).render(ring_cameras(2))
    fast = Synthesizer(synthesizer.model, synthesizer.card, synthesizer.device, torch.bfloat16)
    difference = np.abs(fast.encode(cut_out_views(4)).render(ring_cameras(2)) - expected)
    assert 0 < difference.mean() < 0.02


@pytest.mark.parametrize("name", ["obj_res32.pt", "scene_res32x56.pt"])
def test_lvsm_render_draws_a_capture_with_detail(tmp_path, name, capsys):
    capture = write_ring_capture(tmp_path / "capture", 6, 48, 32)
    model = tmp_path / name
    export_published(model, lively_model("fast_weights"))
    words = [
        "--capture",
        capture,
        "--inputs",
        "0,1,2,4",
        "--targets",
        "3,5",
        "--out",
        tmp_path / "out",
        "--model",
        model,
    ]
    assert main(["render", *map(str, words), "--device", "cpu"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["model"] == model.stem and report["detail"]
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"0003.png", "0005.png", "sheet.png"}
    told = capsys.readouterr().err
    assert ("show their background" in told) == name.startswith("obj")
