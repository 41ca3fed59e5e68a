"""Cameras with photos become captures."""

import pytest

from .fake_engine import in_programs
from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    return blender.report("capture_export.py", tmp_path_factory.mktemp("capture_export") / "Jos\u00e9 \u0434 a b")


@each_test_in("capture_export.py")
def test_inside(report, name):
    report.expect(name)


@pytest.fixture(scope="module")
def window_report(blender):
    return blender.report("capture_export_in_window.py", window=True)


@in_programs
@each_test_in("capture_export_in_window.py")
def test_inside_a_window(window_report, name):
    window_report.expect(name)
    assert "Traceback" not in window_report.output_of(name)
