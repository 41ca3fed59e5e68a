"""The evaluation on made-up objects and captures whose scores are known."""

import hashlib
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from lvsm_engine.errors import CaptureError, CheckpointError
from lvsm_engine.metrics import MetricError, psnr
from lvsm_engine.model.checkpoint import build_model, load_checkpoint, save_checkpoint
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.photos import save_image
from lvsm_engine.scene.camera import View
from lvsm_engine.scene.captures import Capture, load_capture, write_transforms
from tests.shared_data import shared
from tests.synthetic import CARD, MODELS, ring_views
from training.batches.sampler import ViewsError
from training.evaluate import __main__ as evaluate
from training.evaluate.answers import MEAN, NEAREST, SILHOUETTE, AnswerError, silhouettes
from training.evaluate.models import EvaluationError, distinct_names
from training.evaluate.questions import Captures, LeaveOneOut, ObjectFolder
from training.evaluate.scores import Score, by_angle, choose_lpips, mean_metrics, metrics_of
from training.protocol import TARGETS, input_views
from training.render.cameras import cameras_for

SIZE = 16
WHITE = (1.0, 1.0, 1.0)


def write_object(folder, name, images, cameras):
    folder.mkdir(exist_ok=True)
    np.savez(
        folder / f"{name}.npz",
        images=images,
        camera_to_world=np.stack([camera.camera_to_world for camera in cameras]),
        fxfycxcy=np.stack([camera.fxfycxcy for camera in cameras]),
    )


