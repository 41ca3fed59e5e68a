"""The plane sweep on scenes whose depth and colours are known: two textured walls, photographed by pinhole cameras."""

import math

import pytest
import torch

from lvsm_engine.errors import Cancelled
from lvsm_engine.model import plane_sweep
from lvsm_engine.model.plane_sweep import Photos, Target, bands_of, cosines, disagreement, look_up, sights_of, sweep
from lvsm_engine.model.rays import rays_in_camera

FOCAL, SIZE = 90.0, 96
FRONT, BACK = 2.0, 4.0
NEAR, FAR = torch.tensor([1.0]), torch.tensor([10.0])


def camera(x: float, y: float = 0.0, z: float = 0.0, turn: float = 0.0) -> torch.Tensor:
    """A pose (4, 4) that looks along +z, turned about y by degrees."""
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    pose = torch.eye(4)
    pose[:3, :3] = torch.tensor([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    pose[:3, 3] = torch.tensor([x, y, z])
    return pose


def walls(
    pose: torch.Tensor, height: int = SIZE, width: int = SIZE, focal: float = FOCAL
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a camera sees of two walls, z = BACK and, where x < 0, z = FRONT: image (3, H, W) and depth (H, W)."""
    intrinsics = torch.tensor([[focal, focal, width / 2, height / 2]])
    rays = rays_in_camera(intrinsics, height, width)[0]  # (3, H, W), of depth 1
    world = torch.einsum("ij,jhw->ihw", pose[:3, :3], rays)
    origin = pose[:3, 3, None, None]
    images, depth = [], []
    for z in (FRONT, BACK):
        along = (z - origin[2]) / world[2]
        x, y, _ = origin + along * world
        waves = [0.5 + 0.5 * torch.sin(k * x + m * y + z + n) for k, m, n in ((9, 4, 0), (-5, 8, 1), (6, -7, 2))]
        images.append(torch.stack(waves))
        depth.append((x, along))
    is_front = depth[0][0] < 0
    return torch.where(is_front, images[0], images[1]), torch.where(is_front, depth[0][1], depth[1][1])


def posed(*poses: torch.Tensor, **options: float) -> Photos:
    images = torch.stack([walls(pose, **options)[0] for pose in poses])
    height, width = images.shape[-2:]
    focal = options.get("focal", FOCAL)
    intrinsics = torch.tensor([focal, focal, width / 2, height / 2]).expand(1, len(poses), 4)
    return Photos(images[None], torch.stack(poses)[None], intrinsics)


def target(pose: torch.Tensor, height: int = SIZE, width: int = SIZE, focal: float = FOCAL) -> Target:
    return Target(pose[None], torch.tensor([[focal, focal, width / 2, height / 2]]), height, width)


AROUND = (
    camera(-0.25),
    camera(0.25, 0.05),
    camera(0.05, -0.25, 0.1),
    camera(-0.05, 0.25, 0, 3),
    camera(0.3, 0.2, 0, -4),
)


def psnr(picture: torch.Tensor, truth: torch.Tensor) -> float:
    return float(-10 * (picture - truth).square().mean().log10())


def test_a_point_is_looked_up_where_the_photo_shows_it():
    pose = camera(0.1, -0.1, 0.2, 5)
    truth, depth = walls(pose)
    photos = posed(*AROUND)
    seen_colours, seen = look_up(photos.images, sights_of(target(pose), photos), (1 / depth)[None, None])
    assert seen.float().mean() > 0.8
    for view in range(len(AROUND)):
        there = seen[0, view, 0]
        off = (seen_colours[0, view, :, 0] - truth).abs().amax(0)[there]
        assert off.quantile(0.8) < 0.05, view  # the others lie behind the front wall's edge


def test_cosines_are_those_of_the_angles_between_rays():
    pose, photos = camera(0.1, -0.1, 0.2, 5), posed(*AROUND)
    to = target(pose)
    inverse_depth = torch.rand(1, 3, SIZE, SIZE) + 0.1
    points = (
        rays_in_camera(to.fxfycxcy, to.height, to.width)[:, :, None] / inverse_depth[:, None]
    )  # (1, 3, D, H, W), target's axes
    world = torch.einsum("ij,bjdhw->bidhw", pose[:3, :3], points) + pose[:3, 3, None, None, None]
    own = torch.nn.functional.normalize(world - pose[:3, 3, None, None, None], dim=1)
    for view, other in enumerate(AROUND):
        theirs = torch.nn.functional.normalize(world - other[:3, 3, None, None, None], dim=1)
        found = cosines(sights_of(to, photos), inverse_depth)[:, view]
        torch.testing.assert_close(found, (own * theirs).sum(1), rtol=0, atol=1e-5)


def test_photos_agree_at_the_true_depth_and_nowhere_else():
    pose, photos = camera(0.0), posed(*AROUND)
    _, depth = walls(pose)
    planes = torch.stack([1 / depth, 1 / depth + 0.08, 1 / depth - 0.08])[None]
    differences = disagreement(*look_up(photos.images, sights_of(target(pose), photos), planes))[0]
    inside = (slice(16, -16), slice(16, -16))
    assert (differences[0] < differences[1])[inside].float().mean() > 0.9
    assert (differences[0] < differences[2])[inside].float().mean() > 0.9


@pytest.mark.parametrize("size", [(SIZE, SIZE), (2 * SIZE, 2 * SIZE), (150, 210)])
def test_colours_and_depth_of_a_new_view_are_found_at_any_size(size):
    height, width = size
    pose, focal = camera(0.03, 0.02, 0.1, 1), FOCAL * max(size) / SIZE
    photos = posed(*AROUND, height=height, width=width, focal=focal)
    truth, depth = walls(pose, height, width, focal)
    found = sweep(photos, target(pose, height, width, focal), NEAR, FAR)
    assert found.picture.shape == (1, 3, height, width)
    inside = (slice(None), slice(height // 8, -height // 8), slice(width // 8, -width // 8))  # what several photos see
    reached = psnr(found.picture[0][inside], truth[inside])
    assert reached > 23 and reached > psnr(photos.images[0, 0][inside], truth[inside]) + 8
    error = (found.inverse_depth[0] - 1 / depth).abs()
    assert error.median() < 0.02 and (error < 0.04).float().mean() > 0.75
    assert found.confidence.mean() > 0.6


def test_where_no_photo_sees_the_guide_is_shown():
    pose = camera(0.0, turn=180)  # looks away from all that the photos show
    guide = torch.rand(1, 3, SIZE, SIZE)
    found = sweep(posed(*AROUND), target(pose), NEAR, FAR, guide)
    torch.testing.assert_close(found.picture, guide)
    assert found.confidence.max() == 0


def test_what_one_of_several_photos_sees_is_not_trusted():
    """However near the others stand: one photo agrees with itself at every depth."""
    looks_away = camera(0.05, turn=180)
    guide = torch.rand(1, 3, SIZE, SIZE)
    found = sweep(posed(camera(-0.05), looks_away), target(camera(0.0)), NEAR, FAR, guide)
    torch.testing.assert_close(found.picture, guide)
    assert found.confidence.max() == 0


def test_a_guide_decides_between_depths_at_which_photos_agree_alike():
    """Grey walls agree at all depths; where the guide is grey too, and coloured elsewhere, nothing is torn."""
    photos = posed(*AROUND)
    grey = Photos(torch.full_like(photos.images, 0.5), photos.camera_to_world, photos.fxfycxcy)
    found = sweep(grey, target(camera(0.0)), NEAR, FAR, torch.full((1, 3, SIZE, SIZE), 0.5))
    torch.testing.assert_close(found.picture, torch.full_like(found.picture, 0.5), rtol=0, atol=1e-4)


BAD = {
    "one photo only": posed(AROUND[0]),
    "all photos from one place": posed(*[camera(0.1, turn=turn) for turn in (-4, 0, 4)]),
    "photos of different exposure": Photos(
        posed(*AROUND).images * torch.tensor([0.5, 0.8, 1.0, 0.6, 0.9]).view(1, 5, 1, 1, 1),
        posed(*AROUND).camera_to_world,
        posed(*AROUND).fxfycxcy,
    ),
    "photos behind the walls": posed(*[camera(x, z=9.0) for x in (-0.2, 0.0, 0.2)]),
    "photos without overlap": posed(camera(-30.0), camera(0.0, 40.0), camera(30.0)),
    "photos at the target": posed(camera(0.0), camera(0.0)),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_photos_give_a_finite_picture(name):
    guide = torch.full((1, 3, SIZE, SIZE), 0.4)
    for shown in (guide, None):
        found = sweep(BAD[name], target(camera(0.0)), NEAR, FAR, shown)
        for part in (found.picture, found.inverse_depth, found.confidence):
            assert part.isfinite().all() and part.min() >= 0
        assert found.picture.max() <= 1 and found.confidence.max() <= 1


def test_depths_that_make_no_sense_give_a_finite_picture():
    for near, far in ((1e-6, 1e9), (5.0, 5.0), (10.0, 1.0)):
        found = sweep(posed(*AROUND), target(camera(0.0)), torch.tensor([near]), torch.tensor([far]))
        assert found.picture.isfinite().all() and found.inverse_depth.isfinite().all()


def test_bands_make_the_same_picture():
    photos, to = posed(*AROUND), target(camera(0.03))
    whole = sweep(photos, to, NEAR, FAR, torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)))
    rows = plane_sweep.band_rows(SIZE)
    assert rows >= SIZE
    banded = sweep(
        photos,
        to,
        NEAR,
        FAR,
        torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)),
        band_pixels=20 * SIZE,
    )
    torch.testing.assert_close(banded.picture, whole.picture, rtol=0, atol=1e-4)
    torch.testing.assert_close(banded.inverse_depth, whole.inverse_depth, rtol=0, atol=1e-4)


def test_photos_of_several_sizes_stand_in_one_array():
    """What lies beyond a smaller photo is not seen."""
    whole = posed(*AROUND)
    cut = [image[:, :70, :80] for image in whole.images[0]]
    padded = torch.stack([torch.nn.functional.pad(image, (0, 16, 0, 26), value=9.0) for image in cut])
    sizes = torch.tensor([80.0, 70.0]).expand(1, len(AROUND), 2)
    photos = Photos(padded[None], whole.camera_to_world, whole.fxfycxcy, sizes)
    found = sweep(photos, target(camera(0.0)), NEAR, FAR, torch.full((1, 3, SIZE, SIZE), 0.5))
    assert found.picture[..., :60, :70].max() < 1
    assert (found.picture[..., -8:, -8:] - 0.5).abs().max() < 0.51


def test_it_can_be_stopped_between_its_bands():
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        sweep(posed(*AROUND), target(camera(0.0), 2 * SIZE, 2 * SIZE, 2 * FOCAL), NEAR, FAR, check=check)
    calls = []
    sweep(posed(*AROUND), target(camera(0.0), 2 * SIZE, 2 * SIZE, 2 * FOCAL), NEAR, FAR, check=lambda: calls.append(1))
    assert len(calls) == bands_of(2 * SIZE, 2 * SIZE)
