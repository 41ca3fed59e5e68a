"""The engine's process as Blender owns it."""

import os
import re
import sys
import time

import pytest

from tests.shared_data import ROOT

from .fake_engine import fake_environment
from .inside_tests import each_test_in

HANG_SECONDS = 120


@pytest.fixture(scope="module")
def report(blender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("worker_owner")
    return blender.report("worker_owner.py", folder, env=fake_environment(folder))


@each_test_in("worker_owner.py")
def test_inside(report, name):
    report.expect(name)


def test_no_process_outlives_blender(report):
    process = int(re.search(r"left process (\d+)", report.output)[1])
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail(f"process {process} outlived Blender")


@pytest.fixture(scope="module")
def real_report(blender, tmp_path_factory):
    if not (ROOT / "lvsm_engine" / "weights" / "default.safetensors").exists():
        pytest.skip("needs the default weights")
    capture = ROOT / "training" / "sample_capture" / "transforms.json"
    folder = tmp_path_factory.mktemp("real_engine")
    return blender.report("real_engine.py", folder, capture, env={"LVSM_PYTHON": sys.executable})


@each_test_in("real_engine.py")
def test_inside_with_the_real_engine(real_report, name):
    real_report.expect(name)
