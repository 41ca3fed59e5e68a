"""Our own models: masks, caches and camera encodings, on small random networks."""

import itertools

import pytest
import torch

from lvsm_engine.model.camera_encoding import FREQUENCIES, encode_cameras
from lvsm_engine.model.checkpoint import build_model
from lvsm_engine.model.config import CAMERA_ENCODINGS, ModelConfig
from lvsm_engine.model.rays import plucker_rays, rays_for, token_rays, world_to_image
from lvsm_engine.model.tokens import to_images, to_patches
from lvsm_engine.model.transformer import KeysValues, attention

B, V, T, SIZE = 2, 3, 2, 32


def look_at_cameras(count, generator, distance=2.0):
    """Cameras (count, 4, 4) at random places around the origin, looking at it; OpenCV axes."""
    position = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator, dtype=torch.float64), dim=-1)
    forward = -position
    right = torch.nn.functional.normalize(
        torch.linalg.cross(forward, torch.randn(count, 3, generator=generator).double())
    )
    down = torch.linalg.cross(forward, right)
    poses = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    poses[:, :3] = torch.stack([right, down, forward, distance * position], dim=-1)
    return poses


def sample(model=None, seed=0, size=SIZE):
    """Images, rays as the model wants them (None: Pluecker rays), poses and lenses."""
    generator = torch.Generator().manual_seed(seed)
    poses = look_at_cameras(B * (V + T), generator).reshape(B, V + T, 4, 4)
    fxfycxcy = torch.tensor([1.1 * size, 1.05 * size, 0.5 * size, 0.48 * size]).double().expand(B, V + T, 4)
    config = ModelConfig() if model is None else model.config
    rays = rays_for(config, poses, fxfycxcy, size, size).float()
    images = torch.rand(B, V, 3, size, size, generator=generator)
    return images, rays[:, :V], rays[:, V:], poses, fxfycxcy


def small_model(**options):
    torch.manual_seed(1)
    model = build_model(ModelConfig(**{"width": 128, "blocks": 3, **options}))
    for parameter in model.parameters():  # so that every path moves the picture
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=1.2 / parameter.shape[1] ** 0.5)
    return model.eval().requires_grad_(False)


