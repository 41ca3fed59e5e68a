"""LVSM in Blender: cameras with photos in, the view of another camera out. The engine is a process of its own.

Importing this package loads no bpy; register() does.
"""

import importlib

from . import bundled_engine as bundled_engine  # first: it makes lvsm_engine importable

# In the order of registration: what a module's classes point to comes before it.
MODULES = (
    "manual",
    "scene.input_views",
    "preferences",
    "engine.followed_job",
    "captures.capture_import",
    "captures.capture_export",
    "engine.worker_owner",
    "engine.set_up_engine",
    "engine.check_engine",
    "captures.camera_solving",
    "engine.model_choice",
    "rendering.synthesize",
    "rendering.passes",
    "rendering.render_engine",
    "scene.camera_list",
    "window.panel",
    "window.keymap",
    "window.gallery",
    "window.thumbnails",
    "window.photo_list",
    "captures.capture_check",
    "window.trust_overlay",
    "captures.photo_suggestion",
    "scene.add_subject",
    "compositing.virtual_photos",
    "rendering.render_presets",
    "window.properties_panels",
    "batch",
    "compositing.cg_in_photo",
    "compositing.animation",
)


def _modules() -> list:
    return [importlib.import_module(f".{name}", __package__) for name in MODULES]


def register() -> None:
    for module in _modules():
        module.register()


def unregister() -> None:
    for module in reversed(_modules()):
        module.unregister()
