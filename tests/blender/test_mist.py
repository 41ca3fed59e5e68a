"""Mist, against what Cycles makes of the same depths."""

import numpy as np
import OpenEXR

from blender_addon.rendering.mist import EXPONENTS, MistSettings, mist_of
from lvsm_engine.scene.camera import Camera

WIDTH, HEIGHT, FOCAL = 64, 48, 20 / 36 * 64
CAMERA = Camera(np.eye(4), FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)


def test_mist_is_that_of_cycles_by_every_falloff_and_without_a_world(blender, tmp_path):
    blender.run("cycles_mist.py", tmp_path)
    settings = {falloff: MistSettings(2, 6, falloff) for falloff in EXPONENTS} | {"no world": MistSettings()}
    for name, expected in settings.items():
        with OpenEXR.File(str(tmp_path / f"{name}.exr"), separate_channels=True) as file:
            channels = {key: channel.pixels.copy() for part in file.parts for key, channel in part.channels.items()}
        depths, mist = channels["ViewLayer.Depth.Z"], channels["ViewLayer.Mist.Z"]
        is_there = depths < 1e9
        assert 0.5 < is_there.mean() < 1 and mist[is_there].std() > 0.01
        np.testing.assert_allclose(mist_of(depths, is_there, CAMERA, expected), mist, atol=1e-4, err_msg=name)


def test_what_is_half_there_is_half_in_mist():
    depths, alphas = np.full((HEIGHT, WIDTH), 1.0, np.float32), np.full((HEIGHT, WIDTH), 0.5, np.float32)
    assert np.array_equal(mist_of(depths, alphas, CAMERA, MistSettings(5, 10)), np.full((HEIGHT, WIDTH), 0.5))


def test_a_mist_without_depth_is_a_wall():
    depths = np.array([[1.0, 3.0]], np.float32)
    camera = Camera(np.eye(4), 100, 100, 1, 0.5, 2, 1)
    assert mist_of(depths, np.ones((1, 2)), camera, MistSettings(2, 0)).tolist() == [[0, 1]]
