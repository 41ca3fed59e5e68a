"""The extension as Blender sees it: valid, installed, enabled, and gone without a trace."""

import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.blender.conftest import BLENDERS, Blender
from tests.shared_data import ROOT


def test_the_same_sources_make_the_same_zip(extension_zip, tmp_path):
    subprocess.run([sys.executable, ROOT / "build_extension.py", tmp_path], check=True, capture_output=True)
    assert (tmp_path / extension_zip.name).read_bytes() == extension_zip.read_bytes()


def test_the_zip_holds_the_add_on_at_its_root_and_the_engine_within(extension_zip):
    names = zipfile.ZipFile(extension_zip).namelist()
    assert {"blender_manifest.toml", "__init__.py", "lvsm_engine/worker/__main__.py", "LICENSE"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]


@pytest.mark.parametrize("blender", BLENDERS, indirect=True)
def test_blender_finds_the_zip_valid(blender, extension_zip):
    said = blender.execute([*blender.command, "-b", "--command", "extension", "validate", extension_zip])
    assert "error" not in said.lower()


def test_the_extension_comes_and_goes_without_a_warning(blender):
    blender.run("extension.py")


def test_an_update_takes_effect_in_the_running_blender(blender, extension_zip, tmp_path):
    older = shutil.copytree(blender.resources, tmp_path / "resources")
    newer = tmp_path / extension_zip.name
    with zipfile.ZipFile(extension_zip) as source, zipfile.ZipFile(newer, "w") as target:
        for name in source.namelist():
            is_marked = name in ("scene_cameras.py", "lvsm_engine/errors.py")
            target.writestr(name, source.read(name) + (b"\nNEWER = True\n" if is_marked else b""))
    assert "update: passed" in Blender(blender.name, older).run("update.py", newer)


def test_the_package_can_be_imported_without_blender():
    script = "import sys, blender_addon; assert 'bpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
