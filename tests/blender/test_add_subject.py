"""What the photos are of, as an empty."""

import pytest

from .fake_engine import fake_environment
from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("add_subject")
    return blender.report("add_subject.py", folder, env=fake_environment(folder))


@each_test_in("add_subject.py")
def test_inside(report, name):
    report.expect(name)
