"""The list of photos, and what the target would use of them."""

import pytest

from .fake_engine import fake_environment, in_programs
from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photo_list")
    return blender.report("photo_list.py", folder, env=fake_environment(folder))


@each_test_in("photo_list.py")
def test_inside(report, name):
    report.expect(name)


@pytest.fixture(scope="module")
def window_report(blender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photo_list_in_window")
    return blender.report("photo_list_in_window.py", window=True, env=fake_environment(folder))


@in_programs
@each_test_in("photo_list_in_window.py")
def test_inside_a_window(window_report, name):
    window_report.expect(name)
    said = window_report.output_of(name)
    assert "Traceback" not in said and "unknown operator" not in said, said
