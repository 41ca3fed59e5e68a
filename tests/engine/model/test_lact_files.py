"""Published LaCT files: what names and shapes tell, and every way such a file can be wrong."""

import json

import pytest
import torch
from safetensors import safe_open

from lvsm_engine.cli.convert import Convert
from lvsm_engine.errors import CheckpointError
from lvsm_engine.model.checkpoint import (
    build_model,
    export_published,
    load_checkpoint,
    published_name,
    read_card,
    save_checkpoint,
)
from lvsm_engine.model.config import ModelConfig, model_size
from lvsm_engine.model.published import lact
from lvsm_engine.scene.frame import SceneFrame
from tests.synthetic import CARD

CONFIG = ModelConfig(architecture="fast_weights", width=64, head_width=16, blocks=2, fast_head_width=32, fast_hidden=48)
PUBLISHED = ModelConfig(architecture="fast_weights", fast_head_width=768, fast_hidden=1536)
# Of the published shape with fast weights of 1536, as its tensors are called and shaped.
OUTER_SHAPES = {
    "input_linear.weight": (768, 768),
    "input_layernorm.weight": (768,),
    "image_token_decoder.0.weight": (768,),
    "image_token_decoder.1.weight": (192, 768),
}
BLOCK_SHAPES = {
    "0.ln.weight": (768,),
    "0.f.to_qkv.weight": (2304, 768),
    "0.f.c_proj.weight": (768, 768),
    "0.f.q_norm.weight": (64,),
    "0.f.k_norm.weight": (64,),
    "1.ln.weight": (768,),
    "1.f.w0": (1, 768, 1536),
    "1.f.w1": (1, 1536, 768),
    "1.f.w2": (1, 768, 1536),
    "1.f.to_qkv.weight": (2304, 768),
    "1.f.c_proj.weight": (768, 768),
    "1.f.lr_fc.weight": (3, 768),
    "1.f.lr_fc.bias": (3,),
    "1.f.o_norm.weight": (768,),
    "2.ln.weight": (768,),
    "2.f.c_fc.weight": (3072, 768),
    "2.f.c_proj.weight": (768, 3072),
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model(CONFIG)


@pytest.fixture
def file(tmp_path, model):
    path = tmp_path / "obj_res64.pt"
    export_published(path, model)
    return path


def tensors_of(model):
    return {published_name(name, model.config): tensor for name, tensor in model.state_dict().items()}


def written(path, tensors):
    torch.save({"model": tensors}, path)
    return path


def test_the_published_models_names_and_shapes_are_ours():
    expected = OUTER_SHAPES | {
        f"blocks.{block}.module_list.{name}": shape for block in range(24) for name, shape in BLOCK_SHAPES.items()
    }
    with torch.device("meta"):
        tensors = tensors_of(build_model(PUBLISHED))
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == expected
    assert lact.infer_config(tensors) == PUBLISHED


def test_a_published_file_is_read_and_written_as_it_is(file, model):
    loaded, card = load_checkpoint(file)
    assert loaded.config == CONFIG
    assert read_card(file) == (CONFIG, card)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_what_wrappers_put_into_names_is_dropped(tmp_path, model):
    wrapped = {
        "module." + name.replace("module_list", "_checkpoint_wrapped_module.module_list"): tensor
        for name, tensor in tensors_of(model).items()
    }
    wrapped = {name.replace("module.blocks", "module._orig_mod.blocks"): tensor for name, tensor in wrapped.items()}
    path = tmp_path / "scene_res64x128.pt"
    torch.save({"model": wrapped, "optimizer": {"state": {}}, "step": 3}, path)
    assert load_checkpoint(path)[0].config == CONFIG
    assert read_card(path)[0] == CONFIG


@pytest.mark.parametrize(
    ("name", "size", "views"),
    [
        ("obj_res256.pt", (256, 256), (8, 20)),
        ("obj_res1024.pt", (1024, 1024), (8, 20)),
        ("scene_res128x128.pt", (128, 128), (32, 32)),
        ("scene_res72x128.pt", (128, 72), (64, 64)),
        ("scene_res144x256.pt", (256, 144), (64, 64)),
        ("scene_res288x512.pt", (512, 288), (64, 64)),
        ("my copy of scene_res536x960 (1).pt", (960, 536), (64, 64)),
    ],
)
def test_a_files_name_tells_for_which_pictures_it_is(name, size, views):
    card = lact.card_of(CONFIG, name)
    width, height = size
    assert model_size(card.resolution, 8, card.aspect) == size
    assert card.aspect == width / height and card.input_views == views
    if "obj" in name:
        assert card.scene_frame == SceneFrame("subject_size", 0.9) and card.background == (1.0, 1.0, 1.0)
    else:
        assert card.scene_frame == SceneFrame("mean_pose", 1.0) and card.background is None


def test_a_file_whose_name_does_not_tell_is_refused_with_the_way_out(tmp_path, model, file, capsys):
    renamed = file.rename(tmp_path / "downloaded.pt")
    with pytest.raises(
        CheckpointError, match=r"its name does not tell .* obj_res512.pt .* 'lvsm convert --published-as'"
    ):
        load_checkpoint(renamed)
    out = tmp_path / "ours.safetensors"
    assert Convert(renamed, out, published_as="scene_res64x64.pt").run() == 0
    assert "fast_weights" in capsys.readouterr().out
    assert read_card(out)[1].name == "scene_res64x64"


@pytest.mark.parametrize(
    ("config", "name", "words"),
    [
        (CONFIG, "obj_res100.pt", "pictures of 100x100 pixels, and with its patches both must be multiples of 8"),
        (CONFIG, "scene_res0x64.pt", "pictures of 64x0 pixels"),
        (CONFIG, "obj_res99968.pt", "resolution is 99968"),
        (PUBLISHED, "scene_res536x960.pt", "960x536 pixels, and its fast weights are those of a file for squares"),
    ],
)
def test_a_name_of_another_size_is_refused(config, name, words):
    with pytest.raises(ValueError, match=words):
        lact.card_of(config, name)


def test_a_file_for_another_size_is_refused_in_a_sentence(tmp_path, model):
    with pytest.raises(
        CheckpointError, match=r"obj_res100\.pt: the model cannot be loaded: its name tells of pictures"
    ):
        load_checkpoint(written(tmp_path / "obj_res100.pt", tensors_of(model)))


def test_a_missing_an_extra_and_a_misshapen_tensor_are_named(tmp_path, model):
    tensors, path = tensors_of(model), tmp_path / "obj_res64.pt"
    without = {name: t for name, t in tensors.items() if name != "blocks.1.module_list.1.f.w1"}
    with pytest.raises(CheckpointError, match=r"'blocks.1.fast.down' is missing"):
        load_checkpoint(written(path, without))
    with pytest.raises(CheckpointError, match="'strange.weight' belongs to no LVSM model"):
        load_checkpoint(written(path, {**tensors, "strange.weight": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=r"'norm.weight' has the shape \(65,\) instead of \(64,\)"):
        load_checkpoint(written(path, {**tensors, "input_layernorm.weight": torch.ones(65)}))
    with pytest.raises(CheckpointError, match=r"its tensor 'blocks.0.module_list.1.f.w0' has the shape \(64, 64\)"):
        load_checkpoint(written(path, {**tensors, lact.MARK: torch.zeros(64, 64)}))
    with pytest.raises(CheckpointError, match="one of 3 blocks, not numbered from 0 on"):
        load_checkpoint(written(path, {**tensors, "blocks.7.module_list.1.f.w1": torch.zeros(1)}))


def test_a_file_of_another_family_with_fast_weights_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no tensor 'input_linear.weight', so it is not a published LaCT model"):
        load_checkpoint(written(tmp_path / "obj_res64.pt", {lact.MARK: torch.zeros(1, 64, 128)}))


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_half_a_file_is_refused(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        load_checkpoint(file)


def test_bfloat16_halves_a_converted_file(file, tmp_path, model):
    sizes = {}
    for precision in ("float32", "bfloat16"):
        out = tmp_path / f"{precision}.safetensors"
        Convert(file, out, precision=precision).run()
        sizes[precision] = out.stat().st_size
        loaded, card = load_checkpoint(out)
        assert (loaded.config, card) == (CONFIG, load_checkpoint(file)[1])
        for name, tensor in model.state_dict().items():
            torch.testing.assert_close(
                loaded.state_dict()[name], tensor, rtol=0 if precision == "float32" else 4e-3, atol=0
            )
    assert sizes["bfloat16"] < 0.6 * sizes["float32"]


def test_a_card_is_written_without_what_an_older_program_does_not_know_and_need_not(tmp_path, model):
    save_checkpoint(tmp_path / "model.safetensors", model, CARD)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert "aspect" not in json.loads(file.metadata()["lvsm"])["card"]
