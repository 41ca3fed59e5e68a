"""LVSM in Blender: cameras with photos in, the view of another camera out. The engine is a process of its own.

Importing this package loads no bpy; register() does.
"""

import importlib

from . import bundled_engine as bundled_engine  # first: it makes lvsm_engine importable

# In the order of registration: what a module's classes point to comes before it.
MODULES = (
    "manual",
    "input_views",
    "preferences",
    "followed_job",
    "capture_import",
    "capture_export",
    "worker_owner",
    "set_up_engine",
    "check_engine",
    "camera_solving",
    "model_choice",
    "synthesize",
    "passes",
    "render_engine",
    "camera_list",
    "panel",
    "keymap",
    "gallery",
    "thumbnails",
    "photo_list",
    "capture_check",
    "trust_overlay",
    "photo_suggestion",
    "add_subject",
    "virtual_photos",
    "render_presets",
    "properties_panels",
    "batch",
    "cg_in_photo",
    "animation",
)


def _modules() -> list:
    return [importlib.import_module(f".{name}", __package__) for name in MODULES]


def register() -> None:
    for module in _modules():
        module.register()


def unregister() -> None:
    for module in reversed(_modules()):
        module.unregister()
