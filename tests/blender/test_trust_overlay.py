"""Trust in the target camera, drawn in 3D views of real Blenders."""

import pytest

from .fake_engine import fake_environment, in_programs
from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def window_report(blender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trust_overlay")
    return blender.report("trust_overlay_in_window.py", window=True, env=fake_environment(folder))


@in_programs
@each_test_in("trust_overlay_in_window.py")
def test_inside_a_window(window_report, name):
    window_report.expect(name)
    assert "Traceback" not in window_report.output_of(name), window_report.output_of(name)