def discs(colour, views, size=SIZE):
    """(V, S, S, 4) uint8: a disc of one colour that looks the same from everywhere."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    images = np.zeros((views, size, size, 4), np.uint8)
    images[..., :3], images[..., 3] = colour, np.where(x**2 + y**2 < (size / 3) ** 2, 255, 0)
    return images


@pytest.fixture
def views(tmp_path):
    """Two discs, by the whole protocol."""
    folder = tmp_path / "val"
    for name, colour in (("red", (200, 10, 10)), ("blue", (10, 10, 200))):
        cameras = cameras_for(name, "protocol", 0, SIZE)
        write_object(folder, name, discs(colour, len(cameras)), cameras)
    return folder


@pytest.fixture
def model_file(tmp_path):
    return write_model(tmp_path / "model.safetensors", ModelConfig(width=64, blocks=1))


def write_model(path, config):
    torch.manual_seed(0)
    path.parent.mkdir(exist_ok=True)
    save_checkpoint(path, build_model(config), CARD)
    return path


@pytest.fixture
def capture(tmp_path):
    """A ring of 8 photos of noise."""
    folder = tmp_path / "ring"
    (folder / "images").mkdir(parents=True)
    named = []
    for number, view in enumerate(ring_views(8, 48, 32)):
        path = folder / "images" / f"{number}.png"
        save_image(path, view.photo)
        named.append(View(view.camera, path, path.name))
    write_transforms(Capture("ring", tuple(named)), folder / "transforms.json")
    return folder


def run(out, **options):
    options = {"device": "cpu", "precision": "float32"} | options
    evaluate.evaluate(evaluate.Options(out=out, **options))
    return json.loads((out / "scores.json").read_text())


def means(report, answer, inputs):
    return next(row for row in report["means"] if row["answer"] == answer and row["inputs"] == inputs)


def test_trivial_answers_are_perfect_where_all_views_are_alike(views, model_file, tmp_path, capsys):
    out = tmp_path / "scores"
    report = run(out, views=views, model=(str(model_file),), size=SIZE)
    assert report["models"][0]["sha256"] == hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert report["files"] == {
        f"{name}.npz": hashlib.sha256((views / f"{name}.npz").read_bytes()).hexdigest() for name in ("blue", "red")
    }
    for answer in (NEAREST, MEAN, SILHOUETTE):
        assert means(report, answer, 4)["psnr"] > 90
        assert means(report, answer, 4)["foreground_psnr"] > 90
        assert "view_seconds" not in means(report, answer, 4)
    model = means(report, "model", 4)
    assert model["psnr"] < 20 and model["view_seconds"] > 0 and model["encode_seconds"] > 0
    sharpened = means(report, "model, with detail", 4)
    assert sharpened["psnr"] > model["psnr"] and sharpened["view_seconds"] > model["view_seconds"]
    assert len(report["targets"]) == 2 * 10 * 5
    printed = capsys.readouterr()
    table = (out / "table.md").read_text()
    assert f"| 4 | model | {model['psnr']:.2f} |" in table
    assert table in printed.out
    assert report["lpips"]["left_out"] == "It needs pictures of 48 pixels a side, and the smallest side is 16."
    assert f"LPIPS is left out. {report['lpips']['left_out']}" in table
    assert not list(out.glob("*.part*"))


def test_the_same_evaluation_again_gives_the_same_scores(views, model_file, tmp_path):
    first, second = (run(tmp_path / name, views=views, model=(str(model_file),), size=SIZE) for name in "ab")
    for one, other in zip(first["targets"], second["targets"], strict=True):
        assert one["metrics"] == other["metrics"] and one["angle"] == other["angle"]


def test_models_are_compared_side_by_side_over_a_sweep_of_inputs(views, tmp_path):
    files = [
        write_model(tmp_path / "first" / "model.safetensors", MODELS["inputs_first"]),
        write_model(tmp_path / "second" / "model.safetensors", MODELS["encoder_decoder"]),
    ]
    report = run(
        tmp_path / "out", views=views, model=tuple(map(str, files)), size=SIZE, inputs=(16, 1, 2), limit=1, detail=False
    )
    assert [(model["name"], model["architecture"]) for model in report["models"]] == [
        ("first/model", "decoder_only"),
        ("second/model", "encoder_decoder"),
    ]
    rows = [(row["inputs"], row["answer"]) for row in report["means"]]
    answers = ("first/model", "second/model", NEAREST, MEAN, SILHOUETTE)
    assert rows == [(inputs, answer) for inputs in (1, 2, 16) for answer in answers]
    # The targets are the same for any number of inputs, and more inputs stand nearer to them.
    angles = [np.mean([row["angle"] for row in report["targets"] if row["inputs"] == inputs]) for inputs in (1, 2, 16)]
    assert angles == sorted(angles, reverse=True)
    assert angles[0] > 3 * angles[2]
    assert means(report, SILHOUETTE, 1)["psnr"] == means(report, SILHOUETTE, 16)["psnr"]


def test_old_folders_of_14_views_serve_up_to_4_inputs(tmp_path):
    write_object(tmp_path / "val", "red", discs((200, 10, 10), 14), cameras_for("red", "protocol", 0, SIZE)[:14])
    folder = ObjectFolder(tmp_path / "val", SIZE)
    for inputs in (1, 2, 4):
        question = next(folder.questions(inputs))
        assert (len(question.inputs), len(question.targets)) == (inputs, 10)
    with pytest.raises(ViewsError, match="red has 14 views, and 8 inputs of the protocol need 18: render it again"):
        next(folder.questions(8))


def test_an_object_s_inputs_and_targets_are_the_protocol_s_views(tmp_path):
    """Each view has its number as its colour."""
    cameras = cameras_for("numbers", "protocol", 0, SIZE)
    images = np.full((26, SIZE, SIZE, 3), 0, np.uint8) + np.arange(26, dtype=np.uint8)[:, None, None, None]
    write_object(tmp_path / "val", "numbers", images, cameras)
    question = next(ObjectFolder(tmp_path / "val", SIZE).questions(8))
    assert [int(view.photo[0, 0, 0]) for view in question.inputs] == input_views(8)
    assert (question.truth[:, 0, 0, 0] * 255).round().astype(int).tolist() == list(range(4, 14))
    directions = np.stack([camera.position / np.linalg.norm(camera.position) for camera in cameras])
    expected = np.degrees(np.arccos(directions[4] @ directions[input_views(8)].T))
    np.testing.assert_allclose(question.angles[0], expected, atol=1e-4)
    nearest = input_views(8)[int(expected.argmin())]
    assert question.input_images[question.angles[0].argmin(), 0, 0, 0] == pytest.approx(nearest / 255)


def test_an_object_s_targets_may_each_have_their_nearest_inputs(tmp_path):
    cameras = cameras_for("numbers", "protocol", 0, SIZE)
    images = np.full((26, SIZE, SIZE, 3), 0, np.uint8) + np.arange(26, dtype=np.uint8)[:, None, None, None]
    write_object(tmp_path / "val", "numbers", images, cameras)
    folder = ObjectFolder(tmp_path / "val", SIZE, "nearest")
    questions = list(folder.questions(3))
    assert len(questions) == folder.count() == len(TARGETS)
    directions = np.stack([camera.position / np.linalg.norm(camera.position) for camera in cameras])
    for target, question in zip(TARGETS, questions, strict=True):
        assert (question.truth[0, 0, 0, 0] * 255).round() == target and question.group == "numbers"
        likeness = directions[input_views(16)] @ directions[target]
        nearest = np.array(input_views(16))[np.argsort(-likeness)[:3]]
        assert sorted(int(view.photo[0, 0, 0]) for view in question.inputs) == sorted(nearest)
    assert [question.name for question in folder.questions(3, only={"numbers/view 5"})] == ["numbers/view 5"]


def test_each_kth_photo_is_left_out_and_answered_from_the_others_nearest_to_it(capture, model_file, tmp_path):
    report = run(tmp_path / "out", capture=(capture,), model=(str(model_file),), inputs=(2,), every=3, size=32)
    assert sorted({row["target"] for row in report["targets"]}) == ["0.png", "3.png", "6.png"]
    assert {row["answer"] for row in report["targets"]} == {"model", "model, with detail", NEAREST, MEAN}
    assert all(row["angle"] == pytest.approx(45, abs=5) for row in report["targets"])
    assert not any("foreground_psnr" in row["metrics"] for row in report["targets"])
    assert set(report["files"]) == {"transforms.json", *(f"images/{number}.png" for number in range(8))}
    question = next(Captures({"ring": capture}, LeaveOneOut(), 32, 8, WHITE).questions(2))
    assert [view.name for view in question.inputs] in (["1.png", "7.png"], ["7.png", "1.png"])
    photo = np.asarray(Image.open(capture / "images" / "0.png"))[:, :, :3].astype(np.float32) / 255
    assert question.truth.shape == (1, 24, 40, 3)  # 48 x 32 pixels at about 32 x 32, multiples of 8
    assert abs(question.truth.mean() - photo.mean()) < 0.02


def test_targets_and_inputs_of_a_capture_can_be_given(capture):
    rule = LeaveOneOut(targets=(5, 2), inputs=(0, 4, 7))
    questions = list(Captures({"ring": capture}, rule, 32, 8, WHITE).questions(3))
    assert [question.targets for question in questions] == [("5.png",), ("2.png",)]
    assert all([view.name for view in question.inputs] == ["0.png", "4.png", "7.png"] for question in questions)
    assert questions[0].angles.argmin(axis=1).tolist() == [1]


def test_spread_inputs_see_the_subject_from_all_sides(capture):
    question = next(Captures({"ring": capture}, LeaveOneOut(choice="spread"), 32, 8, WHITE).questions(3))
    assert np.diff(sorted(question.angles[0])).max() > 40


@pytest.mark.parametrize(
    ("rule", "inputs", "words"),
    [
        (LeaveOneOut(), 8, "8 inputs are asked for, and beside a target it has 7: ask for fewer"),
        (
            LeaveOneOut(targets=(9,)),
            2,
            "has no photo at the position 9, which is to be a target: give positions from 0 to 7",
        ),
        (LeaveOneOut(targets=(1,), inputs=(1, 2)), 2, "the position 1 is an input and a target"),
    ],
)
def test_what_a_capture_does_not_have_is_said(capture, rule, inputs, words):
    with pytest.raises(CaptureError, match=words):
        next(Captures({"ring": capture}, rule, 32, 8, WHITE).questions(inputs))


def test_objects_and_captures_are_not_mixed_up(views, capture, model_file, tmp_path):
    for options in ({}, {"views": views, "capture": (capture,)}):
        with pytest.raises(EvaluationError, match="Give --views FOLDER for objects, or --capture PATH"):
            run(tmp_path / "out", model=(str(model_file),), **options)


def test_numbers_of_inputs_that_cannot_be_are_refused(views, model_file, tmp_path):
    for inputs in ((0, 4), (4, 17)):
        with pytest.raises(EvaluationError, match="give 1 or more, and for objects at most 16"):
            run(tmp_path / "out", views=views, model=(str(model_file),), inputs=inputs)
    with pytest.raises(CaptureError, match="Each 0th photo cannot be left out"):
        LeaveOneOut(every=0)


def test_a_model_whose_pictures_are_not_finite_is_refused_instead_of_scored(views, model_file, tmp_path):
    model, card = load_checkpoint(model_file)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    save_checkpoint(model_file, model, card)
    with pytest.raises((AnswerError, CheckpointError), match="not finite"):
        run(tmp_path / "out", views=views, model=(str(model_file),), size=SIZE)
    assert not (tmp_path / "out").exists()


def test_as_a_command_it_ends_with_2_and_a_sentence(tmp_path, capsys):
    assert evaluate.main(evaluate.Options(out=tmp_path / "out", views=tmp_path / "none")) == 2
    assert "none has no views: give a folder" in capsys.readouterr().err


def test_equal_names_of_files_are_told_apart_by_their_folders(tmp_path):
    paths = [tmp_path / "a" / "x" / "model.pt", tmp_path / "b" / "x" / "model.pt"]
    assert list(distinct_names(paths)) == ["a/x/model", "b/x/model"]
    assert list(distinct_names(paths[:1])) == ["model"]
    with pytest.raises(EvaluationError, match="is given twice"):
        distinct_names([paths[0], paths[0]])


def test_the_foreground_is_scored_apart():
    truth = np.ones((SIZE, SIZE, 3), np.float32)
    truth[4:8] = 0.5
    answer = truth.copy()
    answer[4:8] += 0.1
    foreground = np.zeros((SIZE, SIZE), bool)
    foreground[4:8] = True
    metrics = metrics_of(answer, truth, foreground, None)
    assert metrics["foreground_psnr"] == pytest.approx(20, abs=1e-3)
    assert metrics["psnr"] == pytest.approx(20 + 10 * math.log10(4), abs=1e-3)
    assert metrics["foreground_ssim"] < metrics["ssim"]
    assert "foreground_psnr" not in metrics_of(answer, truth, ~foreground & foreground, None)


def test_lpips_is_measured_where_its_backbone_is_given(tmp_path):
    backbone = shared("perceptual", "squeezenet1_1_features.safetensors")
    lpips, reason = choose_lpips("squeeze", backbone, 64)
    assert lpips is not None and reason == ""
    truth = np.random.default_rng(0).random((64, 64, 3), np.float32)
    foreground = np.zeros((64, 64), bool)
    foreground[:32] = True
    metrics = metrics_of(np.full_like(truth, 0.5), truth, foreground, lpips)
    assert metrics["lpips"] > 0.3 and metrics["foreground_lpips"] > 0.3
    assert metrics_of(truth, truth, foreground, lpips)["foreground_lpips"] == 0
    with pytest.raises(MetricError, match="is no backbone 'alex' of LPIPS"):
        choose_lpips("alex", backbone, 64)


def test_lpips_is_left_out_with_a_reason():
    assert choose_lpips("none", None, 64) == (None, "It was switched off.")
    assert choose_lpips("alex", None, 32)[0] is None


def test_a_silhouette_has_the_mean_colour_inside_and_white_outside():
    truth = np.random.default_rng(0).random((1, 4, 4, 3), dtype=np.float32)
    alpha = np.zeros((1, 4, 4), np.float32)
    alpha[0, :2] = 0.8
    alpha[0, 2] = 0.4
    filled = silhouettes(truth, alpha)
    np.testing.assert_allclose(filled[0, :2], np.broadcast_to(truth[0, :2].mean(axis=(0, 1)), (2, 4, 3)), atol=1e-6)
    assert (filled[0, 2:] == 1).all()


def test_scores_are_binned_by_the_angle_to_the_nearest_input():
    def score(angle, value):
        return Score(4, "a", "a", "view 4", "model", angle, {"psnr": value}, None, None)

    bins = by_angle([score(0, 30.0), score(9.9, 20.0), score(10, 10.0), score(180, 5.0)])
    assert {name: mean_metrics(scores)["psnr"] for name, scores in bins.items()} == {
        "0-10": 25,
        "10-20": 10,
        "90-180": 5,
    }


def test_a_real_capture_is_scored_as_its_photos_are(tmp_path):
    """The nearest photo's score, computed by hand from the decoded files."""
    folder = shared("captures", "gso_character_opencv")
    question = next(Captures({"gso": folder}, LeaveOneOut(targets=(3,)), 64, 8, WHITE).questions(8))
    assert question.truth.shape == (1, 64, 64, 3)
    assert len(question.inputs) == 8 and question.inputs[0].photo.shape == (384, 384, 3)
    names = [view.name for view in load_capture(folder).views]
    assert names[3] not in [view.name for view in question.inputs]
    assert question.angles.argmin() == 0 and (np.diff(question.angles[0]) > -1e-3).all()
    assert psnr(question.input_images[0], question.truth[0]) > psnr(question.input_images[7], question.truth[0])
