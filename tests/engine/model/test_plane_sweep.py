"""The plane sweep where depth and colours are known."""

import math

import pytest
import torch

from lvsm_engine.errors import Cancelled, CheckpointError
from lvsm_engine.model.plane_sweep.blend import Blend
from lvsm_engine.model.plane_sweep.blend_file import load_blend, save_blend
from lvsm_engine.model.plane_sweep.depth_maps import DepthMaps, confirmed
from lvsm_engine.model.plane_sweep.emptiness import emptiness
from lvsm_engine.model.plane_sweep.evidence import HARDLY_PRESENT, Evidence
from lvsm_engine.model.plane_sweep.filters import box_filtered, guided_filtered
from lvsm_engine.model.plane_sweep.matching import BAND_PIXELS, band_rows
from lvsm_engine.model.plane_sweep.photo_depth import depth_map, differences
from lvsm_engine.model.plane_sweep.planes import weighted_quantiles
from lvsm_engine.model.plane_sweep.reprojection import Photos, cosines, look_up, seen_at, sights_of
from lvsm_engine.model.plane_sweep.sweep import bands_of, search
from lvsm_engine.model.rays import rays_in_camera

from .walls import (
    AROUND,
    BACK,
    DISTANCE,
    FOCAL,
    FRONT,
    GREY,
    SIZE,
    WHITE,
    camera,
    maps_of,
    posed,
    psnr,
    swept,
    target,
    walls,
)


def lively_blend() -> Blend:
    """One that chooses by all that it is told, as a trained one does."""
    torch.manual_seed(0)
    blend = Blend()
    for layer in (blend.of_photo[-1], blend.of_guesses):
        torch.nn.init.normal_(layer.weight)
    return blend.requires_grad_(False)


def test_a_point_is_looked_up_where_the_photo_shows_it():
    pose = camera(0.1, -0.1, 0.2, 5)
    truth, depth = walls(pose)
    photos = posed(*AROUND)
    seen = seen_at(sights_of(target(pose), photos), (1 / depth)[None, None])
    colours = look_up(photos.images, photos.sizes, seen)
    assert seen.is_seen.float().mean() > 0.8
    for view in range(len(AROUND)):
        there = seen.is_seen[0, view, 0]
        off = (colours[0, view, :, 0] - truth).abs().amax(0)[there]
        assert off.quantile(0.8) < 0.05, view  # the others lie behind the front wall's edge


def test_a_points_depth_in_a_photo_is_that_along_the_photos_axis():
    pose, other = camera(0.1, -0.1, 0.2, 5), AROUND[3]
    to, inverse_depth = target(pose), torch.rand(1, 1, SIZE, SIZE) + 0.2
    seen = seen_at(sights_of(to, posed(other)), inverse_depth)
    points = to.points(inverse_depth[:, 0])[0]
    along = torch.einsum("i,ihw->hw", other[:3, 2], points - other[:3, 3, None, None])
    torch.testing.assert_close(1 / seen.inverse_depth[0, 0, 0], along, rtol=1e-4, atol=1e-4)


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


def test_boxes_are_means_of_what_is_there():
    x = torch.rand(2, 3, 11, 13)
    plain = torch.nn.functional.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
    torch.testing.assert_close(box_filtered(x, 5), plain)


def test_a_guide_keeps_its_edges_and_smooths_the_rest():
    guide = (torch.arange(20) >= 10).float().expand(1, 12, 20).contiguous()
    noisy = guide[:, None] + 0.1 * torch.randn(1, 1, 12, 20, generator=torch.Generator().manual_seed(0))
    smoothed = guided_filtered(noisy, guide, 5, 1e-3)
    assert (smoothed - guide[:, None]).abs().mean() < 0.3 * (noisy - guide[:, None]).abs().mean()
    assert smoothed[..., 10].mean() - smoothed[..., 9].mean() > 0.9


