"""The choice of a model: the menu, Get Model, the licence that is told."""

import pytest

from .fake_engine import fake_environment, in_programs
from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model_choice")
    return blender.report("model_choice.py", folder / "Jos\u00e9 \u0434 a b", env=fake_environment(folder))


@each_test_in("model_choice.py")
def test_inside(report, name):
    report.expect(name)


@pytest.fixture(scope="module")
def window_report(blender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model_choice_in_window")
    return blender.report("model_choice_in_window.py", folder / "made", window=True, env=fake_environment(folder))


@in_programs
@each_test_in("model_choice_in_window.py")
def test_inside_a_window(window_report, name):
    window_report.expect(name)
    assert "Traceback" not in window_report.output_of(name)
