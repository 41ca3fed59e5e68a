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
from training.configs import DataConfig, ScheduleConfig, Source, Stage, TrainingConfig, changed, resolved
from training.evaluate import __main__ as evaluate
from training.export import __main__ as export
from training.export.credits import markdown, object_names, tab_separated
from training.export.field_of_view import measured_field_of_view
from training.export.trained_run import ExportError
from training.json_lines import ListError
from training.objects.manifest import Origin, read_origins
from training.render.cameras import cameras_for
from training.train.state import LATEST, write_config
from training.views.shards.pack import pack
from training.views.stored import ViewsError

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
        data=DataConfig(
            sources=(Source(folder=str(write_views(tmp_path / "train", "chair", "lamp", "table")), weight=2.0),),
            validation=str(tmp_path / "val"),
            views=4,
            input_views=(1, 2),
        ),
        scene_frame=SceneFrame("subject", 2.0),
        schedule=ScheduleConfig(
            stages=(Stage(until=0.5, size=8), Stage(until=1.0, size=SIZE, input_keep_ratio=0.5)), steps=40
        ),
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
    export.export(export.Options(run=run, out=out, name="Tiny", **options))
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
    assert "patches of 8 px, of an input 50% of them kept, the subject's first, horizontal" in card.text
    assert card.field_of_view == pytest.approx((fields.min(), fields.max()), abs=0.01)
    assert (
        "Step 30 of 40, 2.0 hours; 8 px until 50% of the steps, 16 px (inputs: 50% of the tokens) until 100% of the steps"
        in card.text
    )
    told = " ".join(card.text.split("```")[1].split())
    for words in ("model.width 64,", "batch 10,", "flip.share 0.0,", 'stages [{"until": 0.5, "size": 8'):
        assert words in told
    assert (tmp_path / "model.md").read_text() == card.text


def test_licences_and_authors_are_those_of_the_manifest(run, manifest, tmp_path, capsys):
    _, card = exported(run, tmp_path / "model.safetensors", manifest=(manifest,))
    assert "weight 2: 3 objects of the table below." in card.text
    assert "| 2 | CC-BY-4.0 | Ann | models.example |\n| 1 | CC0-1.0 | Bo | github.com/bo/lamps |" in card.text
    lines = (tmp_path / "model.attributions.tsv").read_text().splitlines()
    assert lines[1:3] == [
        "chair\tCC-BY-4.0\tAnn\thttps://models.example/chair",
        "lamp\tCC0-1.0\tBo\thttps://github.com/bo/lamps/blob/123/lamp.glb",
    ]
    assert "is not told" not in capsys.readouterr().out


def test_objects_that_no_manifest_lists_are_told_of(run, manifest, tmp_path, capsys):
    write_views(tmp_path / "train", "stranger")
    _, card = exported(run, tmp_path / "model.safetensors", manifest=(manifest,))
    assert "3 objects of the table below: whose its other objects are is not recorded here." in card.text
    assert "whose its objects are is not told; give --manifest, or --notes" in capsys.readouterr().out


def test_a_note_tells_of_a_source_without_objects(run, config, tmp_path, capsys):
    folder = config.data.sources[0].folder
    _, card = exported(run, tmp_path / "model.safetensors", notes={folder: "made by training.procedural"})
    assert f"- `{folder}`, weight 2: made by training.procedural." in card.text
    assert "is not told" not in capsys.readouterr().out
    with pytest.raises(ExportError, match="--notes: 'elsewhere' is no source of"):
        exported(run, tmp_path / "model.safetensors", notes={"elsewhere": "x"})


def test_scenes_made_on_the_fly_need_no_note(config, tmp_path, capsys):
    config = changed(config, sources=(Source(folder="procedural:objects"),))
    run = write_run(tmp_path / "run", config)
    _, card = exported(run, tmp_path / "model.safetensors", field_of_view=(28.0, 70.0))
    assert "procedural:objects" in card.text
    assert "made by training.procedural" in card.text
    assert "not told" not in capsys.readouterr().out


def test_textures_from_a_folder_are_somebody_s(config, tmp_path, capsys):
    config = changed(config, sources=(Source(folder="procedural:objects:my/textures"),))
    run = write_run(tmp_path / "run", config)
    _, card = exported(run, tmp_path / "model.safetensors", field_of_view=(28.0, 70.0))
    assert "procedural:objects:my/textures`, weight 1: whose its objects are is not recorded here" in card.text
    assert "whose its objects are is not told; give --manifest, or --notes" in capsys.readouterr().out


def test_the_indexes_of_shards_tell_what_their_objects_are_called(tmp_path):
    pack(write_views(tmp_path / "views", "b", "a"), tmp_path / "shards")
    assert object_names(tmp_path / "shards") == ["a", "b"]
    (tmp_path / "shards" / "00000.json").write_text("{}")
    with pytest.raises(ViewsError, match=r"00000\.json cannot be read"):
        object_names(tmp_path / "shards")


