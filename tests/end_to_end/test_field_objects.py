"""GLB files as people have them, photographed by every bpy that is supported, or left out by their cause."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from training.render.job import RenderJob
from training.render.photographable import photographable
from training.render.rejection import RejectedError
from training.render.studio_process import StudioProcess

from ..shared_data import ROOT, shared

BAD_OBJECTS = ROOT / "tests" / "bad_inputs" / "objects"


@pytest.fixture(scope="module", params=["4.2", "5.0"])
def studio(request: pytest.FixtureRequest) -> Iterator[StudioProcess]:
    python = ROOT / ".venv-bpy" / request.param / "bin" / "python"
    if not python.exists():
        pytest.skip(f"needs {python.relative_to(ROOT)} (make test makes it)")
    process = StudioProcess([str(python), "-m", "training.render.studio", "--device", "cpu"])
    yield process
    process.close()


def subjects(studio: StudioProcess, path: Path) -> np.ndarray:
    """Where the object is in each of 6 views, (6, 96, 96) of bool; from the same cameras for all."""
    job = RenderJob(
        name="the same",
        source="",
        output="",
        sampling="published",
        views=6,
        size=96,
        samples=4,
        denoise=False,
        field_of_view=None,
        seconds=100.0,
    )
    views = studio.render(job, photographable(path.read_bytes()))
    with np.load(io.BytesIO(views)) as file:
        return file["images"][..., 3] > 127


def shares(studio: StudioProcess, *parts: str) -> np.ndarray:
    return subjects(studio, shared("field_cases", *parts)).mean(axis=(1, 2))


@pytest.mark.parametrize("name", ["child_moves", "root_hops", "root_moves", "root_scales", "root_turns"])
def test_an_animated_object_is_photographed_at_rest(studio, name):
    still = shares(studio, "20_glb_animated_root", "input", "still.glb")
    moving = shares(studio, "20_glb_animated_root", "input", f"{name}.glb")
    assert still.min() > 0.04
    assert np.abs(moving - still).max() < 0.1 if name == "child_moves" else np.abs(moving - still).max() < 0.02


def test_a_texture_that_blender_cannot_read_is_named_by_its_extension(studio):
    with pytest.raises(RejectedError, match="Blender cannot import it: Extension KHR_texture_basisu is not available"):
        shares(studio, "23_glb_ktx2_texture", "input", "ktx2_required.glb")
    assert shares(studio, "23_glb_ktx2_texture", "input", "ktx2_with_fallback.glb").min() > 0.04


@pytest.mark.parametrize("name", ["camera_and_lamp", "two_scenes", "negative_scale"])
def test_only_the_default_scenes_meshes_are_framed(studio, name):
    assert shares(studio, "26_glb_scene_extras", "input", f"{name}.glb").min() > 0.01


# Of those that are refused before, see tests/test_bad_inputs.py.
BY_BLENDER = {
    "ext_required": "Blender cannot import it: Extension X is not available",
    "inf": "the longest side is",
    "nan": "the longest side is",
    "no_mesh": "the file has no mesh",
}


@pytest.mark.parametrize("name", BY_BLENDER)
def test_attacks_that_are_glb_files_are_left_out_by_their_cause(studio, name):
    with pytest.raises(RejectedError, match=BY_BLENDER[name]):
        subjects(studio, BAD_OBJECTS / f"{name}.glb")
