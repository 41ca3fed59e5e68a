"""Synthesized pictures as Blender images."""

import pytest

from .fake_engine import fake_environment
from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    return blender.report("results.py", env=fake_environment(tmp_path_factory.mktemp("results")))


@each_test_in("results.py")
def test_inside(report, name):
    report.expect(name)
