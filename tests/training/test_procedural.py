"""Ray casting against plain twins, and the scenes made of it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from lvsm_engine.scene.camera import Camera, project
from training.procedural import procedural_scene
from training.procedural.scenes import Light, Solid, _pixel_rays, _trace, _white
from training.procedural.shapes import SHAPES, TORUS_TUBE
from training.procedural.textures import linear_from_srgb, random_texture, srgb_from_linear, value_noise
from training.render.cameras import look_at

# The plain twin of each shape: which points (N, 3) are inside.
INSIDE: dict[str, Callable[[Tensor], Tensor]] = {
    "ellipsoid": lambda p: p.norm(dim=-1) < 1,
    "box": lambda p: (p.abs() < 1).all(dim=-1),
    "cylinder": lambda p: (p[:, :2].norm(dim=-1) < 1) & (p[:, 2].abs() < 1),
    "cone": lambda p: (p[:, :2].norm(dim=-1) < 0.55 - 0.45 * p[:, 2]) & (p[:, 2].abs() < 1),
    "frustum": lambda p: (p[:, :2].norm(dim=-1) < 0.75 - 0.25 * p[:, 2]) & (p[:, 2].abs() < 1),
    "torus": lambda p: torch.hypot(p[:, :2].norm(dim=-1) - (1 - TORUS_TUBE), p[:, 2]) < TORUS_TUBE,
}


def random_rays(count: int) -> tuple[Tensor, Tensor]:
    """From a sphere of radius 3 towards points within the solids' cube; directions of many lengths."""
    generator = Generator().manual_seed(1)
    origins = 3 * torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    aims = torch.rand(count, 3, generator=generator) * 2.6 - 1.3
    return origins, (aims - origins) * (0.2 + torch.rand(count, 1, generator=generator))


@pytest.mark.parametrize("name", SHAPES)
def test_rays_meet_a_shape_where_marching_enters_it(name: str) -> None:
    origins, directions = random_rays(400)
    t = SHAPES[name].meet(origins, directions)
    speed = directions.norm(dim=-1)
    step = 0.002
    marched = torch.full_like(t, torch.inf)
    for distance in np.arange(5.0, 1.0, -step):  # backwards, so that the nearest one stays
        inside = INSIDE[name](origins + directions * (distance / speed)[:, None])
        marched = torch.where(inside, distance, marched)
    met, hit = t.isfinite(), marched.isfinite()
    assert (met != hit).float().mean() < 0.02  # grazing rays may differ
    both = met & hit
    assert both.sum() > 100
    apart = (t * speed - marched).abs()[both]
    assert apart.quantile(0.98) < 0.02


@pytest.mark.parametrize("name", SHAPES)
def test_normals_point_out_of_a_shape(name: str) -> None:
    origins, directions = random_rays(2000)
    shape = SHAPES[name]
    t = shape.meet(origins, directions)
    hit = t.isfinite()
    points = origins[hit] + t[hit, None] * directions[hit]
    normals = torch.nn.functional.normalize(shape.normal(points), dim=-1)
    assert INSIDE[name](points - 0.02 * normals).float().mean() > 0.99
    assert INSIDE[name](points + 0.02 * normals).float().mean() < 0.01


@pytest.mark.parametrize("name", SHAPES)
def test_extreme_points_span_the_shape(name: str) -> None:
    extreme = SHAPES[name].extreme
    grid = torch.cartesian_prod(*[torch.linspace(-1.05, 1.05, 64)] * 3)
    inside = grid[INSIDE[name](grid)]
    assert torch.allclose(extreme.amin(dim=0), inside.amin(dim=0), atol=0.05)
    assert torch.allclose(extreme.amax(dim=0), inside.amax(dim=0), atol=0.05)


def test_a_known_box_appears_where_its_camera_projects_it() -> None:
    grey = Solid(
        SHAPES["box"], torch.diag(torch.tensor([0.5, 0.3, 0.2])), torch.tensor([0.1, 0.0, 0.05]), lambda p: p * 0 + 0.2
    )
    pose = look_at(np.array([1.2, -1.5, 0.8]), np.zeros(3))
    camera = Camera(pose, 68.0, 68.0, 32.0, 32.0, 64, 64)
    rays = _pixel_rays(torch.from_numpy(pose)[None], torch.from_numpy(camera.fxfycxcy)[None], 64, torch.device("cpu"))
    light = Light(torch.tensor([0.0, 0.0, 1.0]), 1.0)
    subject = (_trace([grey], light, _white, *rays) < 0.9).all(-1).reshape(128, 128).numpy()
    rows, columns = np.nonzero(subject)
    pixels, _ = project(camera, grey.world_points().double().numpy())
    seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 2
    assert seen == pytest.approx([*pixels.min(axis=0), *pixels.max(axis=0)], abs=0.6)


def test_a_scene_is_a_function_of_its_seed() -> None:
    for first, second in zip(*(procedural_scene(Generator().manual_seed(5), 2, 16) for _ in range(2)), strict=True):
        assert torch.equal(first, second)
    other, _, _ = procedural_scene(Generator().manual_seed(6), 2, 16)
    assert not torch.equal(other, procedural_scene(Generator().manual_seed(5), 2, 16)[0])


def test_scenes_have_the_promised_shapes_and_something_to_see_and_half_of_them_are_on_white() -> None:
    on_white = 0
    for seed in range(40):
        images, camera_to_world, fxfycxcy = procedural_scene(Generator().manual_seed(seed), 2, 24)
        assert images.shape == (2, 24, 24, 3) and images.dtype == torch.uint8
        assert camera_to_world.shape == (2, 4, 4) and camera_to_world.dtype == torch.float64
        assert fxfycxcy.shape == (2, 4) and fxfycxcy.dtype == torch.float64
        assert images.float().std() > 1
        on_white += bool((images[:, 0] == 255).float().mean() > 0.8)
    assert 10 <= on_white <= 30


def test_srgb_and_linear_are_inverse_and_know_middle_grey() -> None:
    codes = torch.arange(256) / 255
    assert torch.allclose(srgb_from_linear(linear_from_srgb(codes)), codes, atol=1e-6)
    assert float(linear_from_srgb(torch.tensor(0.5))) == pytest.approx(0.21404, abs=1e-5)


def test_value_noise_takes_the_table_s_values_on_its_lattice_and_repeats() -> None:
    table = torch.rand(4, 4, 4, generator=Generator().manual_seed(0))
    points = torch.tensor([[1.0, 2.0, 3.0], [5.0, -2.0, 7.0]])
    assert torch.allclose(value_noise(table, points), table[1, 2, 3].expand(2))


def test_textures_are_linear_colours() -> None:
    points = torch.rand(50, 3, generator=Generator().manual_seed(0)) * 2 - 1
    for seed in range(60):
        colours = random_texture(Generator().manual_seed(seed))(points)
        assert colours.shape == (50, 3) and colours.min() >= 0 and colours.max() <= 1


def test_the_pool_resumes_and_ends_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    def draw(out: Path) -> None:
        arguments = ["--out", str(out), "--scenes", "65", "--views", "1", "--size", "8"]
        subprocess.run([sys.executable, "-m", "training.procedural", *arguments], check=True, capture_output=True)

    draw(tmp_path / "pool")
    shards = sorted((tmp_path / "pool").iterdir())
    assert [shard.name for shard in shards] == ["00000.npz", "00001.npz"]
    before, kept = shards[1].read_bytes(), shards[0].stat().st_mtime_ns
    shards[1].unlink()
    draw(tmp_path / "pool")
    assert shards[1].read_bytes() == before and shards[0].stat().st_mtime_ns == kept
