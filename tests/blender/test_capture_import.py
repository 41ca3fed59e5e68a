"""Captures become cameras with photos."""

import pytest

from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    return blender.report("capture_import.py", tmp_path_factory.mktemp("capture_import") / "Jos\u00e9 \u0434 a b")


@each_test_in("capture_import.py")
def test_inside(report, name):
    report.expect(name)
