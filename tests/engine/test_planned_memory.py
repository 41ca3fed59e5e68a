"""Published models at full size on cards of 8, 12 and 24 GB: what is planned for them, as the manual tells it, and refused."""

import dataclasses
import re

import pytest
import torch

from benchmarks.published import planned_bytes, published_config
from lvsm_engine.errors import USE_FEWER_VIEWS, CaptureError, DeviceError
from lvsm_engine.known_models import KNOWN_MODELS, LACT, KnownModel, known_model
from lvsm_engine.model.checkpoint import build_model
from lvsm_engine.model.costs import parameter_count
from lvsm_engine.synthesizer import Synthesizer
from tests.shared_data import ROOT
from tests.synthetic import CARD, ring_views

# GB of a card that the window and CUDA take themselves.
WINDOWS_OWN = 0.5
PUBLISHED = [model for model in KNOWN_MODELS if not model.is_bundled]


def planned_gb(model: KnownModel, photos: int) -> float:
    return planned_bytes(model, photos) / 1e9


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: model.name)
def test_the_manual_tells_what_is_planned(model):
    manual = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    told = re.search(rf"^\| `{model.name}` .* ([0-9.]+) GB \|$", manual, re.MULTILINE)
    assert told is not None
    assert float(told[1]) == pytest.approx(planned_gb(model, model.photos[1]), abs=0.06)


@pytest.mark.parametrize("photos", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("model", [model for model in PUBLISHED if model.family != LACT], ids=lambda model: model.name)
def test_published_lvsm_has_room_for_sixteen_photos_on_8_gb(model, photos):
    assert planned_gb(model, photos) < 8 - WINDOWS_OWN


@pytest.mark.parametrize(
    ("name", "photos", "card", "fits"),
    [
        ("lact-objects-512", 20, 8, True),
        ("lact-objects-1024", 20, 8, False),
        ("lact-objects-1024", 8, 8, True),
        ("lact-objects-1024", 20, 12, True),
        ("lact-scenes-960x536", 64, 12, False),
        ("lact-scenes-960x536", 32, 12, True),
        ("lact-scenes-960x536", 64, 24, True),
    ],
)
def test_what_a_card_has_no_room_for_is_refused_before_a_photo_is_read(name, photos, card, fits):
    """card: its GB. What it has room for goes on to the photos, which are not there."""
    model = known_model(name)
    with torch.device("meta"):
        weights = build_model(published_config(model))
    free = (card - WINDOWS_OWN) * 1e9 - 4 * parameter_count(weights)
    facts = dataclasses.replace(CARD, name=name, resolution=model.resolution, aspect=model.width / model.height)
    nowhere = torch.device("meta")
    synthesizer = Synthesizer(weights, facts, nowhere, torch.float32, free_bytes=lambda _: free, max_batch_tokens=1)
    views = ring_views(photos, model.width // 8, model.height // 8)
    gone = [dataclasses.replace(view, photo=None) for view in views]
    with pytest.raises(CaptureError if fits else DeviceError) as caught:
        synthesizer.encode(gone, max_model_views=photos)
    if not fits:
        assert re.search(rf"{photos} input views of {model.width}x{model.height} pixels need about", str(caught.value))
        assert caught.value.remedy == USE_FEWER_VIEWS