def test_quantiles_count_by_weight():
    values, weights = torch.tensor([[5.0, 1.0, 3.0, 2.0]]), torch.tensor([[0.0, 1.0, 1.0, 8.0]])
    low, middle, high = weighted_quantiles(values, weights, (0.05, 0.5, 0.95))
    assert (float(low), float(middle), float(high)) == (1.0, 2.0, 3.0)


def test_a_photo_is_like_its_neighbours_at_the_true_depth_and_nowhere_else():
    photos = posed(camera(0.0), *AROUND)
    _, depth = walls(camera(0.0))
    planes = torch.stack([1 / depth, 1 / depth + 0.08, 1 / depth - 0.08])[None]
    found = differences(photos.of([0]), photos.of([1, 2, 3, 4, 5]), planes)[0]
    inside = (slice(16, -16), slice(16, -16))
    assert (found[0] < found[1])[inside].float().mean() > 0.9
    assert (found[0] < found[2])[inside].float().mean() > 0.9


def test_the_depth_of_a_photo_is_found_whatever_its_range():
    """Beside neighbours, from a distance to the subject that is far from right."""
    photos = posed(camera(0.0), *AROUND)
    _, depth = walls(camera(0.0))
    inside = (slice(12, -12), slice(12, -12))
    for distance in (1.0, 3.0, 20.0):
        found = depth_map(photos.of([0]), photos.of([1, 2, 3]), torch.tensor([distance]))
        error = (found.inverse_depth[0, 0] - 1 / depth).abs()[inside]
        assert error.median() < 0.01 and (error < 0.03).float().mean() > 0.85, distance
        assert found.likelihood.min() >= 0 and found.likelihood.max() <= 1


def test_what_others_do_not_find_becomes_unlikely():
    photos = posed(*AROUND)
    maps, presence = maps_of(photos), torch.ones(1, len(AROUND))
    kept = confirmed(maps, photos, presence).likelihood[0, 0]
    wrong = maps.inverse_depth.clone()
    wrong[:, 0] += 0.3
    doubted = confirmed(DepthMaps(wrong, maps.likelihood, maps.sizes, maps.step), photos, presence).likelihood[0, 0]
    alone = confirmed(maps, photos, torch.tensor([[1.0, 0, 0, 0, 0]])).likelihood[0, 0]
    assert kept.mean() > 0.5 and doubted.mean() < 0.25 * kept.mean() and alone.mean() < 0.1 * kept.mean()


