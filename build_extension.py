"""Write dist/lvsm-VERSION.zip, the add-on as Blender installs it: python build_extension.py [FOLDER]

The zip holds the manifest and blender_addon's modules at its root and the engine, weights included, in a folder of its
own. Same sources in, same bytes out; it needs no Blender.
"""

import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
MODULES, ENGINE, MANIFEST = ROOT / "blender_addon", ROOT / "lvsm_engine", ROOT / "blender_manifest.toml"
TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can tell
READABLE_FILE = 0o100644 << 16

WEIGHTS = [ENGINE / "weights" / name for name in ("default.safetensors", "detail.safetensors")]
# The worker's PYTHONPATH: it holds nothing but the engine.
BUNDLE = "bundled"

# An extension may not add modules to Blender's top level (it warns of them): inside, the engine is within its package.
ENGINE_IMPORT = re.compile(rb"^(\s*)from lvsm_engine\b", re.MULTILINE)


def build(folder: Path) -> Path:
    """Write the zip into a folder and return its path. Raises FileNotFoundError where weights are missing."""
    for weights in WEIGHTS:
        if not weights.is_file():
            raise FileNotFoundError(
                f"{weights} is missing, without which the extension renders nothing: put the weights there."
            )
    manifest = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{manifest['id']}-{manifest['version']}.zip"
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents():
            entry = zipfile.ZipInfo(name, TIME)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, READABLE_FILE, 3
            archive.writestr(entry, data)
    part.replace(path)
    return path


def contents() -> Iterator[tuple[str, bytes]]:
    """Name within the zip and bytes of each file, in the order of names."""
    yield MANIFEST.name, MANIFEST.read_bytes()
    yield "LICENSE", (ROOT / "LICENSE").read_bytes()
    for path in sorted(MODULES.glob("*.py")):
        yield path.name, ENGINE_IMPORT.sub(rb"\1from ." + BUNDLE.encode() + rb".lvsm_engine", path.read_bytes())
    for path in sorted(ENGINE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{BUNDLE}/{path.relative_to(ROOT).as_posix()}", path.read_bytes()


if __name__ == "__main__":
    try:
        print(build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"))
    except FileNotFoundError as error:
        sys.exit(f"build_extension: {error}")
