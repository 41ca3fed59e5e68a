"""Procedural scenes: the rasterizer against plain twins, solids, textures, light, cameras, and the scenes made of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lvsm_engine.scene.camera import Camera, camera_of, project
from training.procedural import ImageFolder, ProceduralViews, TextureError, procedural_scene
from training.procedural.__main__ import Options, main
from training.procedural.cameras import Bounds, Subject, hand_held_arc, walk
from training.procedural.light import Light, Material
from training.procedural.meshes import Mesh, deformed, joined, placed, struts
from training.procedural.pictures import ProceduralScene, _cutting, draw_pictures, radiance
from training.procedural.rasterizer import NOTHING, Rays, rasterize
from training.procedural.scenes import _objects_on_white, _whole_scene, kind_of
from training.procedural.shapes import SHAPES, TORUS_TUBE, Ripple, Sweep, prism
from training.procedural.surroundings import Ground, Room
from training.procedural.textures import SIDE, TextureTable, random_pattern
from training.procedural.things import Cut, Thing, assembled, column, random_part, slab
from training.render.cameras import look_at
from training.views.stored import resample

CPU = torch.device("cpu")
EVEN = Light(np.array([0.0, 0, 1]), np.zeros(3), np.ones(3), np.ones(3), np.ones(3))
GREY, BRIGHT = (np.full((SIDE, SIDE, 3), value, dtype=np.float32) for value in (0.2, 0.7))


def camera_at(position: list[float], target: list[float], size: int, focal: float = 1.1) -> Camera:
    pose = look_at(np.array(position), np.array(target))
    return Camera(pose, focal * size, focal * size, size / 2, size / 2, size, size)


def arrays_of(*cameras: Camera) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([c.camera_to_world for c in cameras]), np.stack([c.fxfycxcy for c in cameras])


def rays_of(*cameras: Camera) -> Rays:
    poses, fxfycxcy = arrays_of(*cameras)
    return Rays(torch.from_numpy(poses).float(), torch.from_numpy(fxfycxcy).float(), cameras[0].width)


def drawn(mesh: Mesh, *cameras: Camera) -> tuple[torch.Tensor, torch.Tensor]:
    return rasterize(
        torch.from_numpy(mesh.vertices).float(), torch.from_numpy(mesh.triangles.copy()), rays_of(*cameras)
    )


def thing_of(mesh: Mesh, material: int = 0) -> Thing:
    count = len(mesh.triangles)
    return Thing(mesh, np.full(count, material), np.zeros(count, dtype=np.int64))


# The rasterizer


def ray_cast(vertices: np.ndarray, triangles: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """The plain twin: every ray against every triangle, in float64. Depth and triangle of each pixel."""
    ticks = np.arange(camera.width) + 0.5
    x, y = np.meshgrid((ticks - camera.cx) / camera.fx, (ticks - camera.cy) / camera.fy)
    directions = np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3) @ camera.camera_to_world[:3, :3].T
    depth, owner = np.full(len(directions), np.inf), np.full(len(directions), NOTHING)
    for index, (a, b, c) in enumerate(vertices[triangles]):
        normal = np.cross(b - a, c - a)
        along = directions @ normal
        t = ((a - camera.position) @ normal) / np.where(along == 0, 1, along)
        points = camera.position + t[:, None] * directions
        edges = [(p, q) for p, q in ((a, b), (b, c), (c, a))]
        inside = np.all([np.cross(q - p, points - p) @ normal >= 0 for p, q in edges], axis=0)
        seen = inside & (along < 0) & (t > 0) & (t < depth)
        depth[seen], owner[seen] = t[seen], index
    return depth, owner


def test_the_rasterizer_sees_what_a_plain_ray_caster_sees_also_where_triangles_reach_behind_the_camera() -> None:
    rng = np.random.default_rng(0)
    middles = rng.uniform(-1.5, 1.5, size=(60, 1, 3))
    vertices = (middles + rng.normal(scale=0.6, size=(60, 3, 3))).reshape(-1, 3)
    triangles = np.arange(180).reshape(-1, 3)
    cameras = [camera_at([0.3, 0.1, 0.2], [1, 0.5, 0], 40), camera_at([2.5, -1, 1], [0, 0, 0], 40)]
    reach = (vertices[triangles] - cameras[0].position) @ cameras[0].forward
    assert ((reach.min(axis=1) < 0) & (reach.max(axis=1) > 0)).sum() > 5
    seen, depths = rasterize(torch.from_numpy(vertices).float(), torch.from_numpy(triangles), rays_of(*cameras))
    for view, camera in enumerate(cameras):
        depth, owner = ray_cast(vertices, triangles, camera)
        own = slice(view * 1600, (view + 1) * 1600)
        same = seen[own].numpy() == owner
        assert same.mean() > 0.995
        assert np.allclose(depths[own].numpy()[same], depth[same], rtol=1e-3)


def test_neighbouring_triangles_leave_no_crack() -> None:
    rng = np.random.default_rng(1)
    ticks = np.linspace(-3, 3, 40)
    x, z = np.meshgrid(ticks, ticks)
    points = np.stack([x, rng.normal(scale=0.02, size=x.shape), z], -1) + rng.uniform(-0.05, 0.05, size=(40, 40, 3))
    corner = (np.arange(39)[:, None] * 40 + np.arange(39)).reshape(-1)
    triangles = np.concatenate(
        [np.stack([corner, corner + 1, corner + 41], -1), np.stack([corner, corner + 41, corner + 40], -1)]
    )
    cameras = [camera_at([0.1, -2, 0.05], [0, 0, 0], 128), camera_at([0.5, -1.5, 0.4], [0.2, 0, 0.1], 128)]
    seen, _ = rasterize(torch.from_numpy(points.reshape(-1, 3)).float(), torch.from_numpy(triangles), rays_of(*cameras))
    assert (seen != NOTHING).all()


def test_a_known_box_appears_where_its_camera_projects_it() -> None:
    thing = slab((-0.4, -0.3, -0.15), (0.6, 0.3, 0.25), 0)
    camera = camera_at([1.2, -1.5, 0.8], [0, 0, 0], 64)
    images, alpha = draw_pictures(ProceduralScene(thing, [GREY], [Material(0)], EVEN), *arrays_of(camera), 64, CPU)
    rows, columns = np.nonzero((images[0] < 230).all(-1).numpy())
    pixels, _ = project(camera, thing.mesh.vertices)
    seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert seen == pytest.approx([*pixels.min(axis=0), *pixels.max(axis=0)], abs=1.0)
    assert (alpha[0].numpy() == 255)[rows, columns].mean() > 0.9 and alpha.min() == 0


# Solids

# The plain twin of each shape, besides its own `contains`: the volume of the unit solid.
VOLUMES = {
    "ball": 4 / 3 * np.pi,
    "box": 8.0,
    "cylinder": 2 * np.pi,
    "cone": 2 * np.pi / 3 * (1 + 0.06 + 0.06**2),
    "frustum": 2 * np.pi / 3 * 1.75,
    "torus": 2 * np.pi**2 * (1 - TORUS_TUBE) * TORUS_TUBE**2,
    "capsule": np.pi * 0.55**2 * (2 * 0.45) + 4 / 3 * np.pi * 0.55**3,
}


def volume_of(mesh: Mesh) -> float:
    """Of a closed mesh wound counterclockwise, by the divergence theorem."""
    a, b, c = (mesh.vertices[mesh.triangles[:, corner]] for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def is_closed(mesh: Mesh) -> bool:
    """Every edge runs once each way, between points (not vertices: sides do not share them)."""
    _, point = np.unique(mesh.vertices.round(6), axis=0, return_inverse=True)
    corners = point.reshape(-1)[mesh.triangles]
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    return sorted(map(tuple, edges)) == sorted(map(tuple, edges[:, ::-1]))


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_a_solid_is_closed_and_encloses_what_it_contains(name: str, fine: bool) -> None:
    mesh = SHAPES[name].mesh(fine)
    assert is_closed(mesh)
    assert volume_of(mesh) == pytest.approx(VOLUMES[name], rel=0.12)  # Corners of what is round lie on it.
    grid = torch.cartesian_prod(*[torch.linspace(-1.1, 1.1, 56)] * 3)
    assert float(SHAPES[name].contains(grid).float().mean()) * 2.24**3 == pytest.approx(VOLUMES[name], rel=0.05)


@pytest.mark.parametrize("name", SHAPES)
def test_normals_point_out_of_a_solid(name: str) -> None:
    mesh = SHAPES[name].mesh(True)
    middles, normals = mesh.vertices[mesh.triangles].mean(axis=1), mesh.normals[mesh.triangles].mean(axis=1)
    contains = SHAPES[name].contains
    assert contains(torch.from_numpy(middles - 0.06 * normals)).float().mean() > 0.97
    assert contains(torch.from_numpy(middles + 0.06 * normals)).float().mean() < 0.03


@pytest.mark.parametrize(("corners", "top"), [(3, 0.0), (4, 0.5), (6, 1.0)])
def test_a_prism_is_closed_and_has_its_volume(corners: int, top: float) -> None:
    mesh = prism(corners, top, fine=False)
    base = corners / 2 * np.sin(2 * np.pi / corners)
    assert is_closed(mesh) and volume_of(mesh) == pytest.approx(2 * base / 3 * (1 + top + top * top))


def test_bars_face_outwards() -> None:
    mesh = struts(np.array([[0.0, 0, -1]]), np.array([[0.0, 0, 1]]), 0.2)
    faces = np.cross(*(mesh.vertices[mesh.triangles[:, i]] - mesh.vertices[mesh.triangles[:, 0]] for i in (1, 2)))
    middles = mesh.vertices[mesh.triangles].mean(axis=1)
    assert ((faces * middles)[:, :2].sum(-1) > 0).all()
    assert mesh.vertices.max(axis=0) == pytest.approx([0.1, 0.1, 1.1])


@pytest.mark.parametrize(
    "deformation",
    [Sweep(0.4, 1.0, (0.3, -0.2)), Ripple(np.random.default_rng(0).normal(size=(6, 3)) * 2, np.arange(6.0), 0.3)],
)
def test_normals_of_a_deformed_solid_are_those_of_its_surface(deformation: Sweep | Ripple) -> None:
    mesh = deformed(SHAPES["ball"].mesh(True), deformation)
    a, b, c = (mesh.vertices[mesh.triangles[:, corner]] for corner in range(3))
    faces = np.cross(b - a, c - a)
    faces /= np.linalg.norm(faces, axis=-1, keepdims=True)
    cosines = (faces * mesh.normals[mesh.triangles].mean(axis=1)).sum(-1)
    assert np.quantile(cosines, 0.05) > 0.9 and is_closed(mesh)


def test_a_sweep_can_be_undone() -> None:
    points = np.random.default_rng(0).uniform(-1, 1, size=(100, 3))
    sweep = Sweep(0.5, -1.1, (0.4, 0.2))
    assert np.allclose(sweep.undo(torch.from_numpy(sweep(points))).numpy(), points)


def test_a_cut_shows_the_body_without_its_cutter() -> None:
    """Against marching along each ray through the two solids' own insides."""
    linear, offset = 0.7 * np.eye(3), np.array([0.3, -0.8, 0.4])
    to_cutter = np.eye(4)
    to_cutter[:3, :3], to_cutter[:3, 3] = np.linalg.inv(linear), -np.linalg.inv(linear) @ offset
    body, wall = SHAPES["box"].mesh(False), placed(SHAPES["ball"].mesh(True), linear, offset)
    wall = replace(wall, triangles=wall.triangles[:, ::-1])
    cut = np.concatenate([np.full(len(body.triangles), 1), np.full(len(wall.triangles), -1)])
    cuts = (Cut(SHAPES["box"], Sweep(), np.eye(4), SHAPES["ball"], to_cutter),)
    thing = Thing(joined([body, wall]), np.zeros(len(cut), dtype=np.int64), cut, cuts)
    camera = camera_at([1.5, -3.5, 2], [0, 0, 0], 48)
    rays = rays_of(camera)
    vertices, triangles = torch.from_numpy(thing.mesh.vertices).float(), torch.from_numpy(thing.mesh.triangles.copy())
    seen, depth_seen = rasterize(vertices, triangles, rays, _cutting(thing, rays))
    marched = torch.full((48 * 48,), torch.inf)
    for depth in np.arange(6.0, 1.0, -0.01):  # backwards, so that the nearest one stays
        points = rays.origins(torch.zeros(1, dtype=torch.int64)) + depth * rays.directions
        solid = (points.abs() < 1).all(-1) & ((points - torch.tensor(offset).float()).norm(dim=-1) > 0.7)
        marched = torch.where(solid, depth, marched)
    both = marched.isfinite() & depth_seen.isfinite()
    assert (marched.isfinite() == depth_seen.isfinite()).float().mean() > 0.98
    assert (depth_seen - marched).abs()[both].quantile(0.97) < 0.05
    assert (triangles[seen[both]] >= len(body.vertices)).any()  # the hole's wall is seen


