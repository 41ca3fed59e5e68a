"""The add-on's keys."""

import pytest

from .fake_engine import fake_environment, in_programs
from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def window_report(blender, tmp_path_factory):
    env = fake_environment(tmp_path_factory.mktemp("keymap_in_window"))
    return blender.report("keymap_in_window.py", window=True, env=env)


@in_programs
@each_test_in("keymap_in_window.py")
def test_inside_a_window(window_report, name):
    window_report.expect(name)
    assert "Traceback" not in window_report.output_of(name)
