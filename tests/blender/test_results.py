"""Synthesized pictures as Blender images."""

from .fake_engine import fake_environment


def test_results_are_exact_stay_in_the_file_and_replace_no_photo(blender, tmp_path):
    assert "results: passed" in blender.run("results.py", env=fake_environment(tmp_path))
