"""The preferences."""

import sys

import pytest

from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preferences") / "Jos\u00e9 \u0434 a b"
    return blender.report("preferences.py", folder, sys.executable)


@each_test_in("preferences.py")
def test_inside(report, name):
    report.expect(name)
