"""What a virtual environment says of the Python that it was made with. The standard library only."""

from pathlib import Path

SETTINGS = "pyvenv.cfg"


def lost_home(python: str | Path) -> Path | None:
    """Where the Python was that a virtual environment's was made with, if it is there no more.

    None for a Python of no virtual environment, and for one whose own is where it was.
    """
    settings = Path(python).parent.parent / SETTINGS
    try:
        lines = settings.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for name, _, value in (line.partition("=") for line in lines):
        if name.strip() == "home":
            home = Path(value.strip())
            # On Linux and macOS the environment's Python is a link to the one at home; on Windows a program that looks there.
            is_there = Path(python).exists() and next(home.glob("python*"), None) is not None
            return None if is_there else home
    return None
