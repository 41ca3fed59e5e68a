"""Solve Cameras: what the engine has solved is imported, what it could not do is told."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np
import stage

folder = Path(sys.argv[1])
stage.addon("captures.camera_solving")
results, last_outcome = stage.addon("scene.results"), stage.addon("last_outcome").last_outcome


def solved_capture():
    """A capture of two photos, as the engine would have written it; its file."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = []
    for number in range(2):
        (folder / f"{number}.png").write_bytes(results.encode_png(np.full((48, 64, 3), 99, np.uint8)))
        frames.append({"file_path": f"{number}.png", "transform_matrix": np.eye(4).tolist()})
    path = folder / "solved.json"
    path.write_text(json.dumps({"fl_x": 70, "fl_y": 70, "cx": 32, "cy": 24, "w": 64, "h": 48, "frames": frames}))
    return path


def build():
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    last_outcome.forget()
    return bpy.context.scene


def photos():
    return [camera.lvsm.photo.name for camera in bpy.data.cameras if camera.lvsm.photo]


def test_solved_photos_are_cameras_of_the_scene_and_what_was_left_out_is_told():
    build()
    record = folder / "asked.jsonl"
    with stage.fake_worker(solved=solved_capture(), record=record):
        assert bpy.ops.lvsm.solve_cameras(directory=str(folder)) == {"FINISHED"}
    assert sorted(photos()) == ["0.png", "1.png"]
    assert last_outcome.warnings == ("c was not placed.",)
    assert json.loads(record.read_text())["folder"] == str(folder)


def test_what_cannot_be_solved_is_a_sentence_and_makes_nothing():
    build()
    with stage.fake_worker(fault="fail"):
        assert "too little memory" in stage.refusal(lambda: bpy.ops.lvsm.solve_cameras(directory=str(folder)))
    assert not photos()


def test_no_folder_is_a_sentence():
    build()
    assert "No folder is chosen" in stage.refusal(bpy.ops.lvsm.solve_cameras)
