"""Where the engine's source lies: inside the installed extension, or beside this package in a checkout."""

import importlib.util
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent

_BUNDLE = _HERE / "bundled"

ENGINE_FOLDER = _BUNDLE if _BUNDLE.is_dir() else _HERE.parent
"""What holds the package lvsm_engine; the worker's PYTHONPATH, where the add-on's own modules have no business."""


def _load_from_checkout() -> None:
    """Make `import lvsm_engine` work for a script that runs from a checkout which is not installed."""
    folder = ENGINE_FOLDER / "lvsm_engine"
    spec = importlib.util.spec_from_file_location(
        "lvsm_engine", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules["lvsm_engine"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


# In the extension the engine is within this package, and imported so: build_extension.py sees to it.
if ENGINE_FOLDER != _BUNDLE and importlib.util.find_spec("lvsm_engine") is None:
    _load_from_checkout()
