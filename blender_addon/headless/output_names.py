"""What the files of synthesized pictures are called: a pattern, with the names of cameras in it made fit for any disk."""

import os
import re
from pathlib import Path, PurePath

from lvsm_engine.errors import CameraError
from lvsm_engine.scene.picture_formats import ENDINGS

STILL, ANIMATION = "{camera}", "{camera}_{frame}"
"""The patterns where none is chosen: of one frame, and of named frames."""

_PLACEHOLDER = re.compile(r"{(camera|scene|frame)}")
_PHOTO_ENDINGS = {ending for endings in ENDINGS.values() for ending in endings}
# What Windows refuses in names, and what would be a folder.
_REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def checked_pattern(text: str) -> str:
    """A pattern as it was given. Raises ValueError, with the reason, for what is none."""
    unknown = re.search(r"[{}]", _PLACEHOLDER.sub("", text))
    if unknown:
        raise ValueError(f"{text!r} has a brace that is neither of {{camera}}, {{scene}} and {{frame}}")
    parts = PurePath(text).parts
    if not parts or text.endswith(("/", os.sep)) or PurePath(text).is_absolute() or ".." in parts:
        raise ValueError(f"{text!r} names no file within the folder, such as {{camera}}/{{frame}}")
    return text


def file_name(pattern: str, ending: str, camera: str, scene: str, frame: int) -> str:
    """The file of a camera's picture, below the output's folder. ending: with its dot; one in the pattern is not doubled."""
    values = {"camera": _fit(_without_photo_ending(camera)), "scene": _fit(scene), "frame": f"{frame:04}"}
    return _PLACEHOLDER.sub(lambda found: values[found[1]], pattern.removesuffix(ending)) + ending


class OutputFiles:
    """The files that pictures are to be written to: none of them twice, whatever letters the disk tells apart."""

    def __init__(self) -> None:
        self._pictures: dict[str, str] = {}

    def take(self, path: Path, picture: str) -> Path:
        """The path, from now on taken. picture: which it is, for people. Raises CameraError where another has it."""
        key = str(path.absolute()).casefold()  # one file, to Windows and macOS
        if key in self._pictures:
            raise CameraError(
                f"{self._pictures[key]} and {picture} would write the same file, {path}: name each picture once, or use a"
                " pattern that tells them apart, such as {camera}_{frame}."
            )
        self._pictures[key] = picture
        return path


def _without_photo_ending(name: str) -> str:
    """Cameras are often called as their photos."""
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in _PHOTO_ENDINGS else name


def _fit(name: str) -> str:
    """Without what a file system refuses, and no name of a folder such as ".."."""
    return _REFUSED.sub("_", name).rstrip(". ") or "_"
