"""Where one more photo would help, as a camera."""

import pytest

from .fake_engine import fake_environment
from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photo_suggestion")
    return blender.report("photo_suggestion.py", folder, env=fake_environment(folder))


@each_test_in("photo_suggestion.py")
def test_inside(report, name):
    report.expect(name)
