"""Where the tests' large data lies: `../shared` beside the checkout. A user's checkout has none: those tests skip."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def shared(*parts: str) -> Path:
    """The path of a shared file or folder; skips the running test where it is not there."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs ../shared/{'/'.join(parts)}, which this checkout does not have")
    return path
