"""Which cameras feed the model, and with what."""


def test_input_views_are_the_cameras_with_photos_that_are_switched_on(blender, tmp_path):
    blender.run("input_views.py", tmp_path / "Jos\u00e9 \u0434 a b")
