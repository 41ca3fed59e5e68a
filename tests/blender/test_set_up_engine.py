"""Set Up Engine and Check Engine inside Blender."""

import sys

import pytest

from tests.shared_data import ROOT

from .fake_base import write_fake_base_python
from .fake_engine import fake_environment, in_programs
from .inside_tests import each_test_in


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("set_up") / "Jos\u00e9 \u0434 a b"
    folder.mkdir()
    return blender.report("set_up_engine.py", folder, write_fake_base_python(folder))


@each_test_in("set_up_engine.py")
def test_inside(report, name):
    report.expect(name)


@pytest.fixture(scope="module")
def window_report(blender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("set_up_in_window")
    return blender.report("set_up_engine_in_window.py", folder, write_fake_base_python(folder), window=True)


@in_programs
@each_test_in("set_up_engine_in_window.py")
def test_inside_a_window(window_report, name):
    window_report.expect(name)


@pytest.fixture(scope="module")
def check_report(blender, tmp_path_factory):
    return blender.report("check_engine.py", env=fake_environment(tmp_path_factory.mktemp("check")))


@each_test_in("check_engine.py")
def test_inside_a_check(check_report, name):
    check_report.expect(name)


@pytest.fixture(scope="module")
def real_check_report(blender):
    if not (ROOT / "lvsm_engine" / "weights" / "default.safetensors").exists():
        pytest.skip("needs the default weights")
    return blender.report("check_real_engine.py", env={"LVSM_PYTHON": sys.executable})


@each_test_in("check_real_engine.py")
def test_inside_a_check_of_the_real_engine(real_check_report, name):
    real_check_report.expect(name)
