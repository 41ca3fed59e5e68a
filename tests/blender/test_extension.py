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
    engine = {"bundled/lvsm_engine/worker/__main__.py", "bundled/lvsm_engine/weights/default.safetensors"}
    assert {"blender_manifest.toml", "__init__.py", "LICENSE"} | engine <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]
    # What the worker finds first among its modules.
    assert {name.split("/")[1] for name in names if name.startswith("bundled/")} == {"lvsm_engine"}


def test_no_zip_is_made_without_the_weights(tmp_path):
    for name in ("build_extension.py", "blender_manifest.toml", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("blender_addon", "lvsm_engine"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    done = subprocess.run([sys.executable, tmp_path / "build_extension.py"], capture_output=True, text=True)
    assert done.returncode == 1 and "default.safetensors is missing" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.zip")) and not list(tmp_path.rglob("*.part"))


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
            is_marked = name in ("scene_cameras.py", "bundled/lvsm_engine/errors.py")
            target.writestr(name, source.read(name) + (b"\nNEWER = True\n" if is_marked else b""))
    assert "update: passed" in Blender(blender.name, older).run("update.py", newer)


def test_the_package_can_be_imported_without_blender():
    script = "import sys, blender_addon; assert 'bpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
