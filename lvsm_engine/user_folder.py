"""Where programs of this machine's user keep what they fetched: the engine's Python and models, for every Blender alike.

Knows no disk: paths only, of any system. The standard library only, so Blender's own Python can import it.
"""

import os
from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath, PureWindowsPath

# As platform.system() names them.
LINUX, WINDOWS, MACOS = SYSTEMS = ("Linux", "Windows", "Darwin")


def path_of(system: str, text: str) -> PurePath:
    """A path as that system reads it."""
    return PureWindowsPath(text) if system == WINDOWS else PurePosixPath(text)


def user_folder(system: str, environment: Mapping[str, str], home: str) -> PurePath:
    """A short folder for all that is ours, on a system of SYSTEMS."""
    place = path_of(system, home)
    if system == WINDOWS:
        named = environment.get("LOCALAPPDATA", "")
        local = path_of(system, named) if named else place / "AppData" / "Local"
    elif system == MACOS:
        local = place / "Library" / "Application Support"
    else:
        named = environment.get("XDG_DATA_HOME", "")
        local = path_of(system, named) if os.path.isabs(named) else place / ".local" / "share"
    return local / "lvsm"
