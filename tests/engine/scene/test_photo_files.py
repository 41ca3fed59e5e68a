"""Where photos are found: one place for all, nothing guessed, and said where it is not what the file says."""

import pytest

from lvsm_engine.scene.captures.photo_files import find_photos, photo_warnings


@pytest.fixture
def find(tmp_path):
    """Makes files (paths with slashes), and finds names; paths relative to the folder, and whether as named."""

    def found(files, *names):
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        photos = find_photos([tmp_path], names)
        return [photo and (photo.path.relative_to(tmp_path).as_posix(), photo.is_as_named) for photo in photos]

    return found


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.png", "a.png"),
        ("a.png", "./a.png"),
        ("a.png", "a"),
        ("train/r_0.png", "./train/r_0"),
        ("frame.001.jpg", "frame.001"),
        ("images/a.png", "images\\a.png"),
        ("images/cam1/a.png", "cam1/a.png"),
        ("photos/a.png", "a.png"),
    ],
)
def test_photos_are_found_as_they_are_named(find, file, name):
    assert find([file], name) == [(file, True)]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.PNG", "a.png"),
        ("A.png", "a.png"),
        ("a.png", "a.jpg"),
        ("a.JPG", "a.png"),
        ("Images/a.png", "images/a.png"),
        ("images_4/a.png", "images/a.png"),
        ("images_4/a.png", "images/a.JPG"),
        ("images_2/cam1/a.png", "cam1/a.png"),
        ("images/a.png", "/home/ana/shoot/a.png"),
        ("a.png", "C:\\Users\\someone\\photos\\a.png"),
        ("images/cam1/a.png", "D:/shoot/cam1/a.png"),
    ],
)
def test_photos_are_found_elsewhere_and_that_is_said(find, tmp_path, file, name):
    assert find([file], name) == [(file, False)]
    (warning,) = photo_warnings([name], find_photos([tmp_path], [name]))
    assert warning.startswith("1 photos are not where the file says") and file.split("/")[-1] in warning


def test_a_file_of_the_very_name_comes_before_its_likes(find):
    assert find(["a.PNG", "a.jpg", "A.png", "a.png"], "a.png") == [("a.png", True)]


def test_full_size_comes_before_shrunk(find):
    assert find(["images_2/a.png", "images_8/a.png", "images/a.png"], "images/a.png") == [("images/a.png", True)]
    assert find(["images_2/b.png", "images_8/b.png"], "images/b.png") == [("images_2/b.png", False)]


def test_a_missing_photo_does_not_make_all_others_shrunk(find):
    full, shrunk = ([f"{folder}/{number}.png" for number in range(6)] for folder in ("images", "images_2"))
    assert find(full[:5] + shrunk, *full) == [*((path, True) for path in full[:5]), None]
    assert find([], "images/9.png") == [None]


def test_all_photos_come_from_one_place(find):
    files = ["images/a.png", "input/a.png", "input/b.png", "input/c.png"]
    assert find(files, "a.png", "b.png", "c.png") == [(f"input/{name}.png", True) for name in "abc"]


def test_a_photo_that_is_missing_stays_missing(find):
    assert find(["images/a.png", "images/b.png", "images_2/c.png"], "a.png", "b.png", "c.png")[2] is None


def test_two_names_never_get_one_file(find):
    assert find(["images/0.png"], "D:/cam1/0.png", "D:/cam2/0.png") == [None, None]
    assert find(["images/0.png"], "images/0.png", "./images/0.png") == [("images/0.png", True)] * 2


@pytest.mark.parametrize("name", ["", "\0", "x" * 5000, "/", "..", "../..", "\udcff\ud800", "a/../../../b"])
def test_names_that_no_file_has_are_not_found(find, name):
    assert find(["a.png"], name) == [None]


def test_absent_photos_are_counted_and_some_are_named():
    names = [f"{number}.png" for number in range(5)]
    (warning,) = photo_warnings(names, [None] * 5)
    assert warning == "5 frames have no photo on disk and cannot be input views: 0.png, 1.png, 2.png, ...."


def test_many_names_are_soon_looked_for(find):
    import time

    began = time.process_time()
    assert find(["images/a.png"], *(f"D:/a/b/c/d/e/f/{number}.jpg" for number in range(5000))) == [None] * 5000
    assert time.process_time() - began < 3
