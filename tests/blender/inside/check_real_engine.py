"""check_real_engine.py: the report on a test view by the real engine."""

from pathlib import Path

import bpy
import stage


def test_the_real_engine_draws_the_known_view():
    assert bpy.ops.lvsm.check_engine() == {"FINISHED"}
    report = bpy.data.texts["LVSM Report"].as_string()
    print(report)
    assert "Test view: right (" in report and "torch 2." in report and "Engine's Python: 3." in report
    assert str(Path.home()) not in report
    assert stage.addon("last_outcome").last_outcome.error is None
