"""Models on disk: round trips, the published form, and every way a file can be wrong."""

import json
import os
import pickle
import time
from dataclasses import asdict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lvsm_engine.errors import CHOOSE_MODEL, CheckpointError
from lvsm_engine.model import checkpoint
from lvsm_engine.model.checkpoint import (
    ModelCard,
    build_model,
    export_published,
    load_checkpoint,
    load_model,
    model_from_published,
    published_name,
    read_card,
    save_checkpoint,
)
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.model.tokens import to_images
from lvsm_engine.scene.frame import SceneFrame
from tests.full_disk import no_file_larger_than
from tests.shared_data import shared

CARD = ModelCard(
    name="tiny",
    scene_frame=SceneFrame("subject", 2.0),
    resolution=64,
    input_views=(1, 8),
    field_of_view=(30.0, 60.0),
    background=(1.0, 1.0, 1.0),
    licence="GPL-3.0-or-later",
    text="# Tiny",
)
CONFIGS = {
    "decoder_only": ModelConfig(width=64, blocks=2),
    "no_qk_norm": ModelConfig(width=128, blocks=1, qk_norm=False),
    "encoder_decoder": ModelConfig(architecture="encoder_decoder", width=64, blocks=2, encoder_blocks=1, latents=5),
}
OURS = ModelConfig(width=64, blocks=1, inputs_first=True, camera_encoding="proxy_point", predicted_depth=True)


def published_tensors(config):
    model = build_model(config)
    return {published_name(name, config): tensor for name, tensor in model.state_dict().items()}


def write_pt(path, content):
    torch.save(content, path)
    return path


@pytest.mark.parametrize("config", [*CONFIGS.values(), OURS], ids=[*CONFIGS, "ours"])
def test_our_file_brings_back_weights_configuration_and_card(tmp_path, config):
    model = build_model(config)
    path = tmp_path / "Jos\u00e9 \u0434 a b.safetensors"
    save_checkpoint(path, model, CARD)
    loaded, card = load_checkpoint(path)
    assert card == CARD
    assert loaded.config == config
    assert read_card(path) == (config, CARD)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_published_form_and_ours_turn_into_each_other(tmp_path, name):
    model = build_model(CONFIGS[name])
    export_published(tmp_path / "model.pt", model)
    loaded = load_model(tmp_path / "model.pt")
    assert loaded.config == CONFIGS[name]
    for key, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor), key


@pytest.mark.parametrize("architecture", ["decoder_only", "encoder_decoder"])
def test_the_published_models_names_and_shapes_are_ours(architecture):
    with open(shared("reference", f"checkpoint_tensors_{architecture}.json")) as file:
        listed = json.load(file)["tensors"]
    tensors = {name: torch.empty(shape, device="meta") for name, shape in listed.items()}
    config = checkpoint._infer_config(tensors, "published")
    with torch.device("meta"):
        ours = {published_name(name, config): list(t.shape) for name, t in build_model(config).state_dict().items()}
    assert ours == listed
    assert config.width == 768
    assert config.blocks == (24 if architecture == "decoder_only" else 12)


def test_prefixes_and_what_training_left_are_dropped(tmp_path):
    config = CONFIGS["encoder_decoder"]
    tensors = {f"module._orig_mod.{name}": tensor for name, tensor in published_tensors(config).items()}
    tensors["module.loss_computer.perceptual_loss_module.vgg.features.0.weight"] = torch.zeros(3)
    content = {"model": tensors, "optimizer": {"state": {0: torch.zeros(2)}}, "lr_scheduler": {"last": 3}}
    assert load_model(write_pt(tmp_path / "training.pt", content)).config == config
    assert load_model(write_pt(tmp_path / "flat.pt", tensors)).config == config


def test_a_missing_an_extra_and_a_misshapen_tensor_are_named(tmp_path):
    tensors = published_tensors(CONFIGS["decoder_only"])
    without = {name: t for name, t in tensors.items() if name != "transformer_blocks.1.attn.fc.weight"}
    with pytest.raises(CheckpointError, match=r"'blocks.1.attention.to_out.weight' is missing"):
        load_model(write_pt(tmp_path / "a.pt", without))
    with pytest.raises(CheckpointError, match="'strange.weight' belongs to no LVSM model"):
        load_model(write_pt(tmp_path / "b.pt", {**tensors, "strange.weight": torch.zeros(1)}))
    misshapen = {**tensors, "transformer_input_layernorm.weight": torch.ones(65)}
    with pytest.raises(CheckpointError, match=r"'norm.weight' has the shape \(65,\) instead of \(64,\)"):
        load_model(write_pt(tmp_path / "c.pt", misshapen))


class RunsCode:
    def __reduce__(self):
        return (os.system, ("touch code_was_run",))


def test_a_pickle_with_code_in_it_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pt(tmp_path / "evil.pt", {"model": {"image_tokenizer.1.weight": RunsCode()}})
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(RunsCode(), protocol=2))
    for name in ("evil.pt", "bare.pt"):
        with pytest.raises(CheckpointError, match=r"a pickle with code in it|cut short or damaged") as caught:
            load_model(tmp_path / name)
        assert caught.value.remedy == CHOOSE_MODEL
    assert not (tmp_path / "code_was_run").exists()


