"""Batches from folders, shards and captures with known pixels."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from lvsm_engine.photos import save_image
from lvsm_engine.scene.camera import Camera, View
from lvsm_engine.scene.captures import Capture, write_transforms
from tests.shared_data import shared
from training.batches.sampler import SceneSampler
from training.batches.scene_batch import SceneBatch, concatenated, scene_batch
from training.views.shards.folder import shard_files
from training.views.shards.pack import pack
from training.views.sheet import views_sheet
from training.views.sources import ShardSource, open_source, read_scenes
from training.views.stored import ViewsError

ROOT = Path(__file__).resolve().parents[3]


def write_object(folder: Path, name: str, views: int = 6, size: int = 8) -> None:
    """One scene whose view v has the red code 10 * v and whose camera stands at (v, 0, 0)."""
    folder.mkdir(exist_ok=True)
    images = np.zeros((views, size, size, 4), dtype=np.uint8)
    images[..., 0] = 10 * np.arange(views)[:, None, None]
    images[..., 3] = 255
    poses = np.tile(np.eye(4), (views, 1, 1))
    poses[:, 0, 3] = np.arange(views)
    fxfycxcy = np.tile([10.0, 10.0, size / 2, size / 2], (views, 1))
    np.savez_compressed(folder / f"{name}.npz", images=images, camera_to_world=poses, fxfycxcy=fxfycxcy)


def write_pool(folder: Path, scenes: int = 3, views: int = 6, size: int = 8) -> None:
    folder.mkdir(exist_ok=True)
    np.savez_compressed(
        folder / "00000.npz",
        images=np.full((scenes, views, size, size, 3), 200, dtype=np.uint8),
        camera_to_world=np.tile(np.eye(4), (scenes, views, 1, 1)),
        fxfycxcy=np.tile([10.0, 10.0, size / 2, size / 2], (scenes, views, 1)),
    )


def test_images_shrink_with_their_intrinsics(tmp_path: Path) -> None:
    write_object(tmp_path / "objects", "chair")
    (scene,) = read_scenes(tmp_path / "objects", 4)
    assert scene.images.shape == (6, 4, 4, 3)
    assert scene.fxfycxcy[0].tolist() == [5.0, 5.0, 2.0, 2.0]


def test_a_batch_keeps_each_image_with_its_camera(tmp_path: Path) -> None:
    write_object(tmp_path / "objects", "chair")
    batch = SceneSampler([(tmp_path / "objects", 1.0)], 4, seed=0).batch(0, scenes=5, views=3)
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
        batch = SceneSampler([(tmp_path / "objects", 1.0)], 8, seed).batch(number, 4, 4)
        return batch.names, batch.camera_to_world[:, :, 0, 3].ravel().tolist()

    assert drawn(1, 7) == drawn(1, 7)
    assert drawn(1, 7) != drawn(1, 8) and drawn(1, 7) != drawn(2, 7)


def test_folders_are_drawn_by_weight_whatever_their_sizes(tmp_path: Path) -> None:
    write_object(tmp_path / "objects", "chair")
    write_pool(tmp_path / "pool")
    sampler = SceneSampler([(tmp_path / "objects", 3.0), (tmp_path / "pool", 1.0)], 4, seed=0)
    names = [name for number in range(50) for name in sampler.batch(number, 8, 2).names]
    assert names.count("chair") / len(names) == pytest.approx(0.75, abs=0.07)
    assert {name for name in names if name != "chair"} == {"00000/0", "00000/1", "00000/2"}


def test_scenes_become_a_batch_whole_and_in_order(tmp_path: Path) -> None:
    write_object(tmp_path / "val", "b")
    write_object(tmp_path / "val", "a")
    batch = scene_batch(list(read_scenes(tmp_path / "val", 8)))
    assert batch.names == ("a", "b")
    assert batch.camera_to_world[0, :, 0, 3].tolist() == [0, 1, 2, 3, 4, 5]
    assert batch.alpha.shape == (2, 6, 8, 8) and bool((batch.alpha == 1).all())


def test_concatenated_batches_are_the_batch_of_their_scenes(tmp_path: Path) -> None:
    write_noise(tmp_path / "val", "a", "b", "c")
    scenes = list(read_scenes(tmp_path / "val", 8))
    assert_same(concatenated([scene_batch(scenes[:1]), scene_batch(scenes[1:])]), scene_batch(scenes))


def test_more_views_than_a_scene_has_are_refused(tmp_path: Path) -> None:
    write_object(tmp_path / "objects", "chair")
    with pytest.raises(ViewsError, match="chair has 6 views, 7 are asked for"):
        SceneSampler([(tmp_path / "objects", 1.0)], 8, seed=0).batch(0, 1, 7)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ViewsError, match="has no views"):
        SceneSampler([(tmp_path, 1.0)], 8, seed=0)


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
    sheet = views_sheet(tmp_path / "objects", 4, rows=2, columns=3)
    assert sheet.shape == (2 * 4, 3 * 4, 3)
    assert sheet[0, [0, 4, 8]].tolist() == [[0, 0, 0], [10, 0, 0], [255, 255, 255]]


# --- Shards ---


def write_noise(folder: Path, *names: str, views: int = 6, size: int = 8) -> Path:
    """Scenes of noise, a quarter of it clear, each with cameras of its own."""
    folder.mkdir(exist_ok=True)
    for name in names:
        rng = np.random.default_rng(list(name.encode()))
        images = rng.integers(0, 256, (views, size, size, 4), dtype=np.uint8)
        images[..., 3] = rng.choice([0, 90, 255, 255], (views, size, size))
        cameras = {
            "camera_to_world": rng.normal(size=(views, 4, 4)),
            "fxfycxcy": rng.normal(size=(views, 4)),
        }
        np.savez(folder / f"{name}.npz", images=images, **cameras)
    return folder


def assert_same(one: SceneBatch, other: SceneBatch) -> None:
    assert one.names == other.names
    assert torch.equal(one.images, other.images) and torch.equal(one.alpha, other.alpha)
    assert np.array_equal(one.camera_to_world, other.camera_to_world)
    assert np.array_equal(one.fxfycxcy, other.fxfycxcy)


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, Path]:
    """The same four scenes as .npz and as shards."""
    files = write_noise(tmp_path / "files", "chair", "lamp", "shoe", "table")
    pack(files, tmp_path / "shards", objects_per_shard=3)
    return files, tmp_path / "shards"


@pytest.mark.parametrize("memory", [2**30, 0])
def test_shards_give_the_batches_of_the_files_that_they_were_packed_from(packed, memory: int) -> None:
    files, shards = packed
    from_files, from_shards = (
        SceneSampler([(files, 1.0)], 4, seed=3),
        SceneSampler([(shards, 1.0)], 4, seed=3, memory=memory),
    )
    for number in (0, 1, 2, 1, 7):
        assert_same(from_files.batch(number, 5, 4), from_shards.batch(number, 5, 4))
    assert_same(*(scene_batch(list(read_scenes(folder, 8))) for folder in (files, shards)))
    assert np.array_equal(views_sheet(files, 4, 3, 7), views_sheet(shards, 4, 3, 7))


def test_views_of_shards_stay_in_memory_only_where_all_of_them_fit(packed, tmp_path: Path) -> None:
    _, shards = packed
    whole = 4 * 6 * 4 * 4 * 4  # scenes, views, pixels, bytes

    def survives_the_loss_of_its_files(memory: int) -> bool:
        sampler = SceneSampler([(shards, 1.0)], 4, seed=0, memory=memory)
        before = sampler.batch(0, 4, 4)
        held = {path: path.read_bytes() for path in shard_files(shards)}
        try:
            for path in held:
                path.write_bytes(bytes(len(held[path])))
            assert_same(sampler.batch(0, 4, 4), before)
        except ViewsError as error:
            assert "is damaged" in str(error)
            return False
        finally:
            for path, content in held.items():
                path.write_bytes(content)
        return True

    assert survives_the_loss_of_its_files(memory=whole)
    assert not survives_the_loss_of_its_files(memory=whole - 1)


def test_a_damaged_record_is_told_when_it_is_drawn(packed) -> None:
    _, shards = packed
    shard = shard_files(shards)[0]
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(ViewsError, match=r"00000\.array_record, record \d \(\w+\) is damaged"):
        SceneSampler([(shards, 1.0)], 4, seed=0).batch(0, 8, 2)


def test_shards_of_a_size_that_does_not_divide_are_refused(packed) -> None:
    with pytest.raises(ViewsError, match="has images of 8 pixels: 3 is not a divisor"):
        SceneSampler([(packed[1], 1.0)], 3, seed=0)


def test_files_that_do_not_fit_into_memory_are_refused_before_they_are_read(packed, tmp_path: Path) -> None:
    write_pool(tmp_path / "pool", scenes=100)
    with pytest.raises(
        ViewsError, match=r"take 0\.0 GiB at 8 px and a process may keep .*: pack them with training\.views\.shards"
    ):
        SceneSampler([(packed[1], 1.0), (tmp_path / "pool", 1.0)], 8, seed=0, memory=100 * 6 * 8 * 8 * 4 - 1)


# --- Captures ---


def write_capture(folder: Path, photos: int = 5, width: int = 40, height: int = 30) -> Path:
    """Photos whose middle 30x30 are red code 10 * v and whose sides are green; camera v stands at (v, 0, 0)."""
    folder.mkdir()
    views = []
    for v in range(photos):
        image = np.zeros((height, width, 3), np.uint8)
        image[:, :5, 1] = image[:, 35:, 1] = 255
        image[:, 5:35, 0] = 10 * v
        save_image(folder / f"{v}.png", image)
        pose = np.eye(4)
        pose[0, 3] = v
        views.append(View(Camera(pose, 50, 50, width / 2, height / 2, width, height), folder / f"{v}.png", f"{v}.png"))
    write_transforms(Capture("corner", tuple(views)), folder / "transforms.json")
    return folder


def test_a_posed_capture_is_one_scene_whose_photos_are_cut_square_with_their_cameras(tmp_path: Path) -> None:
    capture = write_capture(tmp_path / "corner")
    (scene,) = read_scenes(capture, 15)
    assert scene.name == "corner" and scene.images.shape == (5, 15, 15, 3) and (scene.alpha == 255).all()
    assert scene.images[:, 7, 7, 0].tolist() == [0, 10, 20, 30, 40] and not scene.images[..., 1].any()
    assert np.allclose(scene.fxfycxcy, [25, 25, 7.5, 7.5])
    batch = SceneSampler([(capture, 1.0)], 15, seed=0).batch(0, scenes=2, views=4)
    assert batch.images[:, :, 0, 7, 7].numpy() * 255 == pytest.approx(10 * batch.camera_to_world[:, :, 0, 3], abs=1e-3)


def test_a_capture_is_mixed_with_objects(tmp_path: Path) -> None:
    write_object(tmp_path / "objects", "chair", size=30)
    sampler = SceneSampler(
        [(tmp_path / "objects", 1.0), (write_capture(tmp_path / "corner") / "transforms.json", 1.0)], 15, seed=0
    )
    assert set(sampler.batch(0, 12, 3).names) == {"chair", "corner"}


def test_photos_that_are_not_there_are_left_out_and_damaged_ones_named(tmp_path: Path) -> None:
    capture = write_capture(tmp_path / "corner")
    (capture / "1.png").unlink()
    (scene,) = read_scenes(capture, 15)
    assert scene.camera_to_world[:, 0, 3].tolist() == [0, 2, 3, 4]
    (capture / "3.png").write_bytes(b"no photo")
    with pytest.raises(ViewsError, match=r"3\.png: the photo of .* cannot be read"):
        list(read_scenes(capture, 15))


def test_a_capture_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "transforms.json").write_text('{"frames": 3')
    with pytest.raises(ViewsError, match=r"transforms\.json is no JSON"):
        open_source(tmp_path, 8)


def test_a_real_capture_of_distorted_photos_is_read(tmp_path: Path) -> None:
    (scene,) = read_scenes(shared("captures", "miku_plush_colmap"), 32)
    assert len(scene.images) > 10 and scene.images.shape[1:] == (32, 32, 3)
    assert np.allclose(scene.fxfycxcy[:, 2:], 16, atol=4) and scene.images.std() > 20


# --- Streams ---


def test_a_stream_is_the_batches_of_its_numbers(packed) -> None:
    sampler = SceneSampler([(packed[1], 1.0)], 4, seed=0)
    numbers = range(5, 14, 3)
    for number, batch in zip(numbers, sampler.stream(numbers, 3, 4), strict=True):
        assert_same(batch, sampler.batch(number, 3, 4))


def test_loading_processes_give_the_same_batches_resume_anywhere_and_end_with_the_stream(
    packed, tmp_path: Path
) -> None:
    mixture = [(packed[1], 2.0), (packed[0], 1.0), (write_capture(tmp_path / "corner", height=32, width=32), 1.0)]
    here = list(SceneSampler(mixture, 8, seed=5).stream(range(7, 21, 2), 4, 4))
    sampler = SceneSampler(mixture, 8, seed=5)
    stream = sampler.stream(range(11, 2001, 2), 4, 4, workers=2)  # resumed two batches later
    for batch in here[2:]:
        assert_same(next(stream), batch)
    assert len(multiprocessing.active_children()) == 2
    stream.close()
    assert multiprocessing.active_children() == []


def test_loading_goes_on_when_a_whole_group_is_told_to_end(packed) -> None:
    """As torchrun does, whose trainers finish their step then."""
    sampler = SceneSampler([(packed[1], 1.0)], 4, seed=0)
    stream = sampler.stream(range(1000), 2, 2, workers=1, ahead=1)
    next(stream)
    (worker,) = multiprocessing.active_children()
    worker.terminate()
    for number in range(1, 40):
        assert_same(next(stream), sampler.batch(number, 2, 2))
    stream.close()
    assert multiprocessing.active_children() == []


def test_a_loading_process_hands_on_what_is_wrong(packed) -> None:
    sampler = SceneSampler([(packed[1], 1.0)], 4, seed=0)
    for shard in shard_files(packed[1]):
        shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(ViewsError, match="is damaged"):
        next(sampler.stream(range(1000), 2, 2, workers=1))
    assert multiprocessing.active_children() == []


def test_loading_processes_do_not_outlive_a_trainer_that_is_killed(packed, tmp_path: Path) -> None:
    script = tmp_path / "trainer.py"
    script.write_text(
        "import multiprocessing, time\n"
        "from training.batches.sampler import SceneSampler\n"
        "if __name__ == '__main__':\n"
        f"    stream = SceneSampler([({str(packed[1])!r}, 1.0)], 4, seed=0).stream(range(1000), 2, 2, workers=1)\n"
        "    next(stream)\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    trainer = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert trainer.stdout
    worker = int(trainer.stdout.readline())
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    until = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


def test_a_stream_refuses_a_scene_with_too_few_views_before_its_first_batch(packed, tmp_path: Path) -> None:
    write_noise(tmp_path / "few", "a", "b")
    write_noise(tmp_path / "few", "stool", views=3)
    with pytest.raises(ViewsError, match="stool has 3 views, 4 are asked for"):
        SceneSampler([(packed[1], 1.0), (tmp_path / "few", 1.0)], 4, seed=0).stream(range(10), 2, 4)


def test_loading_processes_share_the_memory(packed) -> None:
    whole = 4 * 6 * 4 * 4 * 4
    with pytest.raises(ViewsError, match="pack them with training.views.shards"):
        SceneSampler([(packed[0], 1.0)], 4, seed=0, memory=2 * whole - 1).stream(range(10), 2, 4, workers=2)
    sampler = SceneSampler([(packed[1], 1.0)], 4, seed=0, memory=2 * whole - 1)
    assert [source.keep for source in sampler._sources if isinstance(source, ShardSource)] == [True]
    sampler.stream(range(10), 2, 4, workers=2)
    assert [source.keep for source in sampler._sources if isinstance(source, ShardSource)] == [False]


# --- Procedural scenes, on the fly ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_procedural_scenes_are_drawn_on_the_fly_and_the_same_again(workers):
    sampler = SceneSampler([("procedural:mixed", 1.0)], 16, seed=3)
    first, again = (list(sampler.stream(range(5, 7), 2, 4, workers)) for _ in range(2))
    assert first[0].images.shape == (2, 4, 3, 16, 16)
    assert len({name for batch in first for name in batch.names}) == 4
    for batch, other in zip(first, again, strict=True):
        assert_same(batch, other)
        assert_same(batch, sampler.batch(5 if batch is first[0] else 6, 2, 4))


def test_a_chosen_view_of_a_procedural_scene_is_the_one_that_all_views_hold():
    source = open_source(Path("procedural:objects"), 16)
    whole, some = (source.read(9, np.array(numbers)) for numbers in (range(32), [30, 2]))
    assert np.array_equal(some.images, whole.images[[30, 2]])
    assert np.array_equal(some.camera_to_world, whole.camera_to_world[[30, 2]])


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("procedural:trees", "must be one of objects, scenes, mixed"),
        ("procedural:objects:/none", "no JPEG or PNG image"),
    ],
)
def test_procedural_scenes_that_cannot_be_are_refused(word, sentence):
    with pytest.raises(ViewsError, match=sentence):
        SceneSampler([(word, 1.0)], 16, seed=0)
