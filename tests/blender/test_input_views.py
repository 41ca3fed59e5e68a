"""Which cameras feed the model, and with what."""

import pytest

from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    return blender.report("input_views.py", tmp_path_factory.mktemp("input_views") / "Jos\u00e9 \u0434 a b")


@each_test_in("input_views.py")
def test_inside(report, name):
    report.expect(name)
