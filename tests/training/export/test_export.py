"""Export: a run's state becomes a model of the engine, with a card that tells the truth."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lvsm_engine.errors import CheckpointError
from lvsm_engine.model.checkpoint import build_model, load_checkpoint, read_card, save_checkpoint
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.scene.frame import SceneFrame
from tests.shared_data import shared
from tests.synthetic import CARD
from training.configs import Source, Stage, TrainingConfig
from training.evaluate import __main__ as evaluate
from training.export import __main__ as export
from training.export.soup import SoupError
from training.objects.credits import Attribution, markdown, read_attributions
from training.render.cameras import cameras_for
from training.train.state import LATEST, write_config

ROOT = Path(__file__).resolve().parents[3]
SIZE = 16
MANIFEST = (
    {"name": "chair", "licence": "CC-BY-4.0", "author": "Ann", "address": "https://models.example/chair"},
    {"name": "table", "licence": "CC-BY-4.0", "author": "Ann", "address": "https://models.example/table"},
    {
        "name": "lamp",
        "licence": "CC0-1.0",
        "author": "Bo",
        "repository": "bo/lamps",
        "commit": "123",
        "path": "lamp.glb",
    },
)


def write_views(folder, *names, sampling="varied", views=8):
    """Grey pictures of objects, with real cameras."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cameras = cameras_for(name, sampling, views, SIZE)
        np.savez(
            folder / f"{name}.npz",
            images=np.full((len(cameras), SIZE, SIZE, 4), 128, np.uint8),
            camera_to_world=np.stack([camera.camera_to_world for camera in cameras]),
            fxfycxcy=np.stack([camera.fxfycxcy for camera in cameras]),
        )
    return folder


@pytest.fixture
def config(tmp_path):
    return TrainingConfig(
        name="tiny",
        model=ModelConfig(width=64, blocks=1),
        sources=(Source(folder=str(write_views(tmp_path / "train", "chair", "lamp", "table")), weight=2.0),),
        validation=str(tmp_path / "val"),
        scene_frame=SceneFrame("subject", 2.0),
        stages=(Stage(until=0.5, size=8), Stage(until=1.0, size=SIZE, input_keep_ratio=0.5)),
        steps=40,
        views=4,
        input_views=(1, 2),
    )


def write_run(folder, config, **state):
    torch.manual_seed(0)
    folder.mkdir()
    write_config(folder, config)
    tensors = build_model(config.model).state_dict()
    torch.save({"step": 30, "seconds": 7200.0, "model": tensors, "optimizers": {}} | state, folder / LATEST)
    return folder


@pytest.fixture
def run(tmp_path, config):
    return write_run(tmp_path / "run", config)


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in MANIFEST))
    return path


def exported(run, out, **options):
    export.main(export.Options(run=run, out=out, name="Tiny", **options))
    return load_checkpoint(out)


def test_the_card_comes_from_the_run_and_its_data(run, config, tmp_path):
    model, card = exported(run, tmp_path / "model.safetensors")
    state = torch.load(run / LATEST, weights_only=True)
    for name, tensor in state["model"].items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert (card.name, card.resolution, card.input_views) == ("Tiny", SIZE, (1, 2))
    assert card.scene_frame == config.scene_frame and card.licence == "GPL-3.0-or-later"
    lenses = np.concatenate([np.load(path)["fxfycxcy"] for path in sorted((tmp_path / "train").glob("*.npz"))])
    fields = np.degrees(2 * np.arctan(SIZE / 2 / lenses[:, 0]))
    assert card.input_keep_ratio == 0.5  # of the stage that it ended with
    assert "patches of 8 px, of an input 50% of them seen, the subject's first, horizontal" in card.text
    assert card.field_of_view == pytest.approx((fields.min(), fields.max()), abs=0.01)
    assert (
        "Step 30 of 40, 2.0 hours; 8 px until 50% of the steps, 16 px (inputs: 50% of the patches) until 100% of the steps"
        in card.text
    )
    told = json.loads(card.text.split("```json\n")[1].split("\n```")[0])
    assert told == json.loads(json.dumps(dataclasses.asdict(config)))
    assert (tmp_path / "model.md").read_text() == card.text


