"""What is modelled becomes photos."""

import pytest

from .fake_engine import in_programs
from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    return blender.report("virtual_photos.py", tmp_path_factory.mktemp("virtual_photos"))


@each_test_in("virtual_photos.py")
def test_inside(report, name):
    report.expect(name)


@pytest.fixture(scope="module")
def window_report(blender):
    return blender.report("virtual_photos_in_window.py", window=True)


@in_programs
@each_test_in("virtual_photos_in_window.py")
def test_inside_a_window(window_report, name):
    window_report.expect(name)
    assert "Traceback" not in window_report.output_of(name)