@pytest.mark.parametrize("surroundings", [Room((2.0, 3.0), 2.5, (0, 1, 2, 3, 4, 5), (1.0,) * 6), Ground(0, 1, 1.0)])
def test_where_a_pixel_s_samples_see_two_walls_an_edge_is_told_and_elsewhere_seldom(
    surroundings: Room | Ground,
) -> None:
    camera = camera_at([0.5, -1.0, 1.3], [-1.2, 1.0, 0.9], 64, focal=0.6)
    turn = np.array([[0.9, -np.sqrt(0.19), 0, 0], [np.sqrt(0.19), 0.9, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    camera = replace(camera, camera_to_world=camera.camera_to_world @ turn)  # rolled: no edge lies between two rows
    pixels, samples = rays_of(camera), replace(rays_of(camera), fxfycxcy=2 * rays_of(camera).fxfycxcy, side=128)
    every = torch.arange(64 * 64)
    seen = surroundings.meet(samples.origins(torch.arange(128 * 128)), samples.directions).material
    seen = seen.reshape(64, 2, 64, 2).transpose(1, 2).reshape(-1, 4)
    mixed = (seen != seen[:, :1]).any(-1)
    told = surroundings.has_edge(pixels.origins(every), pixels.directions, pixels.angle(every))
    assert mixed.sum() > 40 and told[mixed].all()
    assert told.float().mean() < 0.25


# Textures

CORNERS = np.zeros((SIDE, SIDE, 3), dtype=np.float32)
CORNERS[: SIDE // 2, : SIDE // 2] = [0.8, 0, 0]  # red at the top left
CORNERS[: SIDE // 2, SIDE // 2 :] = [0, 0.8, 0]  # green at the top right
CORNERS[SIDE // 2 :, : SIDE // 2] = [0, 0, 0.8]  # blue at the bottom left
CORNERS[SIDE // 2 :, SIDE // 2 :] = [0.8, 0.8, 0.8]


def quarter_colours(image: torch.Tensor) -> list[str]:
    """The strongest channels of a picture's quarters: top left, top right, bottom left, bottom right."""
    far = len(image) * 3 // 4
    names = {(True, False, False): "red", (False, True, False): "green", (False, False, True): "blue"}
    return [
        names.get(tuple((image[row, column] > 100).tolist()), "grey")
        for row in (len(image) - far, far)
        for column in (len(image) - far, far)
    ]


@pytest.mark.parametrize("side", ["front", "right", "back", "left"])
def test_a_texture_is_upright_and_not_mirrored_on_each_standing_side_of_a_box(side: str) -> None:
    position = {"front": [0, -3, 0], "right": [3, 0, 0], "back": [0, 3, 0], "left": [-3, 0, 0]}[side]
    camera = camera_at([float(v) for v in position], [0, 0, 0], 32, focal=1.0)
    scene = ProceduralScene(thing_of(SHAPES["box"].mesh(False)), [CORNERS], [Material(0)], EVEN)
    images, _ = draw_pictures(scene, *arrays_of(camera), 32, CPU)
    assert quarter_colours(images[0]) == ["red", "green", "blue", "grey"]


def test_a_texture_is_upright_and_not_mirrored_around_a_cylinder() -> None:
    mesh = column(1.0, -1.0, 1.0, 0).mesh
    camera = camera_at([3.0, 0.0, 0.0], [0, 0, 0], 32, focal=1.2)
    scene = ProceduralScene(thing_of(mesh), [CORNERS], [Material(0)], EVEN)
    images, _ = draw_pictures(scene, *arrays_of(camera), 32, CPU)
    assert quarter_colours(images[0]) == ["red", "green", "blue", "grey"]


@pytest.mark.parametrize("heading", [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)])
def test_a_texture_is_upright_and_not_mirrored_on_each_wall_of_a_room(heading: tuple[float, float]) -> None:
    room = Room((2.0, 2.0), 2.0, (0,) * 6, (2.0,) * 6)
    right = np.array([heading[1], -heading[0]])
    position = np.array([*right, 1.0])  # u is 0 in the middle of a wall and grows to the right: look at u 0 to 1
    camera = camera_at([*position], [*(position + np.array([*heading, 0]))], 32, focal=1.0)
    nothing = slab((0, 0, -9), (0.1, 0.1, -8), 0)
    images, _ = draw_pictures(
        ProceduralScene(nothing, [CORNERS], [Material(0)], EVEN, room), *arrays_of(camera), 32, CPU
    )
    assert quarter_colours(images[0]) == ["red", "green", "blue", "grey"]


def test_textures_go_on_mirrored_and_far_away_become_their_mean() -> None:
    pattern = random_pattern(np.random.default_rng(3))
    table = TextureTable.of([GREY, pattern], CPU)
    uv = torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
    own, near = torch.ones(200, dtype=torch.int64), torch.full((200,), 1 / SIDE)
    here = table.look_up(own, uv, near)
    assert torch.allclose(here, table.look_up(own, -uv, near), atol=1e-4)
    assert torch.allclose(here, table.look_up(own, uv + 2, near), atol=1e-4)
    far = table.look_up(own, uv, torch.ones(200))
    assert torch.allclose(far, torch.from_numpy(pattern).mean(dim=(0, 1)).expand(200, 3), atol=1e-4)
    rows = ((1 - uv[:, 1]) * SIDE).long(), (uv[:, 0] * SIDE).long()
    exact = table.look_up(own, torch.stack([(rows[1] + 0.5) / SIDE, 1 - (rows[0] + 0.5) / SIDE], -1), near)
    assert torch.allclose(exact, torch.from_numpy(pattern)[rows], atol=1e-3)


def test_patterns_are_linear_colours_and_calm_ones_vary_less() -> None:
    loud, calm = ([random_pattern(np.random.default_rng(seed), calm) for seed in range(60)] for calm in (False, True))
    for pattern in loud + calm:
        assert pattern.shape == (SIDE, SIDE, 3) and pattern.dtype == np.float32
        assert pattern.min() >= 0 and pattern.max() <= 1
    assert np.mean([p.std(axis=(0, 1)).mean() for p in calm]) < 0.7 * np.mean([p.std(axis=(0, 1)).mean() for p in loud])


def test_textures_come_from_a_folder_of_images_upright(tmp_path: Path) -> None:
    ramp = np.linspace(250, 10, 96).astype(np.uint8)[:, None, None]
    Image.fromarray(np.broadcast_to(ramp, (96, 200, 3)).copy()).save(tmp_path / "ramp.png")
    (tmp_path / "below").mkdir()
    Image.fromarray(np.broadcast_to(ramp, (96, 96, 3)).copy()).save(tmp_path / "below" / "ramp.JPG", format="JPEG")
    (tmp_path / "notes.txt").write_text("no image")
    folder = ImageFolder.of(tmp_path)
    assert [path.name for path in folder.paths] == ["ramp.JPG", "ramp.png"]
    for seed in range(5):
        texture = folder.draw(np.random.default_rng(seed))
        assert texture.shape == (SIDE, SIDE, 3) and texture.dtype == np.float32
        assert texture[:8].mean() > texture[-8:].mean() + 0.02  # bright above


def test_black_windows_of_an_atlas_are_seldom_taken(tmp_path: Path) -> None:
    atlas = np.zeros((128, 128, 3), dtype=np.uint8)
    Image.fromarray(atlas).save(tmp_path / "atlas.png")
    Image.fromarray(atlas + 180).save(tmp_path / "plain.png")
    folder = ImageFolder.of(tmp_path)
    black = [folder.draw(np.random.default_rng(seed)).mean() < 0.01 for seed in range(60)]
    assert np.mean(black) < 0.15


def test_a_folder_without_images_and_a_damaged_image_are_named(tmp_path: Path) -> None:
    with pytest.raises(TextureError, match="has no JPEG or PNG image: name another folder"):
        ImageFolder.of(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(TextureError, match="broken.png cannot be read as an image"):
        ImageFolder.of(tmp_path).draw(np.random.default_rng(0))


# Light


def lit(scene: ProceduralScene, *cameras: Camera) -> np.ndarray:
    """Linear pixels (V, S, S, 3)."""
    size = cameras[0].width
    return radiance(scene, *arrays_of(*cameras), size, CPU)[0].reshape(len(cameras), size, size, 3).numpy()


def colour_at(pictures: np.ndarray, view: int, camera: Camera, point: np.ndarray) -> np.ndarray:
    (column_, row) = project(camera, point[None])[0][0]
    return pictures[view, int(row), int(column_)]


def test_a_box_throws_its_shadow_where_the_lamp_s_rays_end() -> None:
    direction = np.array([1.0, 0.0, 1.0]) / np.sqrt(2)
    light = Light(direction, np.ones(3), np.full(3, 0.3), np.ones(3), np.ones(3), softness=0.05, contact=0.0)
    things = assembled([slab((-0.5, -0.5, 0), (0.5, 0.5, 1), 0), slab((-6, -6, -0.2), (6, 6, -0.1), 0)])
    scene = ProceduralScene(things, [BRIGHT], [Material(0)], light, Ground(0, 0, 1.0))
    camera = camera_at([-4, -6, 8], [-0.5, 0, 0], 96)
    pictures = lit(scene, camera)
    # Light falls towards -x: the top edge at x = 0.5 ... -0.5 shades the ground down to x = -1.5.
    shaded = [colour_at(pictures, 0, camera, np.array([x, 0.0, 0])).mean() for x in (-0.8, -1.1)]
    open_ground = [
        colour_at(pictures, 0, camera, np.array([x, y, 0.0])).mean() for x, y in ((-2.6, 0), (1.5, 0), (0, 1.5))
    ]
    assert max(shaded) < 0.6 * min(open_ground)
    assert np.ptp(open_ground) < 0.05


def test_what_stands_on_the_ground_darkens_it_underneath() -> None:
    light = Light(np.array([0.0, 0, 1]), np.zeros(3), np.ones(3), np.ones(3), np.ones(3), softness=0.05, contact=0.8)
    table = slab((-0.8, -0.8, 0.7), (0.8, 0.8, 0.8), 0)
    camera = camera_at([0, -4, 0.5], [0, 0, 0.2], 96)
    pictures = lit(ProceduralScene(table, [BRIGHT], [Material(0)], light, Ground(0, 0, 1.0)), camera)
    below = colour_at(pictures, 0, camera, np.array([0.0, 0, 0])).mean()
    beside = colour_at(pictures, 0, camera, np.array([1.8, 0, 0.0])).mean()
    assert below < 0.5 * beside


def test_a_highlight_lies_where_the_lamp_mirrors() -> None:
    direction = np.array([0.6, -0.64, 0.48])
    light = Light(direction, np.full(3, 0.6), np.full(3, 0.2), np.zeros(3), np.zeros(3))
    ball = thing_of(SHAPES["ball"].mesh(True))
    scene = ProceduralScene(ball, [GREY], [Material(0, highlight=0.5, gloss=200.0)], light)
    for position in ([0.0, -4, 0], [2.0, -3, 1.5]):
        camera = camera_at(position, [0, 0, 0], 96)
        picture = np.where((lit(scene, camera)[0] < 0.999).all(-1), lit(scene, camera)[0].sum(-1), 0)
        row, column_ = np.unravel_index(picture.argmax(), picture.shape)
        half = direction + np.array(position) / np.linalg.norm(position)  # at the surface, to first order
        for _ in range(5):
            point = half / np.linalg.norm(half)
            towards = np.array(position) - point
            half = direction + towards / np.linalg.norm(towards)
        pixels, _ = project(camera, point[None])
        assert np.hypot(*(pixels[0] - [column_ + 0.5, row + 0.5])) < 5  # The ball is 53 wide, and of flat facets.


def test_a_matt_point_has_one_colour_in_all_views() -> None:
    """What one view sees is looked up in the next, where both see the same triangle and no edge is near."""
    apart = []
    for number in range(3):
        scene, poses, fxfycxcy = _whole_scene(np.random.default_rng((7, number)), 12, 96, None)
        even = [np.full_like(texture, texture.mean()) * np.float32([1, 0.8, 0.6]) for texture in scene.textures]
        matt = [replace(material, highlight=0.0, metal=0.0) for material in scene.materials]
        cameras = [camera_of(pose, one, 96, 96) for pose, one in zip(poses[:2], fxfycxcy[:2], strict=True)]
        pictures = lit(replace(scene, textures=even, materials=matt), *cameras)
        triangles, depths = (seen.reshape(2, 96, 96, -1).numpy() for seen in drawn(scene.thing.mesh, *cameras))
        points = rays_of(*cameras).directions.reshape(2, 96, 96, 3).numpy() * depths
        for row, column_ in np.argwhere(triangles[0, 1:-1, 1:-1, 0] != NOTHING) + 1:
            own = triangles[0, row, column_]
            pixel, depth = project(cameras[1], (cameras[0].position + points[0, row, column_])[None])
            there = np.floor(pixel[0]).astype(int)[::-1]
            if depth[0] <= 0 or there.min() < 1 or there.max() > 94:
                continue
            around = [
                view[r - 1 : r + 2, c - 1 : c + 2]
                for view, (r, c) in zip(triangles, [(row, column_), there], strict=True)
            ]
            if all((window == own).all() for window in around):
                apart.append(np.abs(pictures[0, row, column_] - pictures[1, there[0], there[1]]).max())
    assert len(apart) > 300
    assert np.quantile(apart, 0.95) < 0.04


# Cameras

FREE = Bounds(np.full(3, -np.inf), np.full(3, np.inf))


def test_an_arc_keeps_its_height_and_its_subject_in_the_middle() -> None:
    subject = Subject(np.array([1.0, -0.5, 0.7]), 0.4)
    for seed in range(20):
        poses, fields = hand_held_arc(np.random.default_rng(seed), subject, FREE, 10)
        cameras = [camera_of(pose, one, 64, 64) for pose, one in zip(poses, fxfycxcy_of(fields), strict=True)]
        distances = [np.linalg.norm(camera.position - subject.middle) for camera in cameras]
        assert np.ptp([camera.position[2] for camera in cameras]) < 0.35 * max(distances)
        for camera in cameras:
            pixels, depth = project(camera, subject.middle[None])
            assert depth[0] > subject.radius and np.abs(pixels - 32).max() < 26


def fxfycxcy_of(fields: np.ndarray) -> np.ndarray:
    focal = 32 / np.tan(np.radians(fields) / 2)
    return np.stack([focal, focal, np.full_like(focal, 32), np.full_like(focal, 32)], -1)


def test_a_walk_moves_and_stays_within_its_bounds() -> None:
    bounds = Bounds(np.array([-2.0, -3, 0.2]), np.array([2.0, 3, 2.2]))
    for seed in range(20):
        poses, fields = walk(np.random.default_rng(seed), Subject(np.array([0.2, 0.1, 0.8]), 0.5), bounds, 8)
        positions = poses[:, :3, 3]
        assert (positions >= bounds.low).all() and (positions <= bounds.high).all()
        assert np.linalg.norm(np.ptp(positions, axis=0)) > 0.5
        assert (fields >= 28).all() and (fields <= 70).all()


def test_cameras_are_held_with_a_little_roll_and_lenses_vary() -> None:
    rolls, focal = [], []
    for seed in range(40):
        poses, fields = hand_held_arc(np.random.default_rng(seed), Subject(np.zeros(3), 0.6), FREE, 6)
        rolls += list(np.degrees(np.arcsin(poses[:, 2, 0])))  # how far the picture's right points up
        focal.append(fields[0])
    assert 1.0 < np.std(rolls) < 4.0
    assert np.ptp(focal) > 30


# Scenes


def test_a_scene_is_a_function_of_its_seed_and_number() -> None:
    for kind in ("objects", "scenes"):
        first, again = (procedural_scene(3, 5, kind, views=2, size=16) for _ in range(2))
        assert torch.equal(first.images, again.images) and torch.equal(first.alpha, again.alpha)
        assert (first.camera_to_world == again.camera_to_world).all() and (first.fxfycxcy == again.fxfycxcy).all()
        for seed, number in ((3, 6), (4, 5)):
            assert not torch.equal(first.images, procedural_scene(seed, number, kind, views=2, size=16).images)


def test_the_size_of_the_pictures_does_not_change_the_scene() -> None:
    for kind in ("objects", "scenes"):
        small, large = (procedural_scene(0, 2, kind, views=2, size=size) for size in (16, 64))
        assert (small.camera_to_world == large.camera_to_world).all()
        assert np.allclose(small.fxfycxcy * 4, large.fxfycxcy)
        averaged, _ = resample(np.concatenate([large.images.numpy(), np.full((2, 64, 64, 1), 255, np.uint8)], -1), 16)
        assert np.abs(averaged.astype(int) - small.images.numpy().astype(int)).mean() < 6


def test_objects_are_on_white_in_the_unit_cube_and_scenes_fill_the_picture() -> None:
    for number in range(8):
        scene, _, _ = _objects_on_white(np.random.default_rng((0, number)), 2, 16, None)
        low, high = scene.thing.bounds
        assert (high - low).max() == pytest.approx(1, abs=1e-6) and np.abs(low + high).max() < 1e-6
        views = procedural_scene(0, number, "objects", views=2, size=16)
        assert views.images.shape == (2, 16, 16, 3) and views.images.dtype == torch.uint8
        assert views.alpha.shape == (2, 16, 16) and views.alpha.dtype == torch.uint8
        assert (views.images[views.alpha == 0] == 255).all() and (views.alpha == 0).any() and (views.alpha > 0).any()
        assert views.camera_to_world.shape == (2, 4, 4) and views.camera_to_world.dtype == np.float64
        assert views.fxfycxcy.shape == (2, 4) and views.fxfycxcy.dtype == np.float64
        scenery = procedural_scene(0, number, "scenes", views=2, size=16)
        assert (scenery.alpha == 255).all() and scenery.images.float().std() > 3


def test_half_of_mixed_scenes_are_on_white() -> None:
    kinds = [kind_of(np.random.default_rng((0, number)), "mixed") for number in range(200)]
    assert 75 < kinds.count("objects") < 125 and set(kinds) == {"objects", "scenes"}
    views = procedural_scene(0, kinds.index("objects"), "mixed", views=1, size=8)
    assert (views.alpha == 0).any()


def test_no_light_is_infinite_or_missing_and_no_camera_stands_in_a_thing() -> None:
    for number in range(12):
        draw = _objects_on_white if number % 2 else _whole_scene
        scene, poses, fxfycxcy = draw(np.random.default_rng((11, number)), 3, 16, None)
        colours, _ = radiance(scene, poses, fxfycxcy, 16, CPU)
        assert colours.isfinite().all() and (colours >= 0).all()
        cameras = [camera_of(pose, one, 16, 16) for pose, one in zip(poses, fxfycxcy, strict=True)]
        assert drawn(scene.thing.mesh, *cameras)[1].min() > 0.1


def test_subjects_of_scenes_are_off_the_origin_and_mostly_in_view() -> None:
    in_view, away = [], []
    for number in range(16):
        _, poses, fxfycxcy = _whole_scene(np.random.default_rng((2, number)), 4, 32, None)
        cameras = [camera_of(pose, one, 32, 32) for pose, one in zip(poses, fxfycxcy, strict=True)]
        normals = np.stack([np.eye(3) - np.outer(c.forward, c.forward) for c in cameras])
        aimed = np.linalg.lstsq(normals.sum(0), sum(n @ c.position for n, c in zip(normals, cameras, strict=True)))[0]
        away.append(np.linalg.norm(aimed[:2]))
        in_view += [np.abs(project(camera, aimed[None])[0] - 16).max() < 16 for camera in cameras]
    assert np.mean(in_view) > 0.95 and np.median(away) > 0.3


def test_parts_are_of_all_kinds() -> None:
    parts = [random_part(np.random.default_rng(seed), range(5)) for seed in range(120)]
    assert 8 < sum(bool(part.cuts) for part in parts) < 50
    assert sum(len(np.unique(part.material)) > 1 for part in parts) > 20
    assert max(len(part.mesh.triangles) for part in parts) < 2000


# The command


def test_the_pool_resumes_and_ends_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    options = Options(out=tmp_path, scenes=3, shard=2, views=1, size=8)
    assert main(options) == 0
    shards = sorted(tmp_path.glob("*.npz"))
    assert [shard.name for shard in shards] == ["00000.npz", "00001.npz"]
    before, kept = shards[1].read_bytes(), shards[0].stat().st_mtime_ns
    shards[1].unlink()
    assert main(options) == 0
    assert shards[1].read_bytes() == before and shards[0].stat().st_mtime_ns == kept
    assert not list(tmp_path.glob("*.part"))


def test_a_shard_laid_over_white_holds_the_scene_s_pictures(tmp_path: Path) -> None:
    main(Options(out=tmp_path, scenes=3, shard=3, views=2, size=16, kind="objects", seed=4))
    with np.load(tmp_path / "00000.npz") as shard:
        scene = procedural_scene(4, 2, "objects", views=2, size=16)
        images, alpha = resample(shard["images"][2], 16)
        assert np.abs(images.astype(int) - scene.images.numpy()).max() <= 2
        assert (alpha == scene.alpha.numpy()).all() and (shard["camera_to_world"][2] == scene.camera_to_world).all()
        assert (shard["fxfycxcy"][2] == scene.fxfycxcy).all()


def test_a_pool_drawn_otherwise_is_not_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = Options(out=tmp_path, scenes=1, shard=1, views=1, size=8)
    assert main(options) == 0
    assert main(replace(options, kind="objects")) == 2
    assert "name another folder for this one" in capsys.readouterr().err
    assert main(replace(options, textures=tmp_path)) == 2
    assert "has no JPEG or PNG image" in capsys.readouterr().err


def test_views_are_values_for_the_trainer() -> None:
    views = procedural_scene(0, 0, views=2, size=8)
    assert isinstance(views, ProceduralViews) and views.images.device.type == "cpu"
