"""The engine's process as Blender owns it."""

import os
import re
import sys
import time

import pytest

from tests.shared_data import ROOT

from .fake_engine import fake_environment


def test_there_is_one_process_a_blender_and_none_after_it(blender, tmp_path):
    said = blender.run("engine.py", tmp_path, env=fake_environment(tmp_path))
    process = int(re.search(r"engine: passed, left process (\d+)", said)[1])
    for _ in range(50):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail(f"process {process} outlived Blender")


def test_the_real_engine_gives_button_and_render_the_same_picture(blender, tmp_path):
    if not (ROOT / "lvsm_engine" / "weights" / "default.safetensors").exists():
        pytest.skip("needs the default weights")
    capture = ROOT / "training" / "sample_capture" / "transforms.json"
    said = blender.run("real_engine.py", tmp_path, capture, env={"LVSM_PYTHON": sys.executable})
    assert "real engine: passed" in said