def test_licences_and_authors_are_those_of_the_manifest(run, manifest, tmp_path, capsys):
    _, card = exported(run, tmp_path / "model.safetensors", manifest=(manifest,))
    assert "weight 2: 3 objects of the table below." in card.text
    assert "| 2 | CC-BY-4.0 | Ann | models.example |\n| 1 | CC0-1.0 | Bo | bo/lamps |" in card.text
    lines = (tmp_path / "model.attributions.tsv").read_text().splitlines()
    assert lines[1:3] == [
        "chair\tCC-BY-4.0\tAnn\thttps://models.example/chair",
        "lamp\tCC0-1.0\tBo\tbo/lamps 123 lamp.glb",
    ]
    assert "is not told" not in capsys.readouterr().out


def test_objects_that_no_manifest_lists_are_told_of(run, manifest, tmp_path, capsys):
    write_views(tmp_path / "train", "stranger")
    _, card = exported(run, tmp_path / "model.safetensors", manifest=(manifest,))
    assert "3 objects of the table below: whose its other objects are is not recorded here." in card.text
    assert "whose its objects are is not told; give --manifest, or --notes" in capsys.readouterr().out


def test_a_note_tells_of_a_source_without_objects(run, config, tmp_path, capsys):
    folder = config.sources[0].folder
    _, card = exported(run, tmp_path / "model.safetensors", notes={folder: "made by training.procedural"})
    assert f"- `{folder}`, weight 2: made by training.procedural." in card.text
    assert "is not told" not in capsys.readouterr().out
    with pytest.raises(SystemExit, match="--notes: 'elsewhere' is no source of"):
        exported(run, tmp_path / "model.safetensors", notes={"elsewhere": "x"})


def test_scenes_made_on_the_fly_need_no_note(config, tmp_path, capsys):
    config = dataclasses.replace(config, sources=(Source(folder="procedural:objects"),))
    run = write_run(tmp_path / "run", config)
    _, card = exported(run, tmp_path / "model.safetensors", field_of_view=(28.0, 70.0))
    assert "procedural:objects" in card.text
    assert "made by training.procedural" in card.text
    assert "not told" not in capsys.readouterr().out


def test_textures_from_a_folder_are_somebody_s(config, tmp_path, capsys):
    config = dataclasses.replace(config, sources=(Source(folder="procedural:objects:my/textures"),))
    run = write_run(tmp_path / "run", config)
    _, card = exported(run, tmp_path / "model.safetensors", field_of_view=(28.0, 70.0))
    assert "procedural:objects:my/textures`, weight 1: whose its objects are is not recorded here" in card.text
    assert "whose its objects are is not told; give --manifest, or --notes" in capsys.readouterr().out


def test_the_indexes_of_shards_tell_what_their_objects_are_called(tmp_path):
    (tmp_path / "00000.array_record").write_bytes(b"")
    (tmp_path / "00000.json").write_text(json.dumps({"records": [{"name": "b"}, {"name": "a"}]}))
    assert export.object_names(tmp_path) == ["a", "b"]
    (tmp_path / "00000.json").write_text("{}")
    with pytest.raises(SystemExit, match=r"00000\.json cannot be read as the index of a shard"):
        export.object_names(tmp_path)


def test_the_project_s_own_manifest_is_read():
    known = read_attributions(shared("objects", "manifest.json"))
    assert len(known) > 500
    assert known["gso_dino_5"].licence == "CC-BY-4.0" and known["gso_dino_5"].place == "real-stanford/scalingup"


def test_a_manifest_of_thousands_of_authors_is_counted():
    many = [Attribution("CC-BY-4.0", f"author {number}", f"https://models.example/{number}") for number in range(500)]
    assert markdown(many).splitlines()[2:] == ["| 500 | CC-BY-4.0 | 500 authors | models.example |"]


