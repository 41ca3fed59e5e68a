"""Keys of the add-on, which users change as any other (Preferences > Keymap, and the add-on's own preferences)."""

import bpy

from ..preferences import LVSM_Preferences

# Free in Blender's own keymaps, 4.2 to 5.2.
KEYS = (
    ("lvsm.synthesize_view", "Y", {"ctrl": True, "alt": True}),
    ("lvsm.camera_from_view", "Y", {"ctrl": True, "alt": True, "shift": True}),
)
PLACE = "3D View"

added: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


def draw(layout) -> None:
    """The keys, as the user has them, each to be changed."""
    user = bpy.context.window_manager.keyconfigs.user
    keymap = user.keymaps.get(PLACE) if user is not None else None
    if keymap is None:  # without a window there are no keys
        return
    column = layout.column()
    column.label(text="Keys")
    for operator, _, _ in KEYS:
        item = keymap.keymap_items.find_from_operator(operator)
        if item is not None:
            row = column.row()
            row.label(text=item.name)
            row.prop(item, "active", text="")
            row.prop(item, "type", text="", full_event=True)


def register() -> None:
    LVSM_Preferences.sections.append(draw)
    own = bpy.context.window_manager.keyconfigs.addon
    if own is None:  # without a window there are none
        return
    keymap = own.keymaps.new(PLACE, space_type="VIEW_3D")
    for operator, key, modifiers in KEYS:
        added.append((keymap, keymap.keymap_items.new(operator, key, "PRESS", **modifiers)))


def unregister() -> None:
    LVSM_Preferences.sections.remove(draw)
    for keymap, item in added:
        keymap.keymap_items.remove(item)
    added.clear()
