"""What the batch's files are called."""

from pathlib import Path

import pytest

from blender_addon.headless.output_names import OutputFiles, checked_pattern, file_name
from lvsm_engine.errors import CameraError


@pytest.mark.parametrize(
    ("pattern", "camera", "name"),
    [
        ("{camera}", "Target", "Target.png"),
        ("{camera}_{frame}", "IMG_1.JPG", "IMG_1_0007.png"),
        ("{scene}/{camera}/{frame}", "v1.5", "Scene/v1.5/0007.png"),
        ("{frame}.png", "A", "0007.png"),
        ("{camera}", "a.png", "a.png"),
        ("{camera}", "version 1.2", "version 1.2.png"),
        ("{camera}", "a/b\\c:d", "a_b_c_d.png"),
        ("{camera}/{frame}", "..", "_/0007.png"),
        ("{camera}/{frame}", "{frame}", "{frame}/0007.png"),
    ],
)
def test_a_pattern_becomes_a_name_that_stays_within_the_folder(pattern, camera, name):
    assert file_name(checked_pattern(pattern), ".png", camera, "Scene", 7) == name


@pytest.mark.parametrize("pattern", ["", "/tmp/{camera}", "../{camera}", "{camera}/", "{view}", "{frame:04}", "{", "}"])
def test_what_is_no_pattern_is_refused_with_the_reason(pattern):
    with pytest.raises(ValueError, match="has a brace that is neither of|names no file within the folder"):
        checked_pattern(pattern)


def test_two_pictures_never_have_one_file_whatever_letters_a_disk_tells_apart():
    files = OutputFiles()
    assert files.take(Path("out/A.png"), "A at frame 1") == Path("out/A.png")
    files.take(Path("out/B.png"), "B at frame 1")
    with pytest.raises(CameraError, match="A at frame 1 and a at frame 2 would write the same file"):
        files.take(Path("out/a.png"), "a at frame 2")
