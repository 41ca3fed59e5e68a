"""Blender cameras as Camera and back."""


def test_cameras_project_as_blender_does_and_come_back(blender):
    print(blender.name, blender.run("scene_cameras.py"))