def test_torch_before_2_10_refuses_pickles_in_a_sentence(tmp_path, monkeypatch):
    path = write_pt(tmp_path / "model.pt", {"model": published_tensors(CONFIGS["decoder_only"])})
    monkeypatch.setattr(torch, "__version__", "2.9.1+cu128")
    with pytest.raises(CheckpointError, match=r"only by torch 2\.10 or newer, and this is torch 2\.9\.1"):
        load_model(path)


@pytest.mark.parametrize("kind", ["model.safetensors", "model.pt"])
@pytest.mark.parametrize("kept", [0, 5, 100, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, kind, kept):
    model = build_model(CONFIGS["decoder_only"])
    whole = tmp_path / kind
    if kind.endswith("pt"):
        export_published(whole, model)
    else:
        save_checkpoint(whole, model, CARD)
    content = whole.read_bytes()
    whole.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(CheckpointError, match="cut short or damaged|or it is damaged"):
        load_model(whole)


def test_other_files_are_refused_in_a_sentence(tmp_path):
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="not one of an LVSM model"):
        load_model(tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="no tensor 'image_tokenizer.1.weight'"):
        load_model(write_pt(tmp_path / "resnet.pt", {"conv1.weight": torch.zeros(3)}))
    (tmp_path / "notes.txt").write_text("not a model, but text of some length\n")
    with pytest.raises(CheckpointError, match="neither a safetensors file nor a published"):
        load_model(tmp_path / "notes.txt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_model(tmp_path / "missing.safetensors")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_model(tmp_path)


def test_damaged_metadata_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, build_model(CONFIGS["decoder_only"]), CARD)
    tensors = load_file(path)
    for metadata, words in (
        ("{", "metadata are damaged"),
        ('{"format": 99}', "format 99 is newer"),
        ('{"format": 1, "config": {"width": "wide"}, "card": {}}', "metadata are damaged"),
    ):
        save_file(tensors, path, metadata={"lvsm": metadata})
        with pytest.raises(CheckpointError, match=words):
            load_model(path)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("config", {"blocks": 1.5}),
        ("config", {"width": 64.0}),
        ("config", {"blocks": 10**6}),
        ("config", {"blocks": True}),
        ("config", {"qk_norm": "no"}),
        ("config", {"rays_in_tokens": "no"}),
        ("config", {"latents": -1}),
        ("card", {"resolution": "big"}),
        ("card", {"resolution": 0}),
        ("card", {"input_views": [1]}),
        ("card", {"input_views": [4, 1]}),
        ("card", {"field_of_view": [50, 190]}),
        ("card", {"input_keep_ratio": 0}),
        ("card", {"input_keep_ratio": 1.5}),
        ("card", {"input_keep_ratio": True}),
        ("card", {"field_of_view": ["wide", "wider"]}),
        ("card", {"background": [1.0, 1.0]}),
        ("card", {"background": [float("nan"), 0, 0]}),
        ("card", {"name": None}),
        ("card", {"scene_frame": {"kind": "mean_pose", "scale": "big"}}),
    ],
    ids=str,
)
def test_metadata_of_a_wrong_type_or_size_are_refused_by_name(tmp_path, part, change):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, build_model(CONFIGS["decoder_only"]), CARD)
    metadata = {"format": 1, "config": asdict(CONFIGS["decoder_only"]), "card": asdict(CARD)}
    metadata[part] |= change
    save_file(load_file(path), path, metadata={"lvsm": json.dumps(metadata)})
    words = "metadata are damaged" if "scene_frame" in change else f"metadata are damaged .{next(iter(change))} is "
    with pytest.raises(CheckpointError, match=words):
        load_model(path)


@pytest.mark.parametrize("index", ["3000", "1000000000", "9" * 5000, "two"])
def test_a_number_in_a_name_makes_no_endless_network(tmp_path, index):
    tensors = published_tensors(CONFIGS["decoder_only"])
    tensors[f"transformer_blocks.{index}.attn.fc.weight"] = torch.zeros(64, 64)
    began = time.monotonic()
    with pytest.raises(
        CheckpointError, match=f"its 'transformer_blocks.{index[:40]}' is one of 3 blocks, not numbered"
    ):
        load_model(write_pt(tmp_path / "a.pt", tensors))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("letters", [b"PK", b"\x80\x02"])
def test_our_file_is_ours_whatever_the_length_of_its_header(tmp_path, letters):
    """The length is written first, and may spell what a zip or a pickle begins with."""
    path, wanted = tmp_path / "model.safetensors", int.from_bytes(letters, "little")
    save_checkpoint(path, build_model(CONFIGS["decoder_only"]), CARD)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].rstrip()
    wanted += 2**16 * (wanted < len(header))
    path.write_bytes(wanted.to_bytes(8, "little") + header.ljust(wanted) + content[8 + length :])
    assert path.read_bytes()[:2] == letters
    assert load_checkpoint(path)[1] == CARD