@pytest.mark.parametrize(("precision", "bits"), [("float16", 11), ("bfloat16", 8)])
def test_weights_can_be_stored_in_half_the_size(run, tmp_path, precision, bits):
    whole, _ = exported(run, tmp_path / "whole.safetensors")
    half, card = exported(run, tmp_path / "half.safetensors", precision=precision)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.55 * sizes[0]
    assert f"stored as {precision}" in card.text
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(half.state_dict()[name], tensor, rtol=2.0**-bits, atol=1e-6)


def test_weights_that_a_precision_cannot_hold_are_refused(config, tmp_path):
    tensors = build_model(config.model).state_dict()
    tensors["norm.weight"][0] = 1e6
    run = write_run(tmp_path / "run", config, model=tensors)
    with pytest.raises(SystemExit, match="the weights 'norm.weight' do not fit into float16: export as float32"):
        exported(run, tmp_path / "model.safetensors", precision="float16")
    assert not (tmp_path / "model.safetensors").exists()
    exported(run, tmp_path / "model.safetensors", precision="bfloat16")


def test_averaged_weights_are_taken_where_the_state_has_them(config, tmp_path):
    averaged = {name: torch.full_like(tensor, 0.5) for name, tensor in build_model(config.model).state_dict().items()}
    run = write_run(tmp_path / "run", config, averaged=averaged)
    model, card = exported(run, tmp_path / "model.safetensors")
    assert all((tensor == 0.5).all() for tensor in model.state_dict().values())
    assert "Weights: averaged over steps" in card.text
    model, card = exported(run, tmp_path / "model.safetensors", weights="last")
    assert not (model.state_dict()["norm.weight"] == 0.5).any()
    assert "Weights: those of its last step" in card.text


def test_scores_of_these_weights_go_into_the_card_and_of_others_are_refused(run, config, tmp_path):
    write_views(tmp_path / "val", "cup", sampling="protocol")
    out = tmp_path / "model.safetensors"
    exported(run, out, precision="float16")
    scores = tmp_path / "objects"
    evaluate.main(
        evaluate.Options(
            out=scores, views=tmp_path / "val", model=(str(out),), lpips="none", device="cpu", precision="float32"
        )
    )
    _, card = exported(run, out, precision="float16", evaluation=(scores,))
    assert f"## Scores\n\n### objects\n\n{(scores / 'table.md').read_text().strip()}" in card.text
    before = out.read_bytes()
    with pytest.raises(SystemExit, match="objects is an evaluation of other weights: export without --evaluation"):
        exported(run, out, precision="float32", evaluation=(scores,))
    with pytest.raises(SystemExit, match="val holds no evaluation"):
        exported(run, out, evaluation=(tmp_path / "val",))
    assert out.read_bytes() == before


def test_crops_narrow_the_field_of_view(config):
    plain = dataclasses.asdict(config)
    narrowest, widest = export.measured_field_of_view(plain)
    cropped = export.measured_field_of_view({**plain, "crops": {"zoom": (1.0, 2.0), "aspect": (0.5, 2.0)}})

    def half(degrees):
        return np.tan(np.radians(degrees / 2))

    assert half(cropped[0]) == pytest.approx(half(narrowest) / 4, rel=1e-3)
    assert cropped[1] == widest


def test_a_field_of_view_that_nobody_tells_is_asked_for(run, config, tmp_path):
    for path in (tmp_path / "train").glob("*.npz"):
        path.unlink()
    with pytest.raises(SystemExit, match="has no views.*Or give --field-of-view"):
        exported(run, tmp_path / "model.safetensors")
    _, card = exported(run, tmp_path / "model.safetensors", field_of_view=(40.0, 60.0))
    assert card.field_of_view == (40.0, 60.0)


