"""Keys in a window: they do what they say, and are nobody else's."""

import tempfile
from pathlib import Path

import bpy
import stage
import window_steps as ui

folder = Path(tempfile.mkdtemp())
keymap = stage.addon("window.keymap")


def test_the_key_synthesizes_the_view():
    ui.close_other_windows()
    yield 0.5
    stage.build(folder)
    yield from ui.view_is_drawn()
    ui.press("ctrl+alt+y")
    yield from ui.until(lambda: "LVSM Target" in bpy.data.images)


def test_no_key_of_blenders_own_is_taken():
    wanted = [(key, modifiers) for _, key, modifiers in keymap.KEYS]
    for place in (
        "Window",
        "Screen",
        "Screen Editing",
        "3D View",
        "3D View Generic",
        "Object Mode",
        "Object Non-modal",
    ):
        found = bpy.context.window_manager.keyconfigs.default.keymaps.get(place)
        for item in found.keymap_items if found else ():
            for key, modifiers in wanted:
                held = {name: bool(getattr(item, name)) for name in ("ctrl", "alt", "shift", "oskey")}
                same = held == {name: modifiers.get(name, False) for name in held}
                assert not (item.type == key and same and item.active), (place, item.idname)
    yield 0


def test_each_key_can_be_found_where_users_change_it():
    user = bpy.context.window_manager.keyconfigs.user.keymaps[keymap.PLACE]
    for operator, key, _ in keymap.KEYS:
        assert user.keymap_items.find_from_operator(operator).type == key
    yield 0
