"""The panel's parts that need no window: a button for every remedy, colours that are told to change, the cameras drawn."""

import os
import sys
import time
import types
from pathlib import Path

import bpy
import stage

folder = Path(sys.argv[1])
stage.build(folder)
panel, outcome, errors = (stage.addon(name) for name in ("window.panel", "last_outcome", "bundled.lvsm_engine.errors"))
synthesize, input_views = stage.addon("rendering.synthesize"), stage.addon("scene.input_views")
properties_panels, preferences = stage.addon("window.properties_panels"), stage.addon("preferences")
camera_list = stage.addon("scene.camera_list").camera_list

FOUR = {"View 0", "View 1", "View 2", "Target"}


def test_every_remedy_has_its_operator():
    assert set(outcome.WAYS_OUT) == set(errors.REMEDIES)
    for operator, _label in (way for ways in outcome.WAYS_OUT.values() for way in ways):
        group, name = operator.split(".")
        assert name in dir(getattr(bpy.ops, group)), operator


def test_the_last_failure_shows_its_way_out_until_it_is_forgotten():
    last = outcome.LastOutcome()
    assert last.error is None and last.ways_out == ()
    last.keep(errors.CaptureError("The photo is not there.", errors.LOCATE_PHOTOS))
    assert last.ways_out == (("lvsm.locate_photos", "Locate Photos"),)
    last.keep(errors.CaptureError("The photo is none."))
    assert last.ways_out == ()
    last.forget()
    assert last.error is None


def test_where_a_python_is_missing_the_first_offer_is_to_set_the_engine_up():
    last = outcome.LastOutcome()
    for remedy in (errors.CHOOSE_PYTHON, errors.INSTALL_PACKAGES):
        last.keep(errors.WorkerError("There is no Python.", remedy))
        assert [operator for operator, _label in last.ways_out] == ["lvsm.set_up_engine", "lvsm.choose_python"]


def test_every_state_of_the_worker_has_words():
    assert set(panel.STATES) == {"stopped", "starting", "ready", "busy", "failed"}


def test_the_colors_panel_is_there_only_for_this_engine_and_while_something_changes_them():
    scene = stage.build(folder)
    assert not panel.LVSM_PT_colors.poll(bpy.context)
    scene.render.engine = "LVSM"
    assert panel.LVSM_PT_colors.poll(bpy.context)
    bpy.ops.lvsm.use_exact_colors()
    assert not panel.LVSM_PT_colors.poll(bpy.context)


class Layout:
    """What a panel draws on, and what was drawn: properties that exist, texts, operators that exist."""

    def __init__(self):
        self.properties, self.texts, self.operators, self.module = [], [], [], ""

    def column(self, **_):
        return self

    row = split = column

    def prop(self, data, name, **_):
        assert name in data.bl_rna.properties, name
        self.properties.append(name)

    def label(self, text, **_):
        self.texts.append(text)

    def menu(self, name, **_):
        assert hasattr(bpy.types, name), name

    def operator(self, name, **_):
        group, _, own_name = name.partition(".")
        assert own_name in dir(getattr(bpy.ops, group)), name
        self.operators.append(name)
        return self


def drawn_by(panel_class):
    """What a panel of the Properties editor draws now."""
    assert panel_class.poll(bpy.context)
    layout = Layout()
    panel_class.draw(types.SimpleNamespace(layout=layout), bpy.context)
    return layout


def test_the_properties_editor_has_the_side_bars_settings_for_this_engine_alone():
    scene = stage.build(folder)
    assert not any(entry.poll(bpy.context) for entry in properties_panels.classes)
    scene.render.engine = "LVSM"
    render = drawn_by(properties_panels.LVSM_PT_render)
    assert render.properties == ["model", "use_detail"]
    assert "3 of 4 cameras" in render.texts and preferences.device_label() in render.texts
    assert (render.operators == ["preferences.addon_show"]) == preferences.is_enabled()
    passes = drawn_by(properties_panels.LVSM_PT_passes).properties
    assert passes == ["use_pass_z", "use_pass_mist", "use_pass_confidence", "use_pass_nearest_photo"]
    assert not properties_panels.LVSM_PT_mist.poll(bpy.context)
    scene.world = bpy.data.worlds.new("World")
    assert drawn_by(properties_panels.LVSM_PT_mist).properties == ["start", "depth", "falloff"]


def test_the_device_is_told_as_the_preferences_have_it_and_the_environment_before_them():
    assert preferences.device_label() == "Automatic"
    os.environ["LVSM_DEVICE"] = "cuda"
    try:
        assert preferences.device_label() == "cuda (LVSM_DEVICE)"
    finally:
        del os.environ["LVSM_DEVICE"]


def drawn():
    """The names of the cameras that the panel draws now."""
    bpy.context.view_layer.update()
    objects = bpy.context.scene.objects
    cameras = camera_list.of(bpy.context.scene)
    shown = [item for item, is_camera in zip(objects, cameras.is_camera, strict=True) if is_camera]
    assert shown == list(cameras.objects)
    return {item.name for item in shown}


def test_the_cameras_drawn_are_the_scenes_whatever_comes_and_goes():
    scene = stage.build(folder)
    assert drawn() == FOUR
    scene.collection.objects.link(bpy.data.objects.new("Empty", None))
    stage.add_camera("Another", (0, 0, 0))
    assert drawn() == FOUR | {"Another"}
    bpy.data.objects.remove(bpy.data.objects["Another"])
    assert drawn() == FOUR


def test_the_cameras_drawn_are_the_scenes_after_an_undo():
    scene = stage.build(folder)
    bpy.ops.ed.undo_push(message="Before")
    scene.collection.objects.unlink(bpy.data.objects["View 0"])
    assert drawn() == FOUR - {"View 0"}
    bpy.ops.ed.undo_push(message="After")
    bpy.ops.ed.undo()
    assert drawn() == FOUR


def test_the_cameras_drawn_are_those_of_another_scene_or_file():
    stage.build(folder)
    assert drawn() == FOUR
    bpy.ops.scene.new(type="EMPTY")
    assert drawn() == set()
    stage.build(folder)
    assert drawn() == FOUR
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    assert drawn() == set()


def redraw():
    """All that a redraw asks other modules."""
    assert bpy.ops.lvsm.synthesize_view.poll()
    cameras = camera_list.of(bpy.context.scene)
    assert sum(input_views.is_input_view(item) for item in cameras.objects) == 3
    return cameras


def test_a_redraw_of_a_large_scene_walks_through_none_of_its_objects():
    scene = stage.build(folder)
    for _ in range(20_000):
        scene.collection.objects.link(bpy.data.objects.new("Empty", None))
    drawn()
    assert redraw() is redraw()
    milliseconds = []
    for _ in range(10):
        began = time.thread_time()  # of this thread's own work, whatever else the machine does
        redraw()
        milliseconds.append(1000 * (time.thread_time() - began))
    print(f"a redraw of 20,000 objects: {min(milliseconds):.2f} ms")
    assert min(milliseconds) < 20
