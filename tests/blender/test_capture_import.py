"""Captures become cameras with photos."""


def test_a_capture_becomes_cameras_in_one_step_or_leaves_nothing(blender, tmp_path):
    blender.run("capture_import.py", tmp_path / "Jos\u00e9 \u0434 a b")
