"""Import Capture on real captures: as many cameras, each with a photo and its view, as the engine reads by itself."""

import os
from pathlib import Path

import bpy
import numpy as np
import stage

input_views, capture_import = stage.addon("scene.input_views"), stage.addon("captures.capture_import")
captures = stage.addon("bundled.lvsm_engine.scene.captures")
PATHS = [Path(path) for path in os.environ["LVSM_TEST_CAPTURES"].split(os.pathsep)]


def test_every_capture_is_imported():
    for path in PATHS:
        bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
        assert bpy.ops.lvsm.import_capture(filepath=str(path)) == {"FINISHED"}, path
        capture = captures.load_capture(path, photo_size=capture_import._photo_size)
        expected = [view for view in capture.views if view.photo is not None]
        views = input_views.input_views(bpy.context.scene, bpy.context.evaluated_depsgraph_get())
        assert len(views) == len(expected) > 1, path
        positions, wanted = (np.array([view.camera.position for view in some]) for some in (views, expected))
        moved = wanted.mean(axis=0) - positions.mean(axis=0)
        spread = np.linalg.norm(wanted - wanted.mean(axis=0), axis=1).max()
        order = {view.photo: number for number, view in enumerate(expected)}
        for view, position in zip(views, positions, strict=True):
            there = wanted[order[view.photo]] - moved
            assert np.abs(position - there).max() < 1e-5 * max(1, spread), (path, view.name)
