"""The table of known models: what it promises of each, and where fetched ones lie."""

import pytest

from lvsm_engine.known_models import (
    DEFAULT,
    KNOWN_MODELS,
    LACT,
    LVSM,
    fetched_path,
    is_there,
    known_model,
    model_called,
    models_folder,
    recorded_sha256,
)
from lvsm_engine.model.checkpoint import find_model_file, read_card
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.model.published import lact, lvsm
from tests.shared_data import ROOT

PUBLISHED = [model for model in KNOWN_MODELS if not model.is_bundled]


def test_names_and_files_are_each_models_own():
    assert len({model.name for model in KNOWN_MODELS}) == len({model.file for model in KNOWN_MODELS}) == 15
    assert sum(model.family == LVSM for model in KNOWN_MODELS) == 4
    assert sum(model.family == LACT for model in KNOWN_MODELS) == 10


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: model.name)
def test_the_table_tells_of_a_published_file_what_its_card_will(model):
    family = lvsm if model.family == LVSM else lact
    card = family.card_of(ModelConfig(width=64, blocks=1, patch_size=8, input_stride=8, target_stride=8), model.file)
    assert card.resolution == model.resolution and card.input_views == model.photos
    assert card.aspect == model.width / model.height


def test_the_table_tells_of_the_bundled_model_what_its_card_does():
    config, card = read_card(DEFAULT)
    model = known_model(DEFAULT)
    assert (config.architecture, card.resolution, card.input_views) == (
        model.architecture,
        model.resolution,
        model.photos,
    )
    assert is_there(model) and find_model_file(DEFAULT).name == model.file


def test_only_what_is_free_for_commerce_beyond_doubt_says_so():
    """The bundled one: by the licences in its card, of every object that it was trained on."""
    assert [model.name for model in KNOWN_MODELS if model.is_commercial] == [DEFAULT]
    credits = (
        (ROOT / "lvsm_engine" / "weights" / "default.attributions.tsv").read_text(encoding="utf-8").splitlines()[1:]
    )
    licences = {line.split("\t")[1] for line in credits}
    assert licences == {"CC0-1.0", "CC-BY-4.0", "CC-BY-3.0", "MIT-0", "CC-BY-4.0 AND CC0-1.0"}
    assert all("not for commercial use" in model.licence for model in PUBLISHED)


def test_the_manual_lists_each_with_its_file():
    manual = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert all(f"| `{model.name}` | {model.repository}: `{model.file}` |" in manual for model in PUBLISHED)


def test_what_nobody_has_checked_is_said_beside_it():
    assert all("size" in model.unverified and "not verified" in model.size_label for model in PUBLISHED)


def test_a_file_is_recognised_by_its_published_name_in_any_folder():
    assert (
        model_called("C:\\models\\obj_res512.pt") is model_called("/a/obj_res512.pt") is known_model("lact-objects-512")
    )
    assert model_called("/a/mine.safetensors") is None


def test_the_folder_of_models_is_the_users_or_what_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("LVSM_MODELS", str(tmp_path))
    assert models_folder() == tmp_path
    monkeypatch.delenv("LVSM_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert models_folder().parts[-2:] == ("lvsm", "models")


def test_a_record_of_another_file_tells_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("LVSM_MODELS", str(tmp_path))
    path = fetched_path(PUBLISHED[0])
    path.write_bytes(b"12345")
    path.with_name(path.name + ".json").write_text('{"sha256": "ab", "bytes": 4}')
    assert recorded_sha256(path) == ""
    path.with_name(path.name + ".json").write_text("[")
    assert recorded_sha256(path) == ""
