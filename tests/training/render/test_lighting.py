"""In what light objects stand: what is drawn, and what Blender makes of it."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from training.render.lighting import (
    AMBIENT_SHARE,
    TOTAL_LEVEL,
    WHITE,
    Surroundings,
    lighting_for,
    random_lighting,
)

from .lit_plate import PANEL, SKY, SUN
from .test_studio import bpy_python

ROOT = Path(__file__).resolve().parents[3]


def test_blender_s_light_has_the_levels_of_ours() -> None:
    command = [bpy_python(), "-m", "tests.training.render.lit_plate"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    levels = json.loads(next(line for line in result.stdout.splitlines() if line.startswith("{")))
    assert levels["white"] == pytest.approx([1, 1, 1], abs=0.02)
    assert levels["sun"] == pytest.approx(SUN.colour, abs=0.02)
    assert levels["sun behind"] == pytest.approx([0, 0, 0], abs=0.02)
    assert levels["panel"] == pytest.approx(PANEL.colour, abs=0.03)
    # Weighted by the cosine: a third of the horizon and two thirds of the zenith.
    assert levels["sky above"] == pytest.approx(SKY.horizon / 3 + SKY.zenith * 2 / 3, abs=0.02)
    assert levels["ground below"] == pytest.approx(SKY.ground, abs=0.02)


def test_half_of_the_robust_objects_and_no_other_stand_in_random_light() -> None:
    names = [f"object {number}" for number in range(400)]
    assert all(lighting_for(name, sampling) is WHITE for sampling in ("published", "protocol") for name in names[:20])
    random = [name for name in names if lighting_for(name, "robust") is not WHITE]
    assert len(random) == pytest.approx(200, abs=40)


def test_the_light_of_an_object_depends_on_its_name_alone() -> None:
    name = next(name for name in map(str, range(99)) if lighting_for(name, "robust") is not WHITE)
    one, again = lighting_for(name, "robust"), lighting_for(name, "robust")
    assert np.array_equal(one.surroundings.zenith, again.surroundings.zenith)
    for left, right in zip(one.lamps, again.lamps, strict=True):
        assert np.array_equal(left.direction, right.direction) and np.array_equal(left.colour, right.colour)


def test_random_lights_add_up_to_the_levels_that_are_promised() -> None:
    lights = [random_lighting(np.random.default_rng(seed)) for seed in range(300)]
    ambient = np.array([lighting.surroundings.mean().mean() for lighting in lights])
    lamps = np.array([sum(lamp.colour.mean() for lamp in lighting.lamps) for lighting in lights])
    total, share = ambient + lamps, ambient / (ambient + lamps)
    assert TOTAL_LEVEL[0] <= total.min() and total.max() <= TOTAL_LEVEL[1]
    assert AMBIENT_SHARE[0] <= share.min() + 1e-9 and share.max() <= AMBIENT_SHARE[1] + 1e-9
    assert {len(lighting.lamps) for lighting in lights} == {1, 2, 3}
    assert 0.3 < np.mean([lamp.is_sun for lighting in lights for lamp in lighting.lamps]) < 0.7
    is_sky = [not np.array_equal(light.surroundings.ground, light.surroundings.zenith) for light in lights]
    assert 0.4 < np.mean(is_sky) < 0.6


def test_the_mean_of_surroundings_is_that_over_the_sphere() -> None:
    sky = Surroundings(*np.array([[0.1, 0.2, 0.3], [1.0, 0.8, 0.6], [0.2, 0.4, 0.9]]))
    sines = np.linspace(-1, 1, 200_001)  # Uniform over the sphere.
    for channel in range(3):
        colours = sky.ground[channel], sky.horizon[channel], sky.zenith[channel]
        expected = np.interp(sines, (-0.1, 0, 1), colours).mean()
        assert sky.mean()[channel] == pytest.approx(expected, abs=1e-4)