def test_the_licence_of_the_weights_that_a_run_started_from_holds_on(config, tmp_path):
    first = tmp_path / "first.safetensors"
    save_checkpoint(first, build_model(config.model), dataclasses.replace(CARD, licence="CC BY-NC-SA 4.0"))
    run = write_run(tmp_path / "run", config)
    told = json.loads((run / "config.json").read_text()) | {"init": str(first)}
    (run / "config.json").write_text(json.dumps(told))
    _, card = exported(run, tmp_path / "model.safetensors")
    assert card.licence == "CC BY-NC-SA 4.0" and f"from `{first}`" in card.text
    first.unlink()
    with pytest.raises(SystemExit, match="These weights come from it; its licence holds on: give --licence"):
        exported(run, tmp_path / "model.safetensors")


def other_model(file, config, licence="GPL-3.0-or-later"):
    torch.manual_seed(1)
    model = build_model(config)
    save_checkpoint(file, model, dataclasses.replace(CARD, licence=licence))
    return model.state_dict()


def test_a_soup_is_the_mean_of_the_runs_weights_and_others(run, config, tmp_path):
    second, third = tmp_path / "second.safetensors", tmp_path / "third.safetensors"
    other = other_model(second, config.model)
    other_model(third, dataclasses.replace(config.model, width=128))
    model, card = exported(run, tmp_path / "model.safetensors", soup={str(second): 0.25})
    for name, own in torch.load(run / LATEST, weights_only=True)["model"].items():
        torch.testing.assert_close(model.state_dict()[name], 0.75 * own + 0.25 * other[name])
    assert f"those of its last step; in the mean with others, of which 25% those of `{second}`, stored as" in card.text
    for shares in ({str(second): 0.6, str(third): 0.4}, {str(second): -0.1}):
        with pytest.raises(SoupError, match="each must be above 0, and some of 1 must be left for the run's own"):
            exported(run, tmp_path / "model.safetensors", soup=shares)
    with pytest.raises(SoupError, match=r"third.safetensors: its weights have other names or shapes than the run's"):
        exported(run, tmp_path / "model.safetensors", soup={str(third): 0.5})


def test_the_licence_of_a_soup_is_the_one_that_all_have(run, config, tmp_path):
    free, other = tmp_path / "free.safetensors", tmp_path / "other.safetensors"
    other_model(free, config.model)
    other_model(other, config.model, licence="CC BY-NC-SA 4.0")
    _, card = exported(run, tmp_path / "model.safetensors", soup={str(other): 0.5})
    assert card.licence == "CC BY-NC-SA 4.0"
    with pytest.raises(SystemExit, match=r"different licences \(CC BY-NC-SA 4.0; GPL-3.0-or-later\): give --licence"):
        exported(run, tmp_path / "model.safetensors", soup={str(other): 0.3, str(free): 0.3})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "configuration cannot be read"),
        ("{", "configuration cannot be read"),
        ('{"name": "x"}', "does not tell model,"),
    ],
)
def test_a_run_without_its_configuration_is_refused(run, tmp_path, content, words):
    path = run / "config.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(SystemExit, match=words):
        exported(run, tmp_path / "model.safetensors")


def test_a_full_disk_leaves_the_old_file_whole(run, tmp_path):
    """A file size limit stands for the full disk."""
    out = tmp_path / "model.safetensors"
    exported(run, out)
    before = out.read_bytes()
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); from training.export import __main__ as export;"
        f" export.main(export.Options(run=export.Path({str(run)!r}), out=export.Path({str(out)!r}), name='New'))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and "the model cannot be written" in done.stderr
    assert out.read_bytes() == before and read_card(out)[1].name == "Tiny"
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_that_is_not_there_is_named(run, tmp_path):
    with pytest.raises(CheckpointError, match="nowhere/model.safetensors: the model cannot be written"):
        exported(run, tmp_path / "nowhere" / "model.safetensors")


@pytest.mark.skipif(os.name != "posix", reason="files have owners and groups on POSIX systems")
def test_others_can_read_the_file(run, tmp_path):
    before = os.umask(0o022)
    try:
        exported(run, tmp_path / "model.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o644