@pytest.mark.parametrize("size", [(SIZE, SIZE), (2 * SIZE, 2 * SIZE), (150, 210)])
def test_colours_and_depth_of_a_new_view_are_found_at_any_size(size):
    height, width = size
    pose, focal = camera(0.03, 0.02, 0.1, 1), FOCAL * max(size) / SIZE
    photos = posed(*AROUND, height=height, width=width, focal=focal)
    truth, depth = walls(pose, height, width, focal)
    found = swept(photos, target(pose, height, width, focal), torch.full((1, 3, height, width), 0.5))
    assert found.picture.shape == (1, 3, height, width)
    inside = (slice(None), slice(height // 8, -height // 8), slice(width // 8, -width // 8))  # what several photos see
    reached = psnr(found.picture[0][inside], truth[inside])
    assert reached > 24 and reached > psnr(photos.images[0, 0][inside], truth[inside]) + 8
    error = (found.inverse_depth[0] - 1 / depth).abs()
    assert error.median() < 0.02 and (error < 0.04).float().mean() > 0.75
    assert found.confidence.mean() > 0.6


def test_what_hides_behind_a_nearer_wall_is_not_copied_onto_it():
    """Wide to the side, where photos see parts of the back wall that the front one hides from the target."""
    pose = camera(-0.6)
    photos = posed(camera(-0.9), camera(-0.4, 0.1), camera(0.2), camera(0.5, -0.1))
    truth, depth = walls(pose)
    found = swept(photos, target(pose), GREY)
    front = depth < (FRONT + BACK) / 2
    front[:, -8:] = False
    right = (found.inverse_depth[0] - 1 / depth).abs() < 0.08
    assert right[front].float().mean() > 0.85
    assert (found.picture[0] - truth).abs().mean(0)[front & right].median() < 0.06


def ball(pose: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A striped ball around (0, 0, 3), cut out on white: image (3, H, W), and where it is (H, W)."""
    rays = rays_in_camera(torch.tensor([[FOCAL, FOCAL, SIZE / 2, SIZE / 2]]), SIZE, SIZE)[0]
    world = torch.nn.functional.normalize(torch.einsum("ij,jhw->ihw", pose[:3, :3], rays), dim=0)
    from_middle = pose[:3, 3] - torch.tensor([0.0, 0.0, 3.0])
    along = torch.einsum("i,ihw->hw", from_middle, world)
    under_root = along.square() - from_middle.square().sum() + 0.6**2
    point = from_middle[:, None, None] + (-along - under_root.clamp_min(0).sqrt()) * world
    colours = 0.4 + 0.3 * torch.sin(9 * point)
    return torch.where(under_root > 0, colours, 1.0), under_root > 0


def test_around_a_cut_out_subject_nothing_is_drawn():
    poses = (camera(-0.8, turn=15), camera(0.8, 0.2, turn=-15), camera(0.0, -0.4), camera(0.3, 0.5, turn=-6))
    images = torch.stack([ball(pose)[0] for pose in poses])
    intrinsics = torch.tensor([FOCAL, FOCAL, SIZE / 2, SIZE / 2]).expand(1, len(poses), 4)
    photos = Photos.whole(images[None], torch.stack(poses)[None], intrinsics)
    others = [[other for other in range(4) if other != number] for number in range(4)]
    empty = [~ball(pose)[1][None] for pose in poses]
    found = [depth_map(photos.of([n]), photos.of(others[n]), DISTANCE, empty[n]) for n in range(4)]
    maps = DepthMaps.stacked(found)
    _, is_ball = ball(camera(0.1, 0.1))
    drawn = search(photos, maps, torch.ones(1, 4), target(camera(0.1, 0.1)), DISTANCE, GREY, WHITE).decided()
    assert (drawn.alpha[0][is_ball] > 0.5).float().mean() > 0.97
    assert (drawn.alpha[0][~is_ball] < 0.5).float().mean() > 0.95
    outside = drawn.alpha[0] < 0.01
    assert (drawn.picture[0] - 1).abs()[:, outside].max() < 0.02 and drawn.confidence[0][outside].min() > 0.98


def test_a_wall_of_the_backgrounds_colour_is_no_cut_out():
    image = torch.ones(1, 3, 20, 30)
    image[:, :, 6:14, 10:20] = 0.5
    assert emptiness(image, WHITE)[0, :6].all() and not emptiness(image, WHITE)[0, 6:14, 10:20].any()
    image[:, :, -1] = 0.3  # it stands on a floor
    assert not emptiness(image, WHITE).any()
    inner = torch.full((1, 3, 20, 30), 0.5)
    inner[:, :, [0, -1]] = inner[:, :, :, [0, -1]] = 1.0
    inner[:, :, 8:12, 12:18] = 1.0  # white within the subject
    assert not emptiness(inner, WHITE)[0, 4:16, 4:26].any()


def test_a_photo_fades_in_without_a_jump():
    photos, to = posed(*AROUND), target(camera(0.03, 0.02))
    maps = maps_of(photos)

    def picture(last: float) -> torch.Tensor:
        presence = torch.tensor([[1.0, 1.0, 1.0, 1.0, last]])
        return search(photos, maps, presence, to, DISTANCE, GREY, WHITE).decided().picture

    without = (
        search(
            photos.of([0, 1, 2, 3]),
            DepthMaps(*(getattr(maps, name)[:, :4] for name in DepthMaps.__slots__)),
            torch.ones(1, 4),
            to,
            DISTANCE,
            GREY,
            WHITE,
        )
        .decided()
        .picture
    )
    torch.testing.assert_close(picture(0.0), without, rtol=0, atol=2e-3)
    steps = [(picture(share / 8) - picture((share + 1) / 8)).abs().mean() for share in range(8)]
    assert max(steps) < 0.6 * (picture(0.0) - picture(1.0)).abs().mean()


@pytest.mark.parametrize("blend", [None, load_blend()], ids=["by rule", "by blend"])
def test_where_no_photo_sees_the_guide_is_shown(blend):
    pose = camera(0.0, turn=180)  # looks away from all that the photos show
    guide = torch.rand(1, 3, SIZE, SIZE)
    found = swept(posed(*AROUND), target(pose), guide, blend=blend)
    torch.testing.assert_close(found.picture, guide, rtol=0, atol=1e-4)
    assert found.confidence.max() < 1e-4


def test_what_one_of_several_photos_sees_is_not_trusted():
    """However near the others stand: one photo agrees with itself at every depth."""
    looks_away = camera(0.05, turn=180)
    guide = torch.rand(1, 3, SIZE, SIZE)
    found = swept(posed(camera(-0.05), looks_away), target(camera(0.0)), guide)
    torch.testing.assert_close(found.picture, guide)
    assert found.confidence.max() == 0


def test_a_guide_decides_between_depths_at_which_photos_agree_alike():
    """Grey walls agree at all depths; where the guide is grey too, and coloured elsewhere, nothing is torn."""
    photos = posed(*AROUND)
    grey = Photos.whole(torch.full_like(photos.images, 0.5), photos.camera_to_world, photos.fxfycxcy)
    found = swept(grey, target(camera(0.0)), GREY)
    torch.testing.assert_close(found.picture, torch.full_like(found.picture, 0.5), rtol=0, atol=1e-4)


BAD = {
    "one photo only": posed(AROUND[0]),
    "all photos from one place": posed(*[camera(0.1, turn=turn) for turn in (-4, 0, 4)]),
    "photos of different exposure": Photos.whole(
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
    found = swept(BAD[name], target(camera(0.0)), torch.full((1, 3, SIZE, SIZE), 0.4), blend=load_blend())
    for part in (found.picture, found.inverse_depth, found.confidence):
        assert part.isfinite().all() and part.min() >= 0
    assert found.picture.max() <= 1 and found.confidence.max() <= 1


@pytest.mark.parametrize("distance", [1e-6, 1e6])
def test_distances_that_make_no_sense_give_a_finite_picture(distance):
    photos, away = posed(*AROUND), torch.tensor([distance])
    count = len(AROUND)
    found = [
        depth_map(photos.of([n]), photos.of([other for other in range(count) if other != n]), away)
        for n in range(count)
    ]
    maps = DepthMaps.stacked(found)
    result = search(photos, maps, torch.ones(1, count), target(camera(0.0)), away, GREY, WHITE).blended(load_blend())
    assert result.picture.isfinite().all() and result.inverse_depth.isfinite().all()


def test_bands_make_the_same_picture():
    photos, to = posed(*AROUND), target(camera(0.03))
    guide = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    assert band_rows(SIZE, BAND_PIXELS) >= SIZE
    whole, banded = (
        swept(photos, to, guide, blend=lively_blend(), band_pixels=pixels) for pixels in (BAND_PIXELS, 20 * SIZE)
    )
    for name in ("picture", "inverse_depth", "confidence", "alpha"):
        torch.testing.assert_close(getattr(banded, name), getattr(whole, name), rtol=0, atol=1e-4)


def test_photos_of_several_sizes_stand_in_one_array():
    """What lies beyond a smaller photo is not seen."""
    whole = posed(*AROUND)
    cut = [image[:, :70, :80] for image in whole.images[0]]
    padded = torch.stack([torch.nn.functional.pad(image, (0, 16, 0, 26), value=9.0) for image in cut])
    sizes = torch.tensor([80.0, 70.0]).expand(1, len(AROUND), 2)
    photos = Photos(padded[None], whole.camera_to_world, whole.fxfycxcy, sizes)
    shown = search(photos, maps_of(whole), torch.ones(1, len(AROUND)), target(camera(0.0)), DISTANCE, GREY, WHITE)
    found = shown.decided()
    truth, _ = walls(camera(0.0))
    assert (found.picture[0] - truth)[:, 10:50, 10:60].abs().mean() < 0.06
    assert (found.picture[..., -8:, -8:] - 0.5).abs().max() < 0.51


def test_it_can_be_stopped_between_its_bands():
    calls = []
    to = target(camera(0.0), 2 * SIZE, 2 * SIZE, 2 * FOCAL)
    guide = torch.full((1, 3, 2 * SIZE, 2 * SIZE), 0.5)

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        swept(posed(*AROUND), to, guide, check=check)
    calls = []
    swept(posed(*AROUND), to, guide, blend=Blend(), check=lambda: calls.append(1))
    assert len(calls) == bands_of(2 * SIZE, 2 * SIZE)


def test_a_blend_shows_what_the_rule_decides_before_it_is_trained():
    photos, to = posed(*AROUND), target(camera(0.03))
    by_rule, blended = swept(photos, to, GREY), swept(photos, to, GREY, blend=Blend())
    assert (by_rule.picture - blended.picture).abs().mean() < 0.01
    torch.testing.assert_close(by_rule.inverse_depth, blended.inverse_depth)


def test_a_blend_makes_nothing_up():
    """Every colour lies between the least and the most of what may be shown there."""
    photos, to = posed(*AROUND), target(camera(0.03))
    found = search(photos, maps_of(photos), torch.ones(1, len(AROUND)), to, DISTANCE, GREY, WHITE)
    evidence = found.evidence()
    shown = found.blended(lively_blend()).picture.permute(0, 2, 3, 1)
    assert (shown >= evidence.colours.amin(-2).clamp(0, 1) - 1e-5).all()
    assert (shown <= evidence.colours.amax(-2).clamp(0, 1) + 1e-5).all()


def test_a_blend_does_not_depend_on_the_order_of_the_photos_nor_on_those_that_see_nothing():
    photos, to = posed(*AROUND), target(camera(0.03))
    backwards = list(range(len(AROUND)))[::-1]
    found, turned = (swept(some, to, GREY, blend=lively_blend()) for some in (photos, photos.of(backwards)))
    torch.testing.assert_close(found.picture, turned.picture, rtol=0, atol=2e-3)
    evidence = search(photos, maps_of(photos), torch.ones(1, len(AROUND)), to, DISTANCE, GREY, WHITE).evidence().flat()
    padded = Evidence(*(with_an_absent_photo(getattr(evidence, name), name) for name in Evidence.__slots__))
    weights, of_padded = lively_blend()(evidence), lively_blend()(padded)
    torch.testing.assert_close(of_padded[:, :-1], weights, rtol=1e-4, atol=1e-4)


def with_an_absent_photo(values: torch.Tensor, name: str) -> torch.Tensor:
    """Evidence as training pads it where a target has fewer photos than another."""
    if name == "of_places":
        return values
    absent = values.new_full((len(values), 1, *values.shape[2:]), math.log(HARDLY_PRESENT) if name == "prior" else 0.0)
    return torch.cat([values, absent], 1)


def test_a_blend_comes_back_from_its_file_and_a_damaged_file_is_refused_in_a_sentence(tmp_path):
    path, blend = tmp_path / "detail.safetensors", lively_blend()
    save_blend(path, blend, "what it learned from")
    for name, tensor in load_blend(path).state_dict().items():
        torch.testing.assert_close(tensor, blend.state_dict()[name])
    whole = path.read_bytes()
    for content in (
        b"",
        whole[:100],
        whole[:-4],
        whole.replace(b"lvsm_detail", b"lvsm_detial"),
        whole[:-4] + b"\xff" * 4,
    ):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"detail\.safetensors: the weights of the detail cannot be used"):
            load_blend(path)
    with pytest.raises(CheckpointError, match="No such file"):
        load_blend(tmp_path / "absent.safetensors")
