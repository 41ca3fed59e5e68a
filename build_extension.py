"""Write dist/lvsm-VERSION.zip, the add-on as Blender installs it: python build_extension.py [FOLDER]

The zip holds the manifest and blender_addon's modules at its root; the engine, weights included, and the manual each in a
folder of its own. Same sources in, same bytes out; it needs no Blender.
"""

import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import markdown

ROOT = Path(__file__).resolve().parent
MODULES, ENGINE, MANIFEST = ROOT / "blender_addon", ROOT / "lvsm_engine", ROOT / "blender_manifest.toml"
DOCS = ROOT / "docs"
TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can tell
READABLE_FILE = 0o100644 << 16

WEIGHTS = [ENGINE / "weights" / name for name in ("default.safetensors", "detail.safetensors")]
# The worker's PYTHONPATH: it holds nothing but the engine.
BUNDLE = "bundled"

# An extension may not add modules to Blender's top level (it warns of them): inside, the engine is within its package.
ENGINE_IMPORT = re.compile(rb"^(\s*)from lvsm_engine\b", re.MULTILINE)

# A page of the manual: readable in any browser, without a network.
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ max-width: 50em; margin: 2em auto; padding: 0 1em; font: 16px/1.5 sans-serif; }}
img {{ max-width: 100%; }} td, th {{ padding: 0.2em 1em 0.2em 0; text-align: left; vertical-align: top; }}
pre {{ overflow-x: auto; background: #eee; padding: 0.5em; }}
</style></head><body>{links}{body}</body></html>
"""
LINK_TO_CONTENTS = '<p><a href="index.html">Contents</a></p>'


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
    for path in sorted(MODULES.rglob("*.py")):
        within = path.relative_to(MODULES)
        bundle = b"." * len(within.parts) + BUNDLE.encode()
        yield within.as_posix(), ENGINE_IMPORT.sub(rb"\1from " + bundle + rb".lvsm_engine", path.read_bytes())
    for path in sorted(ENGINE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{BUNDLE}/{path.relative_to(ROOT).as_posix()}", path.read_bytes()
    yield from manual()


def manual() -> Iterator[tuple[str, bytes]]:
    """The pages of docs/ as HTML, and their pictures."""
    for path in sorted(DOCS.rglob("*")):
        name = f"manual/{path.relative_to(DOCS).as_posix()}"
        if path.suffix == ".md":
            yield _html_name(name), _as_html(path.read_text(encoding="utf-8"), is_contents=path.stem == "README")
        elif path.is_file():
            yield name, path.read_bytes()


def _as_html(text: str, is_contents: bool) -> bytes:
    title = text.partition("\n")[0].lstrip("# ")
    body = markdown.markdown(text, extensions=["tables", "fenced_code"])
    body = re.sub(r'href="([^":]+\.md)', lambda link: f'href="{_html_name(link[1])}', body)
    return PAGE.format(title=title, links="" if is_contents else LINK_TO_CONTENTS, body=body).encode()


def _html_name(name: str) -> str:
    return name.replace("README.md", "index.html").replace(".md", ".html")


if __name__ == "__main__":
    try:
        print(build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"))
    except FileNotFoundError as error:
        sys.exit(f"build_extension: {error}")
