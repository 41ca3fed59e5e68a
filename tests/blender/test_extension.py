"""The extension as Blender sees it: valid, installed, enabled, and gone without a trace."""

import ast
import graphlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.shared_data import ROOT

from .conftest import BLENDERS, Blender
from .inside_tests import each_test_in


def test_the_same_sources_make_the_same_zip(extension_zip, tmp_path):
    subprocess.run([sys.executable, ROOT / "build_extension.py", tmp_path], check=True, capture_output=True)
    assert (tmp_path / extension_zip.name).read_bytes() == extension_zip.read_bytes()


def test_the_zip_holds_the_add_on_at_its_root_and_the_engine_within(extension_zip):
    names = zipfile.ZipFile(extension_zip).namelist()
    engine = {"bundled/lvsm_engine/worker/__main__.py", "bundled/lvsm_engine/weights/default.safetensors"}
    assert {"blender_manifest.toml", "__init__.py", "LICENSE"} | engine <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]
    # What the worker finds first among its modules.
    assert {name.split("/")[1] for name in names if name.startswith("bundled/")} == {"lvsm_engine"}


def test_the_manual_is_in_it_and_its_links_lead_somewhere(extension_zip):
    archive = zipfile.ZipFile(extension_zip)
    pages = [name for name in archive.namelist() if name.startswith("manual/") and name.endswith(".html")]
    assert {"manual/index.html", "manual/tour.html", "manual/farm.html"} <= set(pages)
    for page in pages:
        text = archive.read(page).decode()
        assert "<h1>" in text and "](" not in text, page
        for link in re.findall(r'(?:href|src)="([^":#]+)', text):
            assert f"manual/{link}" in archive.namelist(), f"{page} leads to {link}"


def test_no_zip_is_made_without_the_weights(tmp_path):
    for name in ("build_extension.py", "blender_manifest.toml", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("blender_addon", "lvsm_engine", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    done = subprocess.run([sys.executable, tmp_path / "build_extension.py"], capture_output=True, text=True)
    assert done.returncode == 1 and "default.safetensors is missing" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.zip")) and not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("blender", BLENDERS, indirect=True)
def test_blender_finds_the_zip_valid(blender, extension_zip):
    said = blender.execute([*blender.command, "-b", "--command", "extension", "validate", extension_zip])
    assert "error" not in said.lower()


@pytest.fixture(scope="module")
def report(blender):
    return blender.report("extension.py")


@each_test_in("extension.py")
def test_inside(report, name):
    report.expect(name)


@pytest.fixture(scope="module")
def update_report(blender, extension_zip, tmp_path_factory):
    """Of a newer zip over a copy of the installed extension."""
    folder = tmp_path_factory.mktemp("extension_update")
    older = shutil.copytree(blender.resources, folder / "resources")
    newer = folder / extension_zip.name
    with zipfile.ZipFile(extension_zip) as source, zipfile.ZipFile(newer, "w") as target:
        for name in source.namelist():
            is_marked = name in ("scene/scene_cameras.py", "bundled/lvsm_engine/errors.py")
            target.writestr(name, source.read(name) + (b"\nNEWER = True\n" if is_marked else b""))
    return Blender(blender.name, older).report("extension_update.py", newer)


@each_test_in("extension_update.py")
def test_inside_an_update(update_report, name):
    update_report.expect(name)


def test_the_package_can_be_imported_without_blender():
    script = "import sys, blender_addon; assert 'bpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def addon_modules():
    return {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "blender_addon").rglob("*.py")}


def siblings_used(module: ast.Module, siblings: set[str]) -> set[str]:
    """The add-on's modules that one of them imports, within functions too."""
    relative = [item for item in ast.walk(module) if isinstance(item, ast.ImportFrom) and item.level]
    named = {item.module.rpartition(".")[2] for item in relative if item.module} | {
        alias.name for item in relative for alias in item.names
    }
    return named & siblings


def test_the_add_ons_modules_import_each_other_in_no_circle():
    modules = addon_modules()
    uses = {name: siblings_used(module, set(modules)) for name, module in modules.items() if name != "__init__"}
    order = list(graphlib.TopologicalSorter(uses).static_order())  # raises CycleError, which names the circle
    assert order.index("last_outcome") < order.index("preferences") < order.index("worker_owner")


def test_the_add_ons_state_is_held_by_objects_and_no_module_rebinds_its_names():
    rebinding = [
        name for name, module in addon_modules().items() for item in ast.walk(module) if isinstance(item, ast.Global)
    ]
    assert rebinding == []
