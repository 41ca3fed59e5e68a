"""Synthesize View, from scripts and in a window."""

from .fake_engine import fake_environment, in_programs


def test_scripts_get_the_engines_picture_or_a_sentence(blender, tmp_path):
    assert "synthesize: passed" in blender.run("synthesize.py", env=fake_environment(tmp_path))


@in_programs
def test_a_window_stays_alive_through_success_cancel_undo_deletion_loading_and_death(blender, tmp_path):
    said = blender.run("window.py", window=True, env=fake_environment(tmp_path), timeout=400)
    assert "window: passed" in said
    before, _, in_the_end = said.partition("an_answer_without_a_picture_frees_the_button")
    assert "Traceback" not in before and "unknown operator" not in said, said
    assert "KeyError: 'images'" in in_the_end