def test_a_file_for_another_architecture_is_refused(tmp_path):
    decoder = build_model(CONFIGS["decoder_only"])
    save_checkpoint(tmp_path / "a.safetensors", decoder, CARD)
    metadata = {
        "format": 1,
        "config": {"architecture": "encoder_decoder", "width": 64, "blocks": 2, "encoder_blocks": 1, "latents": 5},
    }
    card = {"name": "x", "scene_frame": {"kind": "identity", "scale": 1.0}, "resolution": 64, "input_views": [1, 2]}
    card |= {"field_of_view": [50, 50], "background": None, "licence": ""}
    save_file(
        load_file(tmp_path / "a.safetensors"),
        tmp_path / "b.safetensors",
        metadata={"lvsm": json.dumps({**metadata, "card": card})},
    )
    with pytest.raises(CheckpointError, match="'latents' is missing"):
        load_model(tmp_path / "b.safetensors")


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="the model cannot be written"):
        save_checkpoint(tmp_path / "missing_folder" / "model.safetensors", build_model(CONFIGS["decoder_only"]), CARD)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["model.safetensors", "model.pt"])
def test_a_full_disk_is_told_and_leaves_the_old_file_alone(tmp_path, kind):
    """A file size limit stands for the full disk: the weights do not fit."""
    model, old = build_model(CONFIGS["decoder_only"]), tmp_path / kind
    old.write_bytes(b"what stood there")
    with no_file_larger_than(100_000), pytest.raises(CheckpointError, match=f"{kind}: the model cannot be written"):
        if kind.endswith("pt"):
            export_published(old, model)
        else:
            save_checkpoint(old, model, CARD)
    assert old.read_bytes() == b"what stood there"
    assert os.listdir(tmp_path) == [kind]


@pytest.mark.parametrize("config", [OURS, ModelConfig(width=64, blocks=1, patch_size=16)])
def test_a_model_with_our_options_has_no_published_form(tmp_path, config):
    with pytest.raises(CheckpointError, match="has no published form"):
        export_published(tmp_path / "model.pt", build_model(config))


def test_models_from_published_tensors_infer_their_head_width():
    for config in CONFIGS.values():
        assert model_from_published(published_tensors(config)).config == config


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"patch_overlap": 4, "input_density": 2, "target_density": 2}, (16, 4, 4)),
        ({"patch_overlap": 4, "input_density": 1, "target_density": 1}, (16, 8, 8)),
        ({"patch_overlap": 0, "input_density": 2, "target_density": 1}, (8, 4, 8)),
    ],
)
def test_a_file_of_densities_and_overlaps_is_read_as_one_of_strides(tmp_path, old, new):
    """Logits were the sum of a pixel's tokens, over the density squared: the head's weights make up for it."""
    config = ModelConfig(
        width=64,
        blocks=1,
        inputs_first=True,
        camera_encoding="proxy_point",
        rotate_values=True,
        **dict(zip(("patch_size", "input_stride", "target_stride"), new, strict=True)),
    )
    model, path = build_model(config), tmp_path / "old.safetensors"
    entry = {name: getattr(config, name) for name in ("width", "blocks", "inputs_first", "camera_encoding")}
    entry |= {"patch_size": 8, "turned_values": True, **old}
    card = asdict(CARD)
    card["seen_inputs"] = card.pop("input_keep_ratio") / 2
    metadata = {"format": 3, "config": entry, "card": card}
    save_file(model.state_dict(), path, metadata={"lvsm": json.dumps(metadata)})
    read, read_as = load_checkpoint(path)
    assert read.config == config and read_as.input_keep_ratio == CARD.input_keep_ratio / 2
    tokens, rays = torch.randn(1, 2, (32 // new[2]) ** 2, 64), torch.randn(1, 2, 6, 32, 32)
    summed = to_images(model.to_pixels(tokens), config.patch_size, config.target_stride, 32, 32)
    expected = (summed / old["target_density"] ** 2).sigmoid()
    torch.testing.assert_close(read.pixels(tokens, rays), expected, rtol=0, atol=1e-6)


def test_an_option_that_is_not_known_was_written_by_a_newer_version(tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, build_model(OURS), CARD)
    with safe_open(path, framework="pt") as file:
        metadata = json.loads(file.metadata()["lvsm"])
    for part in ("config", "card"):
        newer = {**metadata, part: {**metadata[part], "tokens_of_tomorrow": 3}}
        save_file(load_file(path), path, metadata={"lvsm": json.dumps(newer)})
        with pytest.raises(
            CheckpointError, match="newer version, which knows 'tokens_of_tomorrow'; update the program"
        ):
            load_model(path)


def test_a_file_tells_of_its_shape_only_what_differs_from_the_published(tmp_path):
    """So a program that does not know a new option reads all files that do without it."""
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, build_model(ModelConfig(width=64, blocks=1)), CARD)
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["lvsm"])["config"] == {"width": 64, "blocks": 1}
    assert load_model(path).config == ModelConfig(width=64, blocks=1)
