"""What travels: as many objects as there is room for, each with its origin, and views that look the same."""

import cv2
import numpy as np
import pytest

from training.card.pack import MEGABYTE, Options, pack, size_of_code
from training.json_lines import write_lines
from training.objects.manifest import MANIFEST, Origin, read_origins
from training.views.sources import all_views, open_source
from training.views.stored import ViewsError

OBJECTS, VIEWS, SIZE = 6, 16, 256


@pytest.fixture
def options(tmp_path):
    """Six objects of soft noise, and a manifest of them."""
    rng = np.random.default_rng(0)
    views = tmp_path / "views"
    views.mkdir()
    for number in range(OBJECTS):
        coarse = rng.integers(0, 256, (VIEWS, SIZE // 8, SIZE // 8, 4), dtype=np.uint8)
        images = np.stack([cv2.resize(view, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for view in coarse])
        images[..., 3] = 255
        np.savez(
            views / f"object{number}.npz",
            images=images,
            camera_to_world=np.tile(np.eye(4), (VIEWS, 1, 1)),
            fxfycxcy=np.ones((VIEWS, 4)),
        )
    manifest = tmp_path / "manifest.jsonl"
    write_lines(manifest, [Origin(name=f"object{number}", licence="CC0-1.0") for number in range(OBJECTS)])
    return Options(views=views, validation=views, manifest=manifest, out=tmp_path / "out")


def test_all_objects_travel_where_there_is_room(options):
    pack(options)
    assert len(open_source(options.out / "train", SIZE).names) == OBJECTS
    assert read_origins(options.out / MANIFEST).keys() == read_origins(options.manifest).keys()


def test_views_look_the_same(options):
    pack(options)
    packed, source = open_source(options.out / "train", SIZE), open_source(options.views, SIZE)
    for number, name in enumerate(packed.names):
        before, after = all_views(source, source.names.index(name)), all_views(packed, number)
        difference = np.float64(after.images) - before.images[: options.views_each]
        assert np.sqrt(np.square(difference).mean()) < 12, "coloured noise is hard for it"
        assert (after.alpha == 255).all()


def test_what_travels_stays_within_its_room_and_is_drawn_by_the_seed(options):
    pack(options)
    all_of_it = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    drawn = []
    for options.seed in (0, 1):
        options.room = (size_of_code() + 0.8 * all_of_it) / MEGABYTE  # those to validate on take half of it
        pack(options)
        taken = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
        assert size_of_code() + taken <= options.room * MEGABYTE
        drawn.append(set(open_source(options.out / "train", SIZE).names))
    assert 0 < len(drawn[0]) < OBJECTS and drawn[0] != drawn[1]


def test_no_room_and_objects_of_nobody_are_told(options):
    options.room = 1.0
    with pytest.raises(ViewsError, match="there is room for no object: give more --room, or fewer weights"):
        pack(options)
    write_lines(options.manifest, [Origin(name="object0")])
    with pytest.raises(ViewsError, match="The manifest does not list object1: add it, or take its views out"):
        pack(options)
