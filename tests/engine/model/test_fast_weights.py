"""LaCT: the numbers of the published code for random weights (../shared/lact), and what must hold without any reference."""

import pytest
import torch
from safetensors.torch import load_file

from lvsm_engine.model.checkpoint import build_model, model_from_published
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.model.newton_schulz import orthogonalised
from lvsm_engine.model.rays import rays_for
from tests.engine.model.test_models import sample, small_model
from tests.shared_data import shared

GOLDEN = ("one_head", "two_heads")


def golden(name):
    """The file's tensors by group, and its model in float64."""
    tensors = load_file(shared("lact", "golden", f"{name}.safetensors"))
    groups = {group: {} for group in ("weights", "input", "target", "expect")}
    for path, tensor in tensors.items():
        group, own = path.split("/", 1)
        groups[group][own] = tensor
    return groups, model_from_published(groups["weights"], name).double()


def rays_of(model, cameras, like):
    height, width = like.shape[-2:]
    return rays_for(model.config, cameras["c2w"].to(like), cameras["fxfycxcy"].to(like), height, width)


def inputs_of(model, groups, dtype):
    images = groups["input"]["image"].to(dtype)
    return images, rays_of(model, groups["input"], images), rays_of(model, groups["target"], images)


@pytest.mark.parametrize("name", GOLDEN)
def test_everything_equals_the_published_code_in_float64(name):
    groups, model = golden(name)
    images, input_rays, target_rays = inputs_of(model, groups, torch.float64)
    seen = {}
    model.norm.register_forward_hook(lambda _m, _i, out: seen.setdefault("norm", []).append(out))
    for number, block in enumerate(model.blocks):
        block.register_forward_hook(lambda _m, _i, out, n=number: seen.setdefault(n, []).append(out[0]))
    encoding = model.encode(images, input_rays)
    picture = model.decode(encoding, target_rays)
    exact = {"rtol": 0, "atol": 1e-9}
    expected = groups["expect"]
    for key, name in [("norm", "tokens_after_input_norm"), *((n, f"block_{n}") for n in range(len(model.blocks)))]:
        tokens = torch.cat([part.flatten(1, 2) for part in seen[key]], dim=1)  # inputs, then targets
        torch.testing.assert_close(tokens, expected[name], **exact)
    for number, weights in enumerate(encoding.blocks):
        for ours, theirs in zip(weights, ("w0", "w1", "w2"), strict=True):
            torch.testing.assert_close(ours.flatten(0, 1), expected[f"state_{number}_{theirs}"], **exact)
    torch.testing.assert_close(picture, expected["image_float64"], **exact)
    assert picture.std() > 0.03


@pytest.mark.parametrize("name", GOLDEN)
def test_the_picture_is_the_published_one_with_its_rounding(name):
    """Newton-Schulz in bfloat16 is chaotic in its last digits: the order of photos moves their own picture by a hundredth."""
    groups, model = golden(name)
    model = model.float()
    for block in model.blocks:
        block.fast.iteration_precision = torch.bfloat16
    picture = model(*inputs_of(model, groups, torch.float32))
    torch.testing.assert_close(picture, groups["expect"]["image_as_published"], rtol=0, atol=3e-2)


OPTIONS = {"architecture": "fast_weights", "fast_head_width": 64, "fast_hidden": 96}


@pytest.fixture
def model():
    return small_model(**OPTIONS).double()


@pytest.fixture
def inputs(model):
    return [part.double() for part in sample(model)[:3]]


def largest(first, second):
    return float((first - second).abs().max())


def weights_of(encoding):
    return torch.cat([part.flatten() for weights in encoding.blocks for part in weights])


def test_the_order_of_photos_is_of_no_account(model, inputs):
    images, rays, targets = inputs
    assert largest(model(images, rays, targets), model(images.flip(1), rays.flip(1), targets)) < 1e-12


def test_other_photos_give_another_picture(model, inputs):
    images, rays, targets = inputs
    assert largest(model(images, rays, targets), model(1 - images, rays, targets)) > 1e-2


def test_photos_in_parts_teach_what_they_teach_together(model, inputs):
    images, rays, _ = inputs
    model.tokens_at_once = 10**6
    whole = model.encode(images, rays)
    for tokens_at_once in (1, 32):  # one view at a time, and two
        model.tokens_at_once = tokens_at_once
        assert largest(weights_of(model.encode(images, rays)), weights_of(whole)) < 1e-12


