"""Solve Cameras: plain photos become a capture, or a sentence says why not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lvsm_engine.camera_solver import (
    DISTANCE,
    MAX_PHOTOS_IN_PAIRS,
    MIN_COMMON_POINTS,
    Solved,
    pairs_of,
    photos_of,
    solve_cameras,
    tied_photos,
)
from lvsm_engine.errors import Cancelled, CaptureError
from lvsm_engine.progress import Progress
from lvsm_engine.scene.captures import load_capture
from tests.shared_data import shared

PHOTOS = [f"DJI_00{number}.jpg" for number in (24, 25, 26, 27, 28)]
# Large enough for copies of half their size.
SIZE = (5334, 3000)


@pytest.fixture(scope="module")
def beach() -> Path:
    return shared("captures/brighton_beach_colmap")


@pytest.fixture(scope="module")
def folder(beach: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photos that share much, enlarged, one as PNG; one of nothing, and a file that is no photo."""
    folder = tmp_path_factory.mktemp("photos")
    for name in PHOTOS:
        photo = Image.open(beach / "images" / name).resize(SIZE)
        photo.save(folder / (name if name != PHOTOS[0] else "DJI_0024.png"), quality=90)
    Image.new("RGB", SIZE, "grey").save(folder / "grey.jpg")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff and no more")
    (folder / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture(scope="module")
def stages() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def solved(folder: Path, stages: list[Progress]) -> Solved:
    return solve_cameras(folder, stages.append)


def noise(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, (120, 160, 3), np.uint8)).save(folder / f"{number}.png")


def test_all_photos_that_share_things_are_placed(solved: Solved) -> None:
    assert solved.placed == ("DJI_0024.png", *PHOTOS[1:])


def test_photos_that_cannot_be_read_or_placed_are_named(solved: Solved) -> None:
    torn, left = solved.warnings
    assert "torn.jpg" in torn
    assert left == "5 of 7 photos were placed, and not grey.jpg, torn.jpg."


def test_the_model_is_a_capture_of_the_photos_at_their_own_size(solved: Solved, folder: Path) -> None:
    capture = load_capture(solved.model)
    assert [view.photo for view in capture.views] == [folder / name for name in solved.placed]
    assert {(view.camera.width, view.camera.height) for view in capture.views} == {SIZE}
    assert all(
        abs(view.camera.cx - SIZE[0] / 2) < 2 and abs(view.camera.cy - SIZE[1] / 2) < 2 for view in capture.views
    )


def test_cameras_turn_as_the_true_ones_do(solved: Solved, beach: Path) -> None:
    true = {Path(view.name).stem: view.camera.camera_to_world[:3, :3] for view in load_capture(beach).views}
    found = {Path(view.name).stem: view.camera.camera_to_world[:3, :3] for view in load_capture(solved.model).views}
    first, *others = found
    for other in others:
        turns = [rotations[first].T @ rotations[other] for rotations in (true, found)]
        angle = np.degrees(np.arccos(np.clip((np.trace(turns[0].T @ turns[1]) - 1) / 2, -1, 1)))
        assert angle < 8  # flat ground tells little of the lens


def test_the_world_is_upright_around_its_subject(solved: Solved) -> None:
    capture = load_capture(solved.model)
    assert np.allclose(capture.up, [0, 0, 1], atol=1e-6)
    assert np.mean([np.linalg.norm(view.camera.position) for view in capture.views]) == pytest.approx(DISTANCE)


def test_progress_goes_through_all_stages(solved: Solved, stages: list[Progress]) -> None:
    assert list(dict.fromkeys(progress.stage for progress in stages)) == [
        "Reading photos",
        "Finding features",
        "Comparing photos",
        "Placing photos",
    ]


def test_a_folder_that_is_solved_is_not_solved_again(solved: Solved, folder: Path) -> None:
    with pytest.raises(CaptureError, match=r"has solved cameras already: import .*sparse, or remove it"):
        solve_cameras(folder)


def test_photos_without_anything_in_common_are_a_sentence_and_leave_nothing(tmp_path: Path) -> None:
    noise(tmp_path, 3)
    with pytest.raises(CaptureError, match="None of the 3 photos of .* could be placed"):
        solve_cameras(tmp_path)
    assert not (tmp_path / "sparse").exists()


def test_a_model_of_too_few_of_the_photos_is_not_taken(beach: Path, tmp_path: Path) -> None:
    noise(tmp_path, 12)
    for name in PHOTOS[:3]:
        Image.open(beach / "images" / name).save(tmp_path / name)
    with pytest.raises(CaptureError, match=r"(Only \d|None) of the 15 photos of .* could be placed"):
        solve_cameras(tmp_path)


def test_a_cancel_leaves_nothing(tmp_path: Path) -> None:
    noise(tmp_path, 4)
    stages: list[str] = []
    with pytest.raises(Cancelled):
        solve_cameras(tmp_path, lambda progress: stages.append(progress.stage), lambda: "Comparing photos" in stages)
    assert stages[-1] == "Comparing photos"
    assert not (tmp_path / "sparse").exists()


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_photos_are_a_sentence(tmp_path: Path, count: int) -> None:
    noise(tmp_path, count)
    with pytest.raises(CaptureError, match=f"holds {count} photos: choose a folder with at least 3"):
        solve_cameras(tmp_path)


def test_photos_that_share_too_few_points_with_the_rest_are_not_trusted() -> None:
    many, few = MIN_COMMON_POINTS, MIN_COMMON_POINTS - 1
    tracks = [{1, 2}] * many + [{2, 3}] * many + [{3, 4}] * few + [{4, 5}] * many + [{1, 4}] * few
    assert tied_photos([1, 2, 3, 4, 5, 6], tracks) == {1, 2, 3}


def test_photos_may_lie_in_a_folder_of_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    noise(tmp_path / "images", 2)
    assert [photo.name for photo in photos_of(tmp_path)] == ["0.png", "1.png"]


def test_all_pairs_of_few_photos_are_compared() -> None:
    assert pairs_of("abc") == [("a", "b"), ("a", "c"), ("b", "c")]


def test_of_many_photos_each_meets_its_next_ones_and_some_far_away() -> None:
    names = [str(number) for number in range(MAX_PHOTOS_IN_PAIRS * 4)]
    pairs = pairs_of(names)
    assert len(pairs) < len(names) * 30
    assert {("0", "1"), ("0", "20"), ("0", "32"), ("0", "512")} <= set(pairs)
    assert ("0", "33") not in pairs
