"""The captures of ../shared, and those that people met, in every Blender."""

import os

import pytest

from tests.shared_data import shared

CAPTURES = (
    "captures/banana_instant_ngp",
    "captures/brighton_beach_colmap",
    "captures/gso_character_opencv",
    "captures/lego_minimal_blender",
    "captures/miku_plush_colmap",
    *(
        f"captures/buddha_formats/{name}"
        for name in (
            "transforms.json",
            "opencv_cameras.json",
            "sparse/0",
            "sfm_data.json",
            "metashape_cameras.xml",
            "realitycapture.csv",
            "cameras.sfm",
        )
    ),
    "field_cases/00_baseline/input",
    "field_cases/02_colmap_two_models/input",
    "field_cases/03_colmap_names_not_utf8/input/cp1252",
    "field_cases/03_colmap_names_not_utf8/input/gbk",
    *(
        f"field_cases/04_colmap_known_poses_by_script/input/{name}"
        for name in ("a_empty_points3D", "b_no_points3D_file", "c_no_blank_lines", "d_quaternions_not_normalised")
    ),
    "field_cases/05_colmap_rig_text_stale_poses/input",
    "field_cases/06_only_downscaled_folder/input/colmap",
    "field_cases/06_only_downscaled_folder/input/dl3dv",
    "field_cases/07_nerfstudio_mask_path/input",
    "field_cases/10_lvsm_own_metadata/input",
    "field_cases/11_georeferenced_utm/input",
    "field_cases/12_exif_orientation/input/a_solved_as_stored",
    "field_cases/12_exif_orientation/input/b_solved_upright",
)


@pytest.fixture(scope="module")
def report(blender):
    paths = [str(shared(*path.split("/"))) for path in CAPTURES]
    return blender.report("real_captures.py", env=os.environ | {"LVSM_TEST_CAPTURES": os.pathsep.join(paths)})


def test_every_capture_is_imported(report):
    report.expect("test_every_capture_is_imported")