def test_a_scene_is_of_one_size_whatever_the_number_of_photos(model, inputs):
    images, rays, _ = inputs
    sizes = {weights_of(model.encode(images[:, :views], rays[:, :views])).numel() for views in (1, 2, 3)}
    assert len(sizes) == 1


def test_targets_leave_the_scene_as_it_is(model, inputs):
    images, rays, targets = inputs
    encoding = model.encode(images, rays)
    before = weights_of(encoding).clone()
    model.decode(encoding, targets)
    assert torch.equal(weights_of(encoding), before)


def test_columns_keep_their_length_and_the_weights_move(model, inputs):
    images, rays, _ = inputs
    for block, weights in zip(model.blocks, model.encode(images, rays).blocks, strict=True):
        for initial, learned in zip((block.fast.gate, block.fast.down, block.fast.up), weights, strict=True):
            ratio = learned.norm(dim=-2) / initial.norm(dim=-2)
            assert largest(ratio, torch.ones_like(ratio)) < 1e-4
            assert largest(learned, initial.expand_as(learned)) > 1e-2


def test_a_lesson_of_nothing_leaves_the_weights_as_they_are(model):
    fast = model.blocks[0].fast
    nothing = fast.lesson(torch.zeros(1, 5, 128, dtype=torch.float64))
    for initial, learned in zip((fast.gate, fast.down, fast.up), fast.taught(nothing), strict=True):
        torch.testing.assert_close(learned[0], initial, rtol=1e-4, atol=1e-12)


def test_only_the_ratios_of_rates_matter(model, inputs):
    """Rates of 37 times as much are no other lesson, since steps are orthogonalised."""
    fast = model.blocks[0].fast
    lesson = fast.lesson(torch.randn(1, 50, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    louder = type(lesson)(*(37 * part for part in lesson))
    for once, again in zip(fast.taught(lesson), fast.taught(louder), strict=True):
        assert 0 < largest(once, again) < 1e-5


def test_a_lesson_is_the_gradient_of_how_well_answers_fit_their_values(model):
    """At equal rates: minus that of -answer . value, which torch finds by itself."""
    fast = model.blocks[0].fast
    torch.nn.init.zeros_(fast.to_rates.weight)
    x = torch.randn(1, 20, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    k, v = fast._by_heads(torch.nn.functional.silu(fast.to_qkv(x)[..., 128:]), 2)
    k = k / (k.norm(dim=-1, keepdim=True) + 1e-5)
    lesson = fast.lesson(x)
    initial = type(lesson)(*(part[None].clone().requires_grad_() for part in (fast.gate, fast.down, fast.up)))
    (0.01 * initial.answers(k) * v).sum().backward()
    for part, step in zip(initial, lesson, strict=True):
        torch.testing.assert_close(step, part.grad, rtol=1e-9, atol=1e-12)


def test_singular_values_come_near_1():
    matrices = torch.randn(2, 3, 40, 24, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    values = torch.linalg.svdvals(orthogonalised(matrices))
    assert values.min() > 0.6 and values.max() < 1.25


def test_where_the_world_begins_matters_to_it(model, inputs):
    """Unlike Pluecker rays alone, its rays tell origins: a scene moved is another scene."""
    images, rays, targets = inputs
    moved = [part.clone() for part in (rays, targets)]
    for part in moved:
        part[:, :, :3] += 0.5
        part[:, :, 6:] = torch.linalg.cross(part[:, :, :3], part[:, :, 3:6], dim=2)
    assert largest(model(images, rays, targets), model(images, *moved)) > 1e-2


@pytest.mark.parametrize(("hidden", "millions"), [(1536, 312.298056), (3072, 397.232712)])
def test_the_published_shapes_have_the_published_numbers_of_parameters(hidden, millions):
    config = ModelConfig(architecture="fast_weights", fast_head_width=768, fast_hidden=hidden)
    with torch.device("meta"):
        model = build_model(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == round(millions * 1e6)
    assert len(model.state_dict()) == 412


def test_bfloat16_multiplies_in_bfloat16_and_keeps_the_scene_in_it():
    model = small_model(**OPTIONS)
    images, rays, targets = sample(model)[:3]
    exact = model(images, rays, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        encoding = model.encode(images, rays)
        fast = model.decode(encoding, targets)
    assert {part.dtype for weights in encoding.blocks for part in weights} == {torch.bfloat16}
    assert 0 < (fast - exact).abs().mean() < 0.02
