"""Shards: what is packed comes back, only what is asked for is decoded, and whatever is damaged is named."""

import contextlib
import dataclasses
import json
import pickle
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image

from lvsm_engine.errors import OutputError
from training.json_lines import ListError, append_lines
from training.objects.manifest import Origin, read_origins
from training.views.shards.__main__ import main
from training.views.shards.folder import Shards, read_index, shard_files
from training.views.shards.inspection import find_damage
from training.views.shards.pack import WRITER_OPTIONS, pack
from training.views.shards.record import decode_header, decode_record, encode_record
from training.views.stored import StoredScene, ViewsError, read_file

ROOT = Path(__file__).resolve().parents[3]
ORIGIN = Origin(
    name="teapot",
    licence="CC-BY-4.0",
    author="Ada",
    address="https://example.org/teapot",
    sha256="ab" * 32,
    split="train",
)


def noise(name: str, views: int = 4, size: int = 16, channels: int = 4) -> StoredScene:
    """A scene of noise of its own, half of it clear."""
    rng = np.random.default_rng(list(name.encode()))
    images = rng.integers(0, 256, (views, size, size, channels), dtype=np.uint8)
    if channels == 4:
        images[..., 3] |= 1
        images[:, : size // 2, :, 3] = 0
    return StoredScene(name, images, rng.normal(size=(views, 4, 4)), rng.normal(size=(views, 4)))


def write_npz(folder: Path, *names: str, **kind) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        scene = noise(name, **kind)
        np.savez(
            folder / f"{name}.npz",
            images=scene.images,
            camera_to_world=scene.camera_to_world,
            fxfycxcy=scene.fxfycxcy,
        )
    return folder


def encoded(scene: StoredScene, origin: Origin = ORIGIN) -> bytes:
    with ThreadPoolExecutor(1) as pool:
        return encode_record(scene, origin, pool)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Two shards: a, b, c and d, e."""
    folder = tmp_path / "shards"
    assert pack(write_npz(tmp_path / "views", *"abcde"), folder, objects_per_shard=3) == 5
    return folder


def packed_names(folder: Path) -> list[list[str]]:
    return [[entry.name for entry in read_index(shard)] for shard in shard_files(folder)]


# --- Records ---


@pytest.mark.parametrize("channels", [3, 4])
def test_a_record_gives_back_what_it_was_made_of_but_for_the_colours_of_clear_pixels(channels: int) -> None:
    scene = noise("teapot", channels=channels)
    back = decode_record(encoded(scene))
    expected = scene.images.copy()
    if channels == 4:
        expected[expected[..., 3] == 0] = 0
    assert back.name == "teapot"
    assert np.array_equal(back.images, expected)
    assert np.array_equal(back.camera_to_world, scene.camera_to_world)
    assert np.array_equal(back.fxfycxcy, scene.fxfycxcy)


def test_a_record_says_whose_the_object_is() -> None:
    header = decode_header(encoded(noise("teapot")))
    assert (header.name, header.views, header.size, header.origin) == ("teapot", 4, 16, ORIGIN)


def test_the_same_scene_gives_the_same_bytes() -> None:
    assert len({encoded(noise("teapot")) for _ in range(8)}) == 1


def test_only_the_views_that_are_asked_for_are_decoded() -> None:
    scene, record = noise("teapot"), encoded(noise("teapot"))
    tensors = {name: array.copy() for name, array in safetensors.numpy.load(record).items()}
    tensors["image.0001"][:] = 0
    header_length = int.from_bytes(record[:8], "little")
    about = json.loads(record[8 : 8 + header_length])["__metadata__"]
    with_one_broken_view = safetensors.numpy.save(tensors, metadata=about)
    back = decode_record(with_one_broken_view, [3, 0, 2])
    assert np.array_equal(back.fxfycxcy, scene.fxfycxcy[[3, 0, 2]])
    assert np.array_equal(back.images[:, 8:], scene.images[[3, 0, 2], 8:])
    with pytest.raises(ValueError, match="a view is no picture"):
        decode_record(with_one_broken_view, [1])


@pytest.mark.parametrize("views", [[4], [-1, 9]])
def test_a_view_that_is_not_there_is_refused(views: list[int]) -> None:
    with pytest.raises(ValueError, match="image"):
        decode_record(encoded(noise("teapot")), views)


def test_bytes_that_are_no_record_are_refused_whatever_they_are() -> None:
    record = encoded(noise("teapot", views=2, size=4))
    rng = np.random.default_rng(0)
    for length in range(0, len(record), 7):
        with pytest.raises(ValueError):
            decode_record(record[:length])
    for _ in range(300):
        damaged = bytearray(record)
        for place in rng.integers(0, len(record), 3):
            damaged[place] = rng.integers(256)
        with contextlib.suppress(ValueError):  # some damage leaves a record: that is what the sha256 is for
            decode_record(bytes(damaged))


# --- Packing ---


def test_objects_come_back_from_their_shards_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    pack(write_npz(tmp_path / "late", "x", "m"), folder, objects_per_shard=2)
    pack(write_npz(tmp_path / "early", "a", "z"), folder, objects_per_shard=2)
    one = Shards(folder)
    assert one.names == ["a", "m", "x", "z"] and one.views.tolist() == [4] * 4 and one.sizes.tolist() == [16] * 4
    for reader in (one, pickle.loads(pickle.dumps(one))):
        for number, name in enumerate(one.names):
            back = reader.read(number, [2, 1])
            assert back.name == name
            assert np.array_equal(back.camera_to_world, noise(name).camera_to_world[[2, 1]])


def test_more_shards_than_may_be_open_are_read_all_the_same(tmp_path: Path) -> None:
    pack(write_npz(tmp_path / "views", *"abcde"), tmp_path / "shards", objects_per_shard=1)
    one = Shards(tmp_path / "shards", max_open=2)
    assert [one.read(number, [0]).name for number in (0, 1, 2, 3, 4, 0, 3)] == ["a", "b", "c", "d", "e", "a", "d"]


def test_the_index_says_what_is_in_a_record(shards: Path) -> None:
    first, second = shard_files(shards)
    assert packed_names(shards) == [["a", "b", "c"], ["d", "e"]]
    entry = read_index(second)[1]
    assert (entry.name, entry.shard, entry.position, entry.views, entry.size) == ("e", second.name, 1, 4, 16)
    record = encoded(noise("e"), Origin(name="e"))
    assert entry.bytes == len(record)
    lines = first.with_suffix(".json").read_text().splitlines()
    assert len(lines) == 3 + 2 and '"name": "b"' in lines[2]  # a line a record


def test_packing_again_packs_only_what_is_new_and_touches_nothing_else(shards: Path, tmp_path: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in shards.iterdir()}
    assert pack(tmp_path / "views", shards, objects_per_shard=3) == 0
    write_npz(tmp_path / "views", "bb")
    assert pack(tmp_path / "views", shards, objects_per_shard=3) == 1
    assert packed_names(shards) == [["a", "b", "c"], ["d", "e"], ["bb"]]
    assert all((path.read_bytes(), path.stat().st_mtime_ns) == known for path, known in before.items())


def test_what_fills_no_shard_can_wait_for_a_later_call(tmp_path: Path) -> None:
    views, folder = write_npz(tmp_path / "views", *"abcde"), tmp_path / "shards"
    assert pack(views, folder, objects_per_shard=2, whole_shards_only=True) == 4
    assert pack(views, folder, objects_per_shard=2, whole_shards_only=True) == 0
    write_npz(views, "f")
    assert pack(views, folder, objects_per_shard=2, whole_shards_only=True) == 2
    assert packed_names(folder) == [["a", "b"], ["c", "d"], ["e", "f"]]


def test_a_file_of_many_scenes_is_packed_scene_by_scene_even_in_two_calls(tmp_path: Path) -> None:
    scenes = [noise(name, channels=3) for name in "abc"]
    (tmp_path / "views").mkdir()
    np.savez(
        tmp_path / "views" / "00000.npz",
        images=np.stack([scene.images for scene in scenes]),
        camera_to_world=np.stack([scene.camera_to_world for scene in scenes]),
        fxfycxcy=np.stack([scene.fxfycxcy for scene in scenes]),
    )
    folder = tmp_path / "shards"
    assert pack(tmp_path / "views", folder, objects_per_shard=2, whole_shards_only=True) == 2
    assert pack(tmp_path / "views", folder) == 1
    assert packed_names(folder) == [["00000/0", "00000/1"], ["00000/2"]]
    assert np.array_equal(Shards(folder).read(2).images, scenes[2].images)


def test_a_packing_that_was_killed_is_finished_by_the_next_and_every_object_is_there_once(tmp_path: Path) -> None:
    names = [f"object{number:03d}" for number in range(60)]
    views, folder = write_npz(tmp_path / "views", *names, size=64), tmp_path / "shards"
    command = [sys.executable, "-m", "training.views.shards", "pack", "--views", views, "--out", folder]
    command += ["--objects-per-shard", "4", "--threads", "1"]
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while len(shard_files(folder)) < 2 and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert 2 <= len(shard_files(folder)) < 15  # killed in between
    pack(views, folder, objects_per_shard=4)
    assert sorted(name for shard in packed_names(folder) for name in shard) == names
    assert [damage for shard in shard_files(folder) for damage in find_damage(shard)] == []


def test_an_index_whose_shard_never_got_its_name_is_made_anew(shards: Path, tmp_path: Path) -> None:
    shard_files(shards)[0].unlink()  # what a machine that died between the two renames leaves
    assert pack(tmp_path / "views", shards, objects_per_shard=3) == 3
    assert packed_names(shards) == [["a", "b", "c"], ["d", "e"]]


def test_a_full_disk_is_told_in_a_sentence_and_leaves_no_shard(tmp_path: Path) -> None:
    views, folder = write_npz(tmp_path / "views", *"abcd", size=128), tmp_path / "shards"
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        with pytest.raises(OutputError, match=r"00000\.array_record cannot be written .*: free space"):
            pack(views, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert shard_files(folder) == []
    assert pack(views, folder) == 4


def test_a_damaged_file_of_views_stops_the_packing_by_its_name(tmp_path: Path) -> None:
    views = write_npz(tmp_path / "views", "a", "b")
    (views / "b.npz").write_bytes((views / "b.npz").read_bytes()[:-200])
    with pytest.raises(ViewsError, match=r"b\.npz cannot be read"):
        pack(views, tmp_path / "shards")


# --- The manifest ---


@pytest.mark.parametrize("as_list", [True, False])
def test_the_manifest_tells_whose_an_object_is(tmp_path: Path, as_list: bool) -> None:
    known = {**dataclasses.asdict(ORIGIN), "name": "a"}
    found = {"name": "b", "licence": "CC0-1.0", "repository": "some/models", "commit": "1234", "path": "b.obj"}
    manifest = tmp_path / "manifest"
    manifest.write_text(
        json.dumps([known, found], indent=1) if as_list else "".join(json.dumps(one) + "\n" for one in (known, found))
    )
    folder = tmp_path / "shards"
    pack(write_npz(tmp_path / "views", "a", "b"), folder, read_origins(manifest))
    assert [entry.licence for entry in read_index(shard_files(folder)[0])] == ["CC-BY-4.0", "CC0-1.0"]
    assert read_origins(manifest)["a"] == dataclasses.replace(ORIGIN, name="a")
    assert read_origins(manifest)["b"].address == "https://github.com/some/models/blob/1234/b.obj"


def test_an_object_that_the_manifest_does_not_list_is_refused_before_anything_is_packed(tmp_path: Path) -> None:
    views, folder = write_npz(tmp_path / "views", "a", "b"), tmp_path / "shards"
    with pytest.raises(ViewsError, match=r"b\.npz: the manifest does not list b"):
        pack(views, folder, {"a": ORIGIN})
    assert shard_files(folder) == []


@pytest.mark.parametrize("text", ["no json\n", '["a"]', '[{"licence": "MIT"}]'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest").write_text(text)
    with pytest.raises(ListError, match=r"manifest, (line|entry) 1 is "):
        read_origins(tmp_path / "manifest")


def test_after_a_crash_that_tore_the_manifest_s_last_line_packing_goes_on(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    append_lines(manifest, [dataclasses.replace(ORIGIN, name=name) for name in "ab"])
    with open(manifest, "a") as file:
        file.write('{"name": "c", "licen')
    views, folder = write_npz(tmp_path / "views", "a", "b"), tmp_path / "shards"
    assert main(["pack", "--views", str(views), "--out", str(folder), "--manifest", str(manifest)]) == 0
    assert packed_names(folder) == [["a", "b"]]


# --- Verifying ---


def damages(folder: Path, capsys: pytest.CaptureFixture) -> tuple[int, list[str]]:
    """The exit status of verify, and what it says but for its last line."""
    capsys.readouterr()
    status = main(["verify", str(folder)])
    return status, capsys.readouterr().out.splitlines()[:-1]


def test_whole_shards_are_verified(shards: Path, capsys: pytest.CaptureFixture) -> None:
    assert damages(shards, capsys) == (0, [])


def test_any_flipped_bit_of_a_record_is_found_and_the_record_named(shards: Path, capsys: pytest.CaptureFixture) -> None:
    shard = shard_files(shards)[0]
    whole = shard.read_bytes()
    record = encoded(noise("b"), Origin(name="b"))
    first = whole.index(record)
    for place in np.linspace(first, first + len(record) - 1, 12).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(place) % 8
        shard.write_bytes(damaged)
        status, said = damages(shards, capsys)
        assert status == 1
        assert len(said) == 1 and f"{shard}, record 1 (b): " in said[0]
        with pytest.raises(
            ViewsError, match=r"record 1 \(b\) is damaged .*run python -m training\.views\.shards verify"
        ):
            Shards(shards).read(1)
        assert Shards(shards).read(2).name == "c"


@pytest.mark.parametrize("left", [0.0, 0.5, 0.999])
def test_every_record_of_a_shard_that_is_cut_short_is_named(
    shards: Path, capsys: pytest.CaptureFixture, left: float
) -> None:
    shard = shard_files(shards)[0]
    shard.write_bytes(shard.read_bytes()[: int(left * shard.stat().st_size)])
    status, said = damages(shards, capsys)
    assert status == 1
    assert [name for name in "abcde" if any(f"({name}): " in line for line in said)] == ["a", "b", "c"]
    with pytest.raises(ViewsError, match=r"record 0 \(a\) is damaged"):
        Shards(shards).read(0)


def rewritten_index(shard: Path, change) -> None:
    entries = [dataclasses.asdict(entry) for entry in read_index(shard)]
    shard.with_suffix(".json").write_text(json.dumps({"records": change(entries)}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entries: entries[:2], "record 2: it is missing from the index"),
        (
            lambda entries: [{**entries[0], "licence": "CC0-1.0"}, *entries[1:]],
            "record 0 (a): the index has another licence",
        ),
        (lambda entries: [{**entries[0], "name": "q"}, *entries[1:]], "record 0 (q): the index has another name"),
        (lambda entries: [*entries, entries[0]], "record 3 (a): it is not in the shard"),
    ],
)
def test_an_index_that_does_not_fit_its_shard_is_told(shards, capsys, change, words) -> None:
    rewritten_index(shard_files(shards)[0], change)
    status, said = damages(shards, capsys)
    assert status == 1
    assert len(said) == 1 and words in said[0]


def test_a_record_that_was_exchanged_for_another_whole_one_is_told(shards, capsys) -> None:
    shard = shard_files(shards)[1]
    writer = ArrayRecordWriter(str(shard), WRITER_OPTIONS)
    for name in "de":
        changed = noise(name)
        changed.images[0, -1, -1, 0] ^= 1
        writer.write(encoded(changed if name == "e" else noise(name), Origin(name=name)))
    writer.close()
    status, said = damages(shards, capsys)
    assert status == 1
    assert len(said) == 1 and "record 1 (e): the index has another" in said[0] and "sha256" in said[0]


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("00000.json", "00000.array_record is missing from the index"),
        ("00000.array_record", "00000.array_record is missing, and with it a, b, c"),
    ],
)
def test_half_of_a_shard_that_is_lost_is_told(shards, capsys, lost: str, words: str) -> None:
    (shards / lost).unlink()
    status, said = damages(shards, capsys)
    assert status == 1
    assert len(said) == 1 and words in said[0]


@pytest.mark.parametrize(
    "text",
    ['{"records": [{}]}', '{"records": [7]}', '{"records": 7}', "[]", "7", "{", "[" * 100_000],
)
def test_an_index_that_cannot_be_read_is_told(shards, capsys, text: str) -> None:
    (shards / "00000.json").write_text(text)
    status, said = damages(shards, capsys)
    assert status == 1
    assert "00000.json cannot be read" in said[0]
    with pytest.raises(ViewsError, match=r"00000\.json cannot be read"):
        Shards(shards)


def test_a_folder_without_shards_is_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for command in ("verify", "list"):
        assert main([command, str(tmp_path)]) == 2
        assert "has no shards: pack views into it" in capsys.readouterr().err


# --- Commands ---


def test_the_commands_pack_list_and_draw(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    views, folder = write_npz(tmp_path / "views", "a", "b", "c"), tmp_path / "shards"
    assert main(["pack", "--views", str(views), "--out", str(folder), "--objects-per-shard", "2"]) == 0
    assert "3 objects packed, 2 shards in all" in capsys.readouterr().out
    assert main(["list", str(folder)]) == 0
    listed = capsys.readouterr()
    assert [line.split("\t")[:5] for line in listed.out.splitlines()] == [
        ["a", "00000.array_record", "0", "4", "16 px"],
        ["b", "00000.array_record", "1", "4", "16 px"],
        ["c", "00001.array_record", "0", "4", "16 px"],
    ]
    assert "3 objects (licences: 3 unknown)" in listed.err
    assert main(["sheet", str(folder)]) == 0
    with Image.open(folder / "00000.png") as two, Image.open(folder / "00001.png") as one:
        assert two.height == 2 * one.height and two.width == one.width > 4 * 160
    assert damages(folder, capsys) == (0, [])


def test_views_of_a_wrong_kind_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 4, 4, 3)), camera_to_world=np.eye(4), fxfycxcy=np.zeros(4))
    with pytest.raises(ViewsError, match=r"a\.npz has images .* of float64.*make it again"):
        list(read_file(tmp_path / "a.npz"))