def test_after_a_crash_that_tore_the_manifest_s_last_line_export_goes_on(run, manifest, tmp_path):
    with open(manifest, "a") as file:
        file.write('{"name": "stranger", "lice')
    _, card = exported(run, tmp_path / "model.safetensors", manifest=(manifest,))
    assert "3 objects of the table below." in card.text


def test_a_manifest_that_is_none_is_named_with_its_line(run, manifest, tmp_path):
    manifest.write_text('{"name": "chair"}\n7\n')
    with pytest.raises(ListError, match=r"manifest\.jsonl, line 2 is 7, where a JSON object is wanted"):
        exported(run, tmp_path / "model.safetensors", manifest=(manifest,))
    with pytest.raises(ListError, match="nowhere is not there: give another manifest, or none"):
        exported(run, tmp_path / "model.safetensors", manifest=(tmp_path / "nowhere",))


def test_the_objects_that_tests_use_are_known_by_licence_and_author():
    path = shared("objects", "manifest.json")
    known, entries = read_origins(path), json.loads(path.read_text())
    assert set(known) == {entry["name"] for entry in entries}
    for entry in entries:
        origin = known[entry["name"]]
        assert (origin.licence, origin.author) == (entry["licence"], entry["author"])
        assert origin.place == f"github.com/{entry['repository']}"


def test_a_manifest_of_thousands_of_authors_is_counted():
    many = [
        Origin(
            name=f"{number}", licence="CC-BY-4.0", author=f"author {number}", address=f"https://models.example/{number}"
        )
        for number in range(500)
    ]
    one = [
        Origin(name=f"own {number}", licence="CC0-1.0", author="Eve", address="https://eve.example")
        for number in (1, 2)
    ]
    assert markdown(many + one).splitlines()[2:] == [
        "| 500 | CC-BY-4.0 | 500 authors | models.example |",
        "| 2 | CC0-1.0 | Eve | eve.example |",
    ]


def test_an_author_s_name_breaks_no_table(tmp_path):
    strange = Origin(name="a", licence="CC0-1.0", author="Eve\n\x1b[31m|\tx", address="https://models.example/a")
    assert markdown([strange]).splitlines()[2:] == ["| 1 | CC0-1.0 | Eve [31m/ x | models.example |"]
    assert tab_separated({"a": strange}).splitlines()[1:] == ["a\tCC0-1.0\tEve [31m| x\thttps://models.example/a"]


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
    with pytest.raises(ExportError, match="the weights 'norm.weight' do not fit into float16: export as float32"):
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
    evaluate.evaluate(
        evaluate.Options(
            out=scores, views=tmp_path / "val", model=(str(out),), lpips="none", device="cpu", precision="float32"
        )
    )
    _, card = exported(run, out, precision="float16", evaluation=(scores,))
    assert f"## Scores\n\n### objects\n\n{(scores / 'table.md').read_text().split(chr(10) * 2)[0]}\n" in card.text
    before = out.read_bytes()
    with pytest.raises(ExportError, match="objects is an evaluation of other weights: export without --evaluation"):
        exported(run, out, precision="float32", evaluation=(scores,))
    with pytest.raises(ExportError, match="val holds no evaluation"):
        exported(run, out, evaluation=(tmp_path / "val",))
    assert out.read_bytes() == before


def test_crops_narrow_the_field_of_view(config):
    plain = resolved(config)
    narrowest, widest = measured_field_of_view(plain)
    cropped = measured_field_of_view({**plain, "crops": {"zoom": (1.0, 2.0), "aspect": (0.5, 2.0)}})

    def half(degrees):
        return np.tan(np.radians(degrees / 2))

    assert half(cropped[0]) == pytest.approx(half(narrowest) / 4, rel=1e-3)
    assert cropped[1] == widest


def test_a_field_of_view_that_nobody_tells_is_asked_for(run, config, tmp_path):
    for path in (tmp_path / "train").glob("*.npz"):
        path.unlink()
    with pytest.raises(ExportError, match="has no views.*Or give --field-of-view"):
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
    with pytest.raises(ExportError, match="These weights come from it; its licence holds on: give --licence"):
        exported(run, tmp_path / "model.safetensors")


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
    with pytest.raises(ExportError, match=words):
        exported(run, tmp_path / "model.safetensors")
    assert export.main(export.Options(run=run, out=tmp_path / "model.safetensors")) == 2


def test_a_full_disk_leaves_the_old_file_whole(run, tmp_path):
    """A file size limit stands for the full disk."""
    out = tmp_path / "model.safetensors"
    exported(run, out)
    before = out.read_bytes()
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); from training.export import __main__ as export;"
        f" sys.exit(export.main(export.Options(run=export.Path({str(run)!r}), out=export.Path({str(out)!r}), name='New')))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "the model cannot be written" in done.stderr
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
