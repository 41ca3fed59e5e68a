"""Blender cameras as Camera and back."""

import pytest

from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender):
    return blender.report("scene_cameras.py")


@each_test_in("scene_cameras.py")
def test_inside(report, name):
    report.expect(name)
