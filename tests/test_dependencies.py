"""What the packages import, pyproject.toml declares: a fresh environment has it because it asked for it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from blender_addon.engine.engine_setup import (
    IMPORTED,
    MODEL_PACKAGES,
    OPTIONAL_PACKAGES,
    OTHER_PACKAGES,
    PHOTO_PACKAGES,
    TORCH,
)
from lvsm_engine.cli.doctor import PACKAGES as EXAMINED
from tests.shared_data import ROOT

PACKAGES = ("lvsm_engine", "blender_addon", "training")
OURS = {*PACKAGES, "tests", "benchmarks", "build_extension"}
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
}
"""Where a module's name is not its distribution's."""
BLENDERS = {
    "bpy",
    "bpy_extras",
    "mathutils",
    "gpu",
    "gpu_extras",
    "bl_operators",
    "bl_ui",
    "blf",
    "bmesh",
    "addon_utils",
    "idprop",
    "bl_ext",
}
"""What Blender brings along."""


def declared(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return {re.split(r"[\[<>=!~; ]", one)[0].lower().replace("_", "-") for some in lists for one in some}


def imported(path: Path) -> Iterator[str]:
    """The top-level names of all modules that a file imports, function bodies included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def strangers_in(folder: str) -> dict[str, Path]:
    """The distributions that a package needs, each with a file that imports it."""
    known = set(sys.stdlib_module_names) | OURS | BLENDERS
    found = {
        name: path
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in imported(path)
        if name not in known and not path.with_name(f"{name}.py").exists()  # scripts in Blender import their siblings
    }
    return {DISTRIBUTIONS.get(name, name).lower().replace("_", "-"): path for name, path in found.items()}


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("lvsm_engine", ("photos", "models")),
        ("blender_addon", ()),
        ("training", ("training",)),
        ("benchmarks", ("training", "dev")),
        ("tests", ("training", "dev", "photos")),
    ],
)
def test_all_that_a_package_imports_is_declared(package: str, extras: tuple[str, ...]) -> None:
    undeclared = {name: path for name, path in strangers_in(package).items() if name not in declared(*extras)}
    assert undeclared == {}


def test_what_set_up_engine_installs_is_declared_examined_and_told():
    """blender_addon/engine_setup.py has the list; these agree with it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = (TORCH, *OTHER_PACKAGES)
    assert set(installed) <= set(project["dependencies"]) and set(IMPORTED) <= set(EXAMINED)
    assert set(PHOTO_PACKAGES) <= set(project["optional-dependencies"]["photos"])
    assert set(MODEL_PACKAGES) <= set(project["optional-dependencies"]["models"])
    assert [DISTRIBUTIONS.get(name, name) for name in IMPORTED] == [re.split("[>=]", name)[0] for name in installed]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert " ".join((*installed, *OPTIONAL_PACKAGES)) in readme
    worker = (ROOT / "lvsm_engine" / "worker" / "__main__.py").read_text(encoding="utf-8")
    assert all(DISTRIBUTIONS.get(name, name) in worker for name in IMPORTED)


def test_the_engine_renders_with_no_more_than_set_up_engine_installs():
    """Modules that a worker needs import those packages only, the photos' optional ones apart."""
    rooms = ("worker", "model", "photos", "scene")
    needed = {name for room in rooms for name in strangers_in(f"lvsm_engine/{room}")}
    optional = {*PHOTO_PACKAGES, "openexr"}
    assert needed - optional <= {re.split("[>=]", name)[0] for name in (TORCH, *OTHER_PACKAGES)}
