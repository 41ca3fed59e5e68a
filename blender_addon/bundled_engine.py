"""Where the engine's source lies: inside the installed extension, or beside this package in a checkout."""

import importlib.util
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent

ENGINE_FOLDER = _HERE if (_HERE / "lvsm_engine").is_dir() else _HERE.parent
"""What holds the package lvsm_engine; the worker's PYTHONPATH."""


def _load_from_checkout() -> None:
    """Make `import lvsm_engine` work for a script that runs from a checkout which is not installed."""
    folder = ENGINE_FOLDER / "lvsm_engine"
    spec = importlib.util.spec_from_file_location(
        "lvsm_engine", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules["lvsm_engine"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


# In the extension the engine is a sub-package, and imported as one: build_extension.py sees to it.
if ENGINE_FOLDER != _HERE and importlib.util.find_spec("lvsm_engine") is None:
    _load_from_checkout()