def masked_twin(model, images, input_rays, target_rays):
    """The mask 'inputs first' as one plain sequence [inputs; all targets] with a matrix of forbidden pairs."""
    tokens = torch.cat([model.input_tokens(images, input_rays), model.target_tokens(target_rays).flatten(1, 2)], dim=1)
    n = (input_rays.shape[-1] // model.config.patch_size) ** 2
    view = torch.arange(V + T).repeat_interleave(n)
    allowed = (view[None] < V) | (view[None] == view[:, None])  # (query, key)
    x = model.norm(tokens)
    cameras = model._encode_cameras(torch.cat([input_rays, target_rays], dim=1), 8)
    for block in model.blocks:
        normed = block.norm1(x)
        encoding = cameras
        if block.to_depth is not None:
            encoding = cameras.moved((0.8 * block.to_depth(normed).tanh()).reshape(B, V + T, n, -1))
        q, k, v = block.attention.to_qkv(normed).unflatten(-1, (3, model.config.heads, -1)).unbind(2)
        q, k = block.attention.q_norm(q), block.attention.k_norm(k)
        if encoding is not None:
            q, k, v = (
                turn(part.unflatten(1, (V + T, n))).flatten(1, 2)
                for turn, part in ((encoding.queries, q), (encoding.keys, k), (encoding.values, v))
            )
        logits = torch.einsum("bqhd,bkhd->bhqk", q, k) / model.config.head_width**0.5
        weights = logits.masked_fill(~allowed, float("-inf")).softmax(-1)
        out = torch.einsum("bhqk,bkhd->bqhd", weights, v)
        if encoding is not None:
            out = encoding.outputs(out.unflatten(1, (V + T, n))).flatten(1, 2)
        x = x + block.attention.to_out(out.flatten(2))
        x = x + block.mlp(block.norm2(x))
    return model.pixels(x[:, V * n :].unflatten(1, (T, n)), target_rays)


@pytest.mark.parametrize(
    "options",
    [
        *({"camera_encoding": encoding} for encoding in CAMERA_ENCODINGS),
        {"camera_encoding": "proxy_point", "predicted_depth": True},
        {"camera_encoding": "proxy_point", "predicted_depth": True, "rotate_values": True},
    ],
)
def test_the_cached_mask_is_the_same_function_as_one_masked_sequence(options):
    model = small_model(inputs_first=True, **options)
    images, input_rays, target_rays, _, _ = sample()
    expected = masked_twin(model, images, input_rays, target_rays)
    torch.testing.assert_close(model(images, input_rays, target_rays), expected, rtol=0, atol=2e-5)
    assert expected.std() > 0.05


MODELS = {
    "full": {},
    "inputs_first": {"inputs_first": True},
    "prope": {"camera_encoding": "prope"},
    "proxy_point": {"inputs_first": True, "camera_encoding": "proxy_point", "predicted_depth": True},
    "dense": {"inputs_first": True, "camera_encoding": "proxy_point", "predicted_depth": True, "input_stride": 4},
    "dense_targets": {"inputs_first": True, "camera_encoding": "proxy_point", "target_stride": 4},
    "dense_everywhere": {"camera_encoding": "proxy_point", "input_stride": 4, "target_stride": 4},
    "rotate_values": {
        "inputs_first": True,
        "camera_encoding": "proxy_point",
        "predicted_depth": True,
        "rotate_values": True,
    },
    "encoder_decoder": {"architecture": "encoder_decoder", "blocks": 2, "encoder_blocks": 2, "latents": 8},
    "fast_weights": {"architecture": "fast_weights", "fast_head_width": 64, "fast_hidden": 96},
}


@pytest.mark.parametrize("name", MODELS)
def test_targets_do_not_see_each_other(name):
    model = small_model(**MODELS[name])
    images, input_rays, target_rays, _, _ = sample(model)
    together = model(images, input_rays, target_rays)
    encoding = model.encode(images, input_rays)
    apart = torch.cat([model.decode(encoding, target_rays[:, t : t + 1]) for t in range(T)], dim=1)
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_of_the_inputs_only_the_seen_patches_matter(name):
    needs_mask = name in ("prope", "dense_everywhere")
    model = small_model(**MODELS[name] | ({"inputs_first": True} if needs_mask else {}))
    images, input_rays, target_rays, _, _ = sample(model)
    p = model.config.input_stride
    n = (SIZE // p) ** 2
    order = torch.rand(B, V, n, generator=torch.Generator().manual_seed(2)).argsort(-1)
    whole = model(images, input_rays, target_rays)
    torch.testing.assert_close(model(images, input_rays, target_rays, order), whole, rtol=0, atol=2e-5)
    seen, hidden = order[..., : n // 3], order[..., n // 3 :]
    half = model(images, input_rays, target_rays, seen)
    assert (half - whole).abs().max() > 1e-2
    if model.config.input_stride < model.config.patch_size:
        return  # tokens that are seen hold pixels of those that are not
    patches = to_patches(images, p, p)  # (B, V, n, C)
    painted = patches.scatter(2, hidden[..., None].expand(-1, -1, -1, patches.shape[-1]), 0.0)
    elsewhere = model(to_images(painted, p, p, SIZE, SIZE), input_rays, target_rays, seen)
    torch.testing.assert_close(elsewhere, half, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_order_of_inputs_does_not_matter(name):
    model = small_model(**MODELS[name])
    images, input_rays, target_rays, _, _ = sample(model)
    turned = model(images.flip(1), input_rays.flip(1), target_rays)
    torch.testing.assert_close(model(images, input_rays, target_rays), turned, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_has_a_part_in_the_picture(name):
    model = small_model(**MODELS[name]).requires_grad_(True)
    images, input_rays, target_rays, _, _ = sample(model)
    model(images, input_rays, target_rays).square().sum().backward()
    silent = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert silent == []


@pytest.mark.parametrize("name", MODELS)
def test_the_check_is_called_between_blocks_and_stops_the_work(name):
    model = small_model(**MODELS[name])
    images, input_rays, target_rays, _, _ = sample(model)

    class Stop(Exception):
        pass

    calls = itertools.count()

    def stop_at_the_second():
        if next(calls) == 1:
            raise Stop

    with pytest.raises(Stop):
        model.decode(model.encode(images, input_rays, check=stop_at_the_second), target_rays, check=stop_at_the_second)


def test_prope_alone_sees_only_where_cameras_stand_to_each_other():
    model = small_model(inputs_first=True, camera_encoding="prope", rays_in_tokens=False)
    images, input_rays, target_rays, poses, fxfycxcy = sample()
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5)))[0]
    turn = turn * torch.linalg.det(turn)
    moved = torch.eye(4, dtype=torch.float64)
    moved[:3, :3], moved[:3, 3] = turn, torch.tensor([0.3, -0.2, 0.5])
    rays = plucker_rays(moved @ poses, fxfycxcy, SIZE, SIZE).float()
    there = model(images, rays[:, :V], rays[:, V:])
    here = model(images, input_rays, target_rays)
    torch.testing.assert_close(here, there, rtol=0, atol=1e-4)
    elsewhere = model(images, rays[:, :V], target_rays)
    assert (here - elsewhere).abs().max() > 0.01


def test_turned_values_tell_how_one_point_lies_from_another():
    config = ModelConfig(width=128, camera_encoding="proxy_point", rotate_values=True)
    rays = sample()[1]
    here = encode_cameras(config, rays, 8)
    there = here.moved(torch.full((B, V, (SIZE // 8) ** 2, config.heads), 0.3))
    values = torch.randn(B, V, (SIZE // 8) ** 2, config.heads, 64)
    torch.testing.assert_close(here.outputs(here.values(values)), values, rtol=0, atol=1e-5)
    plain, first, second = here.outputs(there.values(values)).split([32, 16, 16], dim=-1)
    direction = token_rays(rays, 8)[..., 3:]
    angles = (0.3 * direction[..., None] * torch.tensor(FREQUENCIES)).flatten(-2)[:, :, :, None]  # (B, V, n, 1, 15)
    expected = torch.complex(*values[..., 32:].split(16, dim=-1))
    expected[..., :15] *= torch.polar(torch.ones_like(angles), angles)
    torch.testing.assert_close(plain, values[..., :32], rtol=0, atol=0)
    torch.testing.assert_close(torch.complex(first, second), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("focal", [0.6, 1.1, 20.0])
def test_a_camera_is_read_back_from_its_rays(focal):
    generator = torch.Generator().manual_seed(3)
    poses = look_at_cameras(5, generator, distance=2.5)[None]
    width, height = 64, 48
    fxfycxcy = torch.tensor([focal * width, 1.1 * focal * width, 30.0, 26.0]).double().expand(1, 5, 4)
    rays = plucker_rays(poses, fxfycxcy, height, width).float()
    points = torch.randn(100, 3, generator=generator).double() * 0.3
    in_camera = (points - poses[0, :, None, :3, 3]) @ poses[0, :, :3, :3]  # (5, 100, 3)
    pixels = fxfycxcy[0, :, None, :2] * in_camera[..., :2] / in_camera[..., 2:] + fxfycxcy[0, :, None, 2:]
    projected = torch.einsum(
        "vij,nj->vni", world_to_image(rays)[0].double()[:, :3], torch.nn.functional.pad(points, (0, 1), value=1)
    )
    seen = (projected[..., :2] / projected[..., 2:] + 1) / 2 * torch.tensor([width, height])
    torch.testing.assert_close(projected[..., 2], in_camera[..., 2], rtol=1e-3, atol=0)
    torch.testing.assert_close(seen, pixels, rtol=0, atol=0.02 * max(1.0, focal))


def test_a_patch_ray_goes_through_the_cameras_origin():
    _, input_rays, _, poses, _ = sample()
    moment, direction = token_rays(input_rays, 8).double().split(3, dim=-1)
    origin = poses[:, :V, None, :3, 3].expand_as(direction)
    torch.testing.assert_close(torch.linalg.cross(origin, direction), moment, rtol=0, atol=1e-5)


def test_bf16_on_the_cpu_stays_close_to_float32():
    for options in MODELS.values():
        model = small_model(**options)
        inputs = sample(model)[:3]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            fast = model(*inputs).float()
        assert (fast - model(*inputs)).abs().mean() < 0.02


@pytest.mark.parametrize("has_context", [False, True])
def test_training_in_bf16_on_the_cpu_computes_the_same_attention(has_context):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 4, 10, 16)  # (B, S, H, N, d) each
    context = KeysValues(*torch.randn(2, 2, 4, 7, 16)) if has_context else None
    exact = attention(q, k, v, context)
    fast = context and KeysValues(*(part.bfloat16() for part in context))
    trained = attention(q.bfloat16().requires_grad_(), k.bfloat16(), v.bfloat16(), fast)
    assert trained.dtype == torch.bfloat16
    torch.testing.assert_close(trained.float(), exact, rtol=0, atol=0.03)
    torch.testing.assert_close(
        attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), fast).float(), exact, rtol=0, atol=0.03
    )


def test_chosen_patches_are_those_of_all():
    images = sample()[0]
    numbers = torch.tensor([0, 5, 6, 15]).expand(B, V, 4)
    chosen = to_patches(images, 12, 8, numbers)
    torch.testing.assert_close(chosen, to_patches(images, 12, 8)[:, :, [0, 5, 6, 15]], rtol=0, atol=0)


def test_sizes_that_are_no_multiple_of_the_stride_are_refused():
    with pytest.raises(ValueError, match="30x30 pixels: width and height must be multiples of the stride 8"):
        small_model()(*sample(size=30)[:3])


def test_denser_tokens_of_inputs_are_the_same_tokens_and_others_between_them():
    options = {"inputs_first": True, "camera_encoding": "proxy_point", "predicted_depth": True, "patch_size": 12}
    once, twice = small_model(**options), small_model(input_stride=4, **options)
    twice.load_state_dict(once.state_dict())
    images, input_rays, target_rays, _, _ = sample()
    n = SIZE // 4
    # A patch of 8 pixels begins every 4, 2 before its cell: without the first 2, every second lies on a patch of the other.
    moved = images[..., 2:-6, 2:-6], input_rays[..., 2:-6, 2:-6]
    dense = twice.input_tokens(images, input_rays).unflatten(1, (V, n, n))
    inner = once.input_tokens(*moved).unflatten(1, (V, SIZE // 8 - 1, SIZE // 8 - 1))
    torch.testing.assert_close(inner[:, :, 1:-1, 1:-1], dense[:, :, 3:-4:2, 3:-4:2], rtol=0, atol=1e-5)
    assert twice(images, input_rays, target_rays).shape == (B, T, 3, SIZE, SIZE)


def test_denser_tokens_of_a_target_are_the_same_tokens_and_others_between_them():
    once, twice = small_model(patch_size=12), small_model(patch_size=12, target_stride=4)
    twice.load_state_dict(once.state_dict())
    rays = sample()[2]
    n = SIZE // 4
    dense = twice.target_tokens(rays).unflatten(2, (n, n))
    inner = once.target_tokens(rays[..., 2:-6, 2:-6]).unflatten(2, (SIZE // 8 - 1, SIZE // 8 - 1))
    torch.testing.assert_close(inner[:, :, 1:-1, 1:-1], dense[:, :, 3:-4:2, 3:-4:2], rtol=0, atol=1e-5)


def test_a_pixel_of_denser_tokens_is_their_mean():
    """Tokens that are all alike, and paint all of their patch alike, paint the same picture however dense they are."""
    once, twice = small_model(patch_size=16), small_model(patch_size=16, target_stride=4)
    twice.load_state_dict(once.state_dict())
    rays = sample()[2]
    alike = torch.randn(once.config.width, generator=torch.Generator().manual_seed(1))
    pictures = []
    for model in (once, twice):
        head = model.to_pixels[1].weight
        head.data = torch.zeros_like(head).index_fill(1, torch.tensor([0]), 0.3)
        tokens = model.target_tokens(rays)
        pictures.append(model.pixels(alike.expand_as(tokens), rays)[..., 8:-8, 8:-8])
    torch.testing.assert_close(*pictures, rtol=0, atol=1e-6)
    assert (pictures[0] - 0.5).abs().min() > 0.01


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 100}, "multiple of head_width"),
        ({"input_stride": 16}, "input_stride is 16: it must be at most the patch size 8"),
        ({"input_stride": 3}, "an even number below it"),
        ({"target_stride": 0}, "target_stride is 0: it must be a whole number from 1"),
        ({"target_stride": 5}, "target_stride is 5: it must be at most the patch size 8"),
        ({"input_stride": 4, "camera_encoding": "proxy_point"}, "needs inputs_first"),
        ({"architecture": "encoder_decoder"}, "0 encoder blocks"),
        ({"architecture": "nerf"}, "must be one of decoder_only"),
        ({"predicted_depth": True}, "predicted_depth needs camera_encoding proxy_point"),
        ({"rotate_values": True, "camera_encoding": "prope"}, "rotate_values needs camera_encoding proxy_point"),
        ({"camera_encoding": "prope", "head_width": 32}, "needs head_width 64"),
        ({"architecture": "fast_weights"}, "fast_weights with fast_head_width 0 and fast_hidden 0"),
        ({"fast_hidden": 64}, "decoder_only with fast_head_width 0 and fast_hidden 64"),
        (
            {"architecture": "fast_weights", "fast_head_width": 500, "fast_hidden": 64},
            "multiple of fast_head_width 500",
        ),
        (
            {"architecture": "fast_weights", "fast_head_width": 64, "fast_hidden": 64, "inputs_first": True},
            "inputs_first and camera_encoding are options of decoder_only",
        ),
        ({"rays_in_tokens": False}, "without rays_in_tokens a camera_encoding is needed"),
    ],
)
def test_a_configuration_that_is_no_model_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ModelConfig(**options)


def test_overlapping_patches_hold_their_neighbours_pixels_and_are_added_up():
    images = torch.arange(1.0, 1 + 2 * 3 * 8 * 12).reshape(1, 2, 3, 8, 12)
    patches = to_patches(images, 6, 4)
    assert patches.shape == (1, 2, 6, 6 * 6 * 3)
    second = patches[0, 1, 1].reshape(6, 6, 3)  # the first row's middle patch: rows -1 to 4, columns 3 to 8
    assert (second[0] == 0).all()
    assert torch.equal(second[1:], images[0, 1, :, :5, 3:9].permute(1, 2, 0))
    times = to_images(to_patches(torch.ones_like(images), 6, 4), 6, 4, 8, 12)[0, 0, 0]
    assert times[0].tolist() == [1, 1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 1]
    assert times[3, 3] == 4
    assert torch.equal(to_images(patches, 6, 4, 8, 12), images * times)


@pytest.mark.parametrize("options", [{}, {"inputs_first": True, "camera_encoding": "proxy_point"}])
def test_overlapping_patches_blend_over_the_edges_of_patches(options):
    model = small_model(patch_size=16, **options)
    images, input_rays, target_rays, *_ = sample()
    with torch.no_grad():
        picture = model(images, input_rays, target_rays)
        apart = small_model(**options)(images, input_rays, target_rays)
    assert picture.shape == apart.shape == (B, T, 3, SIZE, SIZE)
    assert picture.min() > 0 and picture.max() < 1
    tokens = torch.zeros(B, T, 16, 128)
    tokens[:, :, 5] = torch.randn(128)  # second row and column: pixels 8 to 15
    changed = (model.pixels(tokens, target_rays) != 0.5).any(dim=2)[0, 0]
    rows, columns = changed.nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 19, 4, 19)
