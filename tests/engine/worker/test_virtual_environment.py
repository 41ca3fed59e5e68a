"""A virtual environment whose own Python is gone."""

from pathlib import Path

from lvsm_engine.worker.virtual_environment import lost_home


def environment(folder: Path, home: Path, program: str = "bin/python") -> Path:
    """A virtual environment by a Python of this home, its Python a link there as on Linux."""
    python = folder / program
    python.parent.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\nversion = 3.11.7\n")
    return python


def test_one_whose_python_is_where_it_was_has_lost_nothing(tmp_path):
    home = tmp_path / "Blender 5.0" / "python" / "bin"
    home.mkdir(parents=True)
    (home / "python3.11").touch()
    python = environment(tmp_path / "engine", home)
    python.symlink_to(home / "python3.11")
    assert lost_home(python) is None


def test_one_whose_blender_was_removed_or_brought_another_python_tells_where_it_was(tmp_path):
    home = tmp_path / "Blender 5.0" / "python" / "bin"
    python = environment(tmp_path / "engine", home)
    python.symlink_to(home / "python3.11")
    assert lost_home(python) == home
    home.mkdir(parents=True)
    (home / "python3.13").touch()
    assert lost_home(python) == home


def test_on_windows_it_is_a_program_that_is_there_without_its_home(tmp_path):
    home = tmp_path / "Blender 5.0" / "python" / "bin"
    python = environment(tmp_path / "engine", home, "Scripts/python.exe")
    python.touch()
    assert lost_home(python) == home


def test_a_python_of_no_virtual_environment_has_none_to_lose(tmp_path):
    assert lost_home(tmp_path / "bin" / "python") is None
    assert lost_home("python3") is None
