"""check_engine.py: the report on a test view, by an engine that is a fake."""

import bpy
import stage

check_engine, preferences = stage.addon("engine.check_engine"), stage.addon("preferences")
worker = stage.addon("engine.worker_owner").worker


def report():
    return bpy.data.texts["LVSM Report"].as_string()


def test_a_picture_that_is_wrong_is_told_as_such():
    """The fake draws something else than a ball."""
    with stage.fake_worker():
        assert "what it draws is wrong" in stage.refusal(bpy.ops.lvsm.check_engine)
    assert "Test view: failed. The engine runs, and what it draws is wrong" in report()


def test_the_report_tells_of_blender_the_add_on_and_the_engine():
    with stage.fake_worker():
        stage.refusal(bpy.ops.lvsm.check_engine)
        said = report()
    assert f"Blender {bpy.app.version_string}" in said and "Add-on 0.1.0, engine fake" in said
    assert "torch none, Fake CPU, float32" in said and "The engine's log ends with:" in said


def test_there_is_one_report_however_often_it_is_made():
    with stage.fake_worker():
        stage.refusal(bpy.ops.lvsm.check_engine)
        stage.refusal(bpy.ops.lvsm.check_engine)
    assert [text.name for text in bpy.data.texts if text.name.startswith("LVSM")] == ["LVSM Report"]
    assert report().count("Test view:") == 1


def test_an_engine_that_does_not_start_is_reported_with_its_log():
    with stage.fake_worker(fault="stillborn"):
        assert "ended with status 4" in stage.refusal(bpy.ops.lvsm.check_engine)
    assert "Test view: failed. The engine's process ended with status 4" in report()
    assert report().rstrip().endswith("no room for torch")
