"""The manual that comes with the add-on: pages for a browser, which need no network."""

from pathlib import Path

import bpy

FOLDER = Path(__file__).resolve().parent
# In the extension; in a checkout.
PLACES = (FOLDER / "manual" / "index.html", FOLDER.parent / "docs" / "README.md")


def first_page() -> Path:
    return next(place for place in PLACES if place.is_file())


class LVSM_OT_open_manual(bpy.types.Operator):
    """Open the manual in a browser: from photos to pictures, troubleshooting, farms, licences"""

    bl_idname = "lvsm.open_manual"
    bl_label = "Open Manual"

    def execute(self, context):
        return bpy.ops.wm.path_open(filepath=str(first_page()))


def register() -> None:
    bpy.utils.register_class(LVSM_OT_open_manual)


def unregister() -> None:
    bpy.utils.unregister_class(LVSM_OT_open_manual)
