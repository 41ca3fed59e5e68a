"""The published implementation's numbers (../shared/reference), reproduced in float32 to 1e-5."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from lvsm_engine.model.checkpoint import build_model, model_from_published, published_name
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.model.rays import plucker_rays
from lvsm_engine.model.tokens import to_images, to_patches
from lvsm_engine.scene.frame import mean_pose_frame
from tests.shared_data import shared

TOLERANCE = {"rtol": 0, "atol": 1e-5}
CASES = (
    "decoder_only_32x32",
    "decoder_only_40x32",
    "decoder_only_1in_3tgt",
    "decoder_only_target_has_input",
    "decoder_only_no_qknorm",
    "encoder_decoder_32x32",
    "encoder_decoder_40x32",
    "encoder_decoder_5in",
)


def load_case(name):
    path = shared("reference", f"{name}.safetensors")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    model = model_from_published(load_file(shared("reference", metadata["weights"])))
    return load_file(path), metadata, model


def inputs_of(case, metadata):
    count = int(metadata["inputs"])
    height, width = case["image"].shape[-2:]
    rays = plucker_rays(case["c2w"], case["fxfycxcy"], height, width)
    target_intrinsics = target_intrinsics_of(case)
    target_rays = plucker_rays(case["target.c2w"], target_intrinsics, height, width)
    return case["image"][:, :count], rays[:, :count], target_rays


def target_intrinsics_of(case):
    """The intrinsics of each target: of the view whose pose it has (targets may be drawn from all views)."""
    same_pose = (case["target.c2w"][:, :, None] == case["c2w"][:, None]).all(-1).all(-1)  # (B, T, V)
    return torch.stack([case["fxfycxcy"][b, same_pose[b].int().argmax(-1)] for b in range(len(same_pose))])


@pytest.mark.parametrize("name", CASES)
def test_images_equal_the_published_implementation(name):
    case, metadata, model = load_case(name)
    with torch.no_grad():
        images = model(*inputs_of(case, metadata))
    torch.testing.assert_close(images, case["render"], **TOLERANCE)


@pytest.mark.parametrize("name", ["decoder_only_32x32", "encoder_decoder_40x32"])
def test_tokens_equal_the_published_implementation(name):
    case, metadata, model = load_case(name)
    images, input_rays, target_rays = inputs_of(case, metadata)
    torch.testing.assert_close(torch.cat([2 * images - 1, input_rays], 2), case["posed_input"], **TOLERANCE)
    torch.testing.assert_close(target_rays, case["posed_target"], **TOLERANCE)
    inputs = model.input_tokens(images, input_rays)
    torch.testing.assert_close(inputs.flatten(0, 1), case["tokens.image_tokenizer_out"].flatten(0, 1), **TOLERANCE)
    targets = model.target_tokens(target_rays)
    torch.testing.assert_close(targets.flatten(0, 1), case["tokens.target_pose_tokenizer_out"], **TOLERANCE)


@pytest.mark.parametrize(("name", "blocks"), [("decoder_only_32x32", "blocks"), ("encoder_decoder_32x32", "encoder")])
def test_the_first_block_equals_the_published_implementation(name, blocks):
    case, metadata, model = load_case(name)
    seen = {}
    first = getattr(model, blocks)[0]
    parts = {"norm1": first.norm1, "mlp": first.mlp, "q_norm": first.attention.q_norm, "k_norm": first.attention.k_norm}
    for key, module in parts.items():
        module.register_forward_hook(lambda _m, _i, out, key=key: seen.__setitem__(key, out))
    first.attention.register_forward_hook(lambda _m, _i, out: seen.__setitem__("attn", out[0]))
    with torch.no_grad():
        model(*inputs_of(case, metadata))
    for key, value in seen.items():
        expected = case[f"first_block.{key}"]
        torch.testing.assert_close(value.reshape(expected.shape), expected, **TOLERANCE)


@pytest.mark.parametrize("name", ["decoder_only_32x32", "encoder_decoder_32x32"])
def test_gradients_equal_the_published_implementation(name):
    case, metadata, model = load_case(name)
    count, targets = int(metadata["inputs"]), int(metadata["targets"])
    truth = case["image"][:, count : count + targets]
    model.requires_grad_(True)
    loss = (model(*inputs_of(case, metadata)) - truth).square().mean()
    torch.testing.assert_close(loss, case["loss.l2"][0], rtol=1e-5, atol=0)
    loss.backward()
    checked = 0
    for ours, parameter in model.named_parameters():
        expected = case[f"grad.{published_name(ours, model.config)}"]
        error = (parameter.grad - expected).abs().max() / expected.abs().max()
        assert error < 1e-4, f"{ours}: {error:.2g}"
        checked += 1
    assert checked == sum(key.startswith("grad.") for key in case)


def test_rays_equal_the_published_implementation():
    arrays = load_file(shared("reference", "rays.safetensors"))
    cases = {key.rsplit(".", 1)[0] for key in arrays}
    assert cases
    for name in cases:
        expected = arrays[f"{name}.plucker"]
        rays = plucker_rays(arrays[f"{name}.c2w"], arrays[f"{name}.fxfycxcy"], *expected.shape[-2:])
        torch.testing.assert_close(rays, expected, **TOLERANCE)


def test_patch_order_equals_the_published_implementation():
    arrays = load_file(shared("reference", "patch_order.safetensors"))
    patches = to_patches(arrays["image"], 2, 2)
    torch.testing.assert_close(patches[0], arrays["tokens"])
    torch.testing.assert_close(to_images(patches, 2, 2, *arrays["image"].shape[-2:]), arrays["image"])


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("random5", 1.35),
        ("two", 1.35),
        ("forward6", 1.35),
        ("forward6_scale1", 1.0),
        ("forward6_scale2", 2.0),
        ("forward6_times1000", 1.35),
    ],
)
def test_pose_normalisation_equals_the_published_implementation(name, factor):
    arrays = load_file(shared("reference", "pose_normalisation.safetensors"))
    framed = mean_pose_frame(arrays[f"{name}.in"].numpy(), scale_factor=factor)
    torch.testing.assert_close(torch.from_numpy(framed).float(), arrays[f"{name}.out"], **TOLERANCE)


@pytest.mark.parametrize("architecture", ["decoder_only", "encoder_decoder"])
def test_initial_weights_have_the_published_statistics(architecture):
    with open(shared("reference", "init_statistics.json")) as file:
        statistics = json.load(file)[f"LVSM_scene_{architecture}"]
    config = (
        ModelConfig()
        if architecture == "decoder_only"
        else ModelConfig(architecture=architecture, blocks=12, encoder_blocks=12, latents=3072)
    )
    torch.manual_seed(0)
    model = build_model(config)
    for ours, parameter in model.named_parameters():
        std, mean = statistics["std"][published_name(ours, config)]
        assert parameter.std().item() == pytest.approx(std, rel=0.02, abs=1e-6), ours
        assert parameter.mean().item() == pytest.approx(mean, abs=5e-4), ours
