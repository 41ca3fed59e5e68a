"""training.detail for real, small: cases of procedural scenes, a blend fitted to them, and a file that the engine takes."""

import numpy as np
import pytest
import torch

from lvsm_engine.model.plane_sweep.blend_file import load_blend
from lvsm_engine.model.plane_sweep.evidence import GUESSES
from training.configs import Source
from training.detail.__main__ import Options, train
from training.detail.cases import Cases, worse_guide
from training.detail.fit import fit
from training.limits import ConfigError

PIXELS = 2000


def made_up_cases() -> Cases:
    """Of two photos the one that stands nearer is right, whatever the rule decides; the place tells nothing."""
    rng = np.random.default_rng(0)
    truth = rng.random((PIXELS, 4))
    truth[:, 3] = 1
    is_first = rng.random(PIXELS) < 0.5
    of_photos = np.zeros((PIXELS, 2, 17))
    of_photos[:, :, 3] = np.stack([is_first, ~is_first], 1)
    of_photos[:, :, 5] = 1
    colours = rng.random((PIXELS, len(GUESSES) + 2, 3))
    colours[np.arange(PIXELS), len(GUESSES) + np.where(is_first, 0, 1)] = truth[:, :3]
    prior = np.zeros((PIXELS, len(GUESSES) + 2))
    prior[:, GUESSES.index("background")] = np.log(1e-4)
    halves = [
        values.astype(np.float16) for values in (of_photos, np.zeros((PIXELS, 22)), colours, prior * 0, prior, truth)
    ]
    return Cases(*halves, np.ones(PIXELS, np.float32))


def test_the_right_photo_is_learned():
    cases = made_up_cases()
    blend, (before, after) = fit(cases, steps=300, seed=0)
    assert after < 0.1 * before and not any(parameter.requires_grad for parameter in blend.parameters())
    again, _ = fit(cases, steps=300, seed=0)
    for one, other in zip(blend.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"part": "2/2"}, "--part is 2/2: give a share"),
        ({"part": "half"}, "--part is half: give a share"),
        ({"views": 3}, "--views is 3: it must be a whole number from 4"),
        ({"steps": 0}, "--steps is 0"),
    ],
)
def test_options_that_cannot_be_are_refused_in_a_sentence(tmp_path, options, words):
    with pytest.raises(ConfigError, match=words):
        train(Options(**{"out": tmp_path, "data": (Source(folder="procedural:mixed"),), **options}))


def test_guides_are_of_all_qualities():
    picture = np.random.default_rng(0).random((64, 48, 3)).astype(np.float32)
    guides = [worse_guide(picture, np.random.default_rng(seed)) for seed in range(40)]
    assert all(guide.shape == picture.shape and guide.min() >= 0 and guide.max() <= 1 for guide in guides)
    same = sum(np.array_equal(guide, picture) for guide in guides)
    gone = sum(float(np.ptp(guide, axis=(0, 1)).max()) == 0 for guide in guides)
    assert 5 < same < 25 and 0 < gone < 12


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("detail")
    options = Options(out=out, data=(Source(folder="procedural:mixed"),), scenes=2, size=64, steps=40)
    train(Options(**{**vars(options), "part": "1/2"}))
    assert [path.name for path in (out / "cases").iterdir()] == ["00001.safetensors"]
    assert not (out / "detail.safetensors").exists()
    train(options)
    return options


def test_cases_are_made_once_and_the_engine_takes_the_weights(run):
    files = sorted((run.out / "cases").glob("*.safetensors"))
    made = [path.stat().st_mtime_ns for path in files]
    assert len(files) == 2
    cases = Cases.load(files[0])
    assert len(cases.truth) == 3 * 3000 and all(np.isfinite(getattr(cases, name)).all() for name in Cases.__slots__)
    assert np.abs(np.exp(cases.prior.astype(np.float32)).sum(-1)).min() > 0.5  # something may always be shown
    train(run)
    assert [path.stat().st_mtime_ns for path in files] == made
    assert load_blend(run.out / "detail.safetensors").width == 32


def test_the_text_of_the_weights_tells_no_place_of_this_machine():
    folders = ("/home/ana/data/views/train", "procedural:scenes:/home/ana/textures", "procedural:mixed")
    assert [Source(folder=folder).name for folder in folders] == [
        "train",
        "procedural:scenes with textures",
        "procedural:mixed",
    ]
