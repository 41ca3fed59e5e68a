"""Batches from folders of views with known pixels."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.scene_views import ViewsError, resample
from training.views import Views, contact_sheet, load_validation, read_scenes


def write_object(folder: Path, name: str, views: int = 6, size: int = 8) -> None:
    """One scene whose view v has the red code 10 * v and whose camera stands at (v, 0, 0)."""
    folder.mkdir(exist_ok=True)
    images = np.zeros((views, size, size, 4), dtype=np.uint8)
    images[..., 0] = 10 * np.arange(views)[:, None, None]
    images[..., 3] = 255
    poses = np.tile(np.eye(4), (views, 1, 1))
    poses[:, 0, 3] = np.arange(views)
    lenses = np.tile([10.0, 10.0, size / 2, size / 2], (views, 1))
    np.savez_compressed(folder / f"{name}.npz", images=images, camera_to_world=poses, fxfycxcy=lenses)


def write_pool(folder: Path, scenes: int = 3, views: int = 6, size: int = 8) -> None:
    folder.mkdir(exist_ok=True)
    np.savez_compressed(
        folder / "00000.npz",
        images=np.full((scenes, views, size, size, 3), 200, dtype=np.uint8),
        camera_to_world=np.tile(np.eye(4), (scenes, views, 1, 1)),
        fxfycxcy=np.tile([10.0, 10.0, size / 2, size / 2], (scenes, views, 1)),
    )


def test_resample_averages_light_and_not_codes() -> None:
    image = np.full((1, 2, 2, 4), 255, dtype=np.uint8)
    image[0, 0, :, :3] = 0  # a black row over a white one: half the light
    small, alpha = resample(image, 1)
    assert small[0, 0, 0].tolist() == [188, 188, 188] and alpha[0, 0, 0] == 255


def test_resample_gives_clear_pixels_no_say_in_the_colour() -> None:
    image = np.zeros((1, 2, 2, 4), dtype=np.uint8)
    image[0, :, 0] = [255, 0, 0, 255]
    image[0, :, 1] = [0, 255, 0, 0]  # hidden green
    small, alpha = resample(image, 1)
    assert small[0, 0, 0].tolist() == [255, 188, 188] and alpha[0, 0, 0] == 128  # red, half over white


def test_resample_at_the_stored_size_lays_over_white_alone() -> None:
    image = np.array([[[[10, 20, 30, 255], [10, 20, 30, 0]]] * 2], dtype=np.uint8)  # (1, 2, 2, 4)
    small, _ = resample(image, 2)
    assert small[0, 0].tolist() == [[10, 20, 30], [255, 255, 255]]


def test_images_shrink_with_their_intrinsics(tmp_path: Path) -> None:
    write_object(tmp_path / "objects", "chair")
    (scene,) = read_scenes(tmp_path / "objects", 4)
    assert scene.images.shape == (6, 4, 4, 3)
    assert scene.fxfycxcy[0].tolist() == [5.0, 5.0, 2.0, 2.0]


def test_a_batch_keeps_each_image_with_its_camera(tmp_path: Path) -> None:
    write_object(tmp_path / "objects", "chair")
    batch = Views([(tmp_path / "objects", 1.0)], 4, seed=0).batch(0, scenes=5, views=3)
    assert batch.images.shape == (5, 3, 3, 4, 4) and batch.images.dtype == torch.float32
    assert batch.camera_to_world.dtype == np.float64
    red = batch.images[:, :, 0, 0, 0].numpy() * 255
    assert red == pytest.approx(10 * batch.camera_to_world[:, :, 0, 3], abs=1e-3)
    for row in batch.camera_to_world[:, :, 0, 3]:
        assert len(set(row)) == 3  # no view twice


def test_a_batch_is_a_function_of_seed_and_number(tmp_path: Path) -> None:
    write_object(tmp_path / "objects", "chair")
    write_object(tmp_path / "objects", "table")

    def drawn(seed: int, number: int) -> tuple[tuple[str, ...], list[float]]:
        batch = Views([(tmp_path / "objects", 1.0)], 8, seed).batch(number, 4, 4)
        return batch.names, batch.camera_to_world[:, :, 0, 3].ravel().tolist()

    assert drawn(1, 7) == drawn(1, 7)
    assert drawn(1, 7) != drawn(1, 8) and drawn(1, 7) != drawn(2, 7)


def test_folders_are_drawn_by_weight_whatever_their_sizes(tmp_path: Path) -> None:
    write_object(tmp_path / "objects", "chair")
    write_pool(tmp_path / "pool")
    views = Views([(tmp_path / "objects", 3.0), (tmp_path / "pool", 1.0)], 4, seed=0)
    names = [name for number in range(50) for name in views.batch(number, 8, 2).names]
    assert names.count("chair") / len(names) == pytest.approx(0.75, abs=0.07)
    assert {name for name in names if name != "chair"} == {"00000/0", "00000/1", "00000/2"}


def test_validation_scenes_come_whole_and_in_order(tmp_path: Path) -> None:
    write_object(tmp_path / "val", "b")
    write_object(tmp_path / "val", "a")
    scenes = load_validation(tmp_path / "val", 8)
    assert [scene.names for scene in scenes] == [("a",), ("b",)]
    assert scenes[0].camera_to_world[0, :, 0, 3].tolist() == [0, 1, 2, 3, 4, 5]
    assert scenes[0].alpha.shape == (1, 6, 8, 8) and bool((scenes[0].alpha == 1).all())


def test_more_views_than_a_scene_has_are_refused(tmp_path: Path) -> None:
    write_object(tmp_path / "objects", "chair")
    with pytest.raises(ViewsError, match="chair has 6 views, 7 are asked for"):
        Views([(tmp_path / "objects", 1.0)], 8, seed=0).batch(0, 1, 7)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ViewsError, match="has no views"):
        Views([(tmp_path, 1.0)], 8, seed=0)


def test_a_size_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    write_object(tmp_path / "objects", "chair")
    with pytest.raises(ViewsError, match=r"chair\.npz has images of 8 pixels: 3 is not a divisor"):
        list(read_scenes(tmp_path / "objects", 3))


@pytest.mark.parametrize("damage", ["cut short", "other contents", "no archive"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    write_object(tmp_path / "objects", "chair")
    path = tmp_path / "objects" / "chair.npz"
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "other contents":
        np.savez(path, pictures=np.zeros(3))
    else:
        path.write_bytes(b"views")
    with pytest.raises(ViewsError, match=r"chair\.npz cannot be read"):
        list(read_scenes(tmp_path / "objects", 8))


def test_a_contact_sheet_has_a_row_a_scene_and_pads_short_ones(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_object(tmp_path / "objects", name, views=2)
    sheet = contact_sheet(tmp_path / "objects", 4, rows=2, columns=3)
    assert sheet.shape == (2 * 4, 3 * 4, 3)
    assert sheet[0, [0, 4, 8]].tolist() == [[0, 0, 0], [10, 0, 0], [255, 255, 255]]
