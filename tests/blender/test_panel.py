"""The panel in the 3D view's side bar. How it looks: `make screenshots`."""

from .fake_engine import fake_environment


def test_every_remedy_has_its_button_and_changed_colors_are_told(blender, tmp_path):
    assert "panel: passed" in blender.run("panel.py", tmp_path, env=fake_environment(tmp_path))
