"""Presets of the render settings."""

import pytest

from .fake_engine import fake_environment
from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("render_presets")
    return blender.report("render_presets.py", folder, env=fake_environment(folder))


@each_test_in("render_presets.py")
def test_inside(report, name):
    report.expect(name)
