"""Small pictures of photos, for lists.

Blender makes them of files on a thread of its own, and keeps them in the system's cache of thumbnails. An image's own preview
it would make of all its pixels, at once: for 24 megapixels a third of a second.
"""

import bpy
import bpy.utils.previews

NO_ICON = 0


class Thumbnails:
    """Thumbnails of the photos that were drawn, by their files."""

    def __init__(self) -> None:
        self._previews: bpy.utils.previews.ImagePreviewCollection | None = None

    def icon_of(self, photo: bpy.types.Image | None) -> int:
        """The number of a photo's icon, for drawing; NO_ICON for one that is no file of its own."""
        if photo is None or photo.source != "FILE" or photo.packed_file is not None:
            return NO_ICON
        if self._previews is None:
            self._previews = bpy.utils.previews.new()
        path = photo.filepath_from_user()
        if path not in self._previews:
            self._previews.load(path, path, "IMAGE")
        return self._previews[path].icon_id

    def forget(self) -> None:
        if self._previews is not None:
            bpy.utils.previews.remove(self._previews)
            self._previews = None


thumbnails = Thumbnails()


def register() -> None:
    """Nothing: they are made when they are drawn."""


def unregister() -> None:
    thumbnails.forget()
