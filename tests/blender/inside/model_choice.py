"""model_choice.py FOLDER: the menu of known models, Get Model as a script presses it, and what the panel tells of the choice."""

import json
import os
import struct
import sys
from pathlib import Path

import bpy
import stage

folder = Path(sys.argv[1])
NAME = "lact-objects-512"
os.environ["LVSM_MODELS"] = str(folder / "models")
model_choice, last_outcome = stage.addon("engine.model_choice"), stage.addon("last_outcome").last_outcome
model_file = stage.addon("engine.worker_owner").model_file


class DrawnLayout:
    """Takes what is drawn on it and keeps its buttons' texts."""

    def __init__(self):
        self.texts = []

    def operator(self, _name, text="", **_):
        self.texts.append(text)
        return type("Properties", (), {})()

    def row(self, **_):
        return self

    def separator(self, **_):
        pass

    prop = menu = lambda *_, **__: None


def build(is_online=True):
    """A new scene, no model fetched, and online access as the user may allow it."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder / "models").glob("*"):
        path.unlink()
    bpy.context.preferences.system.use_online_access = is_online
    last_outcome.forget()
    return stage.build(folder)


def menu():
    drawn = DrawnLayout()
    model_choice.LVSM_MT_models.draw(type("Menu", (), {"layout": drawn})(), bpy.context)
    return drawn.texts


def test_a_fetched_model_is_in_use_and_in_the_menu():
    scene = build()
    assert f"Get {NAME}, about 1.2 GB (not verified)" in menu() and NAME not in menu()
    record = folder / "asked.jsonl"
    record.unlink(missing_ok=True)
    with stage.fake_worker(record=record):
        assert bpy.ops.lvsm.get_model(name=NAME, accepts_licence=True) == {"FINISHED"}
    asked = json.loads(record.read_text())
    assert (asked["name"], asked["accepts_licence"]) == (NAME, True)
    assert scene.lvsm.model == model_file(scene) == NAME
    assert menu()[:3] == ["Default", NAME, "Choose File"]


def test_the_name_of_a_fetched_model_reaches_the_engine():
    scene = build()
    scene.lvsm.model = NAME
    record = folder / "rendered.jsonl"
    record.unlink(missing_ok=True)
    with stage.fake_worker(record=record):
        bpy.ops.lvsm.synthesize_view()
    assert json.loads(record.read_text())["model"] == NAME


def test_nothing_is_asked_for_before_the_licence_is_accepted():
    scene = build()
    record = folder / "not asked.jsonl"
    with stage.fake_worker(record=record):
        assert "was not accepted" in stage.refusal(lambda: bpy.ops.lvsm.get_model(name=NAME))
    assert not record.exists() and scene.lvsm.model == ""


def test_without_online_access_it_cannot_be_pressed_and_says_why():
    build(is_online=False)
    assert "Allow online access" in stage.refusal(lambda: bpy.ops.lvsm.get_model(name=NAME, accepts_licence=True))


def test_a_fetch_that_fails_leaves_the_scene_as_it_was():
    scene = build()
    with stage.fake_worker(fault="fail"):
        assert "too little memory" in stage.refusal(lambda: bpy.ops.lvsm.get_model(name=NAME, accepts_licence=True))
    assert scene.lvsm.model == "" and last_outcome.error is not None


def test_a_model_that_is_chosen_and_not_there_has_a_button_below_its_field():
    scene = build()
    scene.lvsm.model = NAME
    drawn = DrawnLayout()
    model_choice.draw_choice(drawn, scene)
    assert drawn.texts == [f"Get {NAME}"]
    scene.lvsm.model = ""
    model_choice.draw_choice(drawn, scene)
    assert drawn.texts == [f"Get {NAME}"]


def test_a_model_is_chosen_in_the_menu_and_default_is_an_empty_field():
    scene = build()
    bpy.ops.lvsm.use_model(name=NAME)
    assert scene.lvsm.model == NAME
    bpy.ops.lvsm.use_model(name="default")
    assert scene.lvsm.model == ""


def test_the_licence_is_told_and_commercial_use_only_where_it_is_free():
    scene = build()
    (licence,) = model_choice.what_is_told(scene)
    is_free = model_choice.known_model("default").is_commercial
    assert licence.startswith("Licence: GPL-3.0-or-later") and ("Free for commercial use" in licence) == is_free
    scene.lvsm.model = NAME
    licence, needs = model_choice.what_is_told(scene)
    assert "mixed licences" in licence and "Free for" not in licence
    assert needs == "Made for objects: 8 to 20 photos, cut out on white (alpha or masks), pictures of 512 x 512 px"
    scene.lvsm.model = "//somewhere/scene_decoder_only_256.pt"
    assert "not for commercial use" in model_choice.what_is_told(scene)[0]


def test_a_file_of_ones_own_tells_its_cards_licence():
    scene = build()
    header = json.dumps({"__metadata__": {"lvsm": json.dumps({"card": {"licence": "CC BY 4.0"}})}}).encode()
    path = folder / "mine.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    scene.lvsm.model = str(path)
    assert model_choice.what_is_told(scene) == ("Licence: CC BY 4.0",)
    path.write_bytes(b"<html>")
    os.utime(path, ns=(1, 1))
    assert model_choice.what_is_told(scene) == ()
    scene.lvsm.model = str(folder / "nowhere.safetensors")
    assert model_choice.what_is_told(scene) == ()
