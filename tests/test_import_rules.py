"""Who may import whom (CONTRIBUTING.md): read from the sources, and seen in fresh interpreters."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lvsm_engine", "blender_addon", "training")

# What every room of training may use, and what each may use of the rooms below it.
VALUES = tuple(
    f"training.{name}"
    for name in ("configs", "presets", "protocol", "limits", "json_lines", "left_out", "exit_status", "srgb")
)
ROOMS = {
    "objects": (),
    "render": (),
    "procedural": ("render.cameras", "render.glb_file"),
    "views": ("objects.manifest", "procedural"),
    "batches": ("views",),
    "train": ("batches", "views"),
    "evaluate": ("views",),
    "detail": ("batches",),
    "export": ("objects.manifest", "views", "train.state"),
    "card": ("objects.manifest", "views", "batches", "train", "export"),
}
# The same of the add-on's rooms, from the lowest up. batch.py, beside them, is above all.
ROOMS_OF_THE_ADDON = {
    "scene": (),
    "engine": ("scene",),
    "rendering": ("scene", "engine"),
    "window": ("scene", "engine", "rendering"),
    "captures": ("scene", "engine", "rendering", "window"),
    "compositing": ("scene", "engine", "rendering", "window"),
    "headless": (),
}
LEAVES_OF_THE_ADDON = tuple(
    f"blender_addon.{name}" for name in ("bundled_engine", "last_outcome", "manual", "preferences")
)
SEEN_BY_THE_ADDON = tuple(
    f"lvsm_engine.{name}"
    for name in (
        "errors",
        "known_models",
        "progress",
        "scene",
        "user_folder",
        "whole_files",
        "worker.messages",
        "worker.client",
    )
)
ALLOWED = {
    "lvsm_engine.plain_text": (),
    "lvsm_engine.errors": ("lvsm_engine.plain_text",),
    "lvsm_engine.progress": ("lvsm_engine.errors",),
    "lvsm_engine.whole_files": ("lvsm_engine.errors",),
    "lvsm_engine.user_folder": (),
    "lvsm_engine.known_models": ("lvsm_engine.errors", "lvsm_engine.user_folder"),
    "lvsm_engine.digests": (),
    "lvsm_engine.hugging_face": (),
    "lvsm_engine.model_fetching": (
        "lvsm_engine.digests",
        "lvsm_engine.errors",
        "lvsm_engine.hugging_face",
        "lvsm_engine.known_models",
        "lvsm_engine.model",
        "lvsm_engine.progress",
        "lvsm_engine.whole_files",
    ),
    "lvsm_engine.main_memory": (),
    "lvsm_engine.devices": ("lvsm_engine.errors", "lvsm_engine.main_memory"),
    "lvsm_engine.scene": ("lvsm_engine.errors", "lvsm_engine.progress", "lvsm_engine.whole_files"),
    "lvsm_engine.photos": (
        "lvsm_engine.scene",
        "lvsm_engine.errors",
        "lvsm_engine.main_memory",
        "lvsm_engine.whole_files",
    ),
    "lvsm_engine.baselines": ("lvsm_engine.photos", "lvsm_engine.scene"),
    "lvsm_engine.metrics": ("lvsm_engine.errors",),
    "lvsm_engine.kept_tokens": (),
    "lvsm_engine.silhouettes": ("lvsm_engine.kept_tokens", "lvsm_engine.scene"),
    "lvsm_engine.camera_solver": (
        "lvsm_engine.errors",
        "lvsm_engine.main_memory",
        "lvsm_engine.photos",
        "lvsm_engine.progress",
        "lvsm_engine.scene",
        "lvsm_engine.whole_files",
    ),
    "lvsm_engine.model": (
        "lvsm_engine.scene",
        "lvsm_engine.errors",
        "lvsm_engine.known_models",
        "lvsm_engine.whole_files",
    ),
    "lvsm_engine.detail": ("lvsm_engine.model", "lvsm_engine.photos", "lvsm_engine.scene"),
    "lvsm_engine.subject_by_depth": ("lvsm_engine.detail", "lvsm_engine.scene"),
    "lvsm_engine.synthesizer": (
        "lvsm_engine.detail",
        "lvsm_engine.devices",
        "lvsm_engine.digests",
        "lvsm_engine.errors",
        "lvsm_engine.kept_tokens",
        "lvsm_engine.known_models",
        "lvsm_engine.model",
        "lvsm_engine.nearest_scenes",
        "lvsm_engine.photos",
        "lvsm_engine.progress",
        "lvsm_engine.scene",
        "lvsm_engine.silhouettes",
        "lvsm_engine.subject_by_depth",
    ),
    "lvsm_engine.nearest_scenes": (
        "lvsm_engine.detail",
        "lvsm_engine.errors",
        "lvsm_engine.progress",
        "lvsm_engine.scene",
    ),
    "lvsm_engine.leave_one_out": (
        "lvsm_engine.detail",
        "lvsm_engine.errors",
        "lvsm_engine.metrics",
        "lvsm_engine.photos",
        "lvsm_engine.progress",
        "lvsm_engine.scene",
        "lvsm_engine.synthesizer",
    ),
    "lvsm_engine.worker.messages": ("lvsm_engine.scene", "lvsm_engine.errors", "lvsm_engine.progress"),
    "lvsm_engine.worker.virtual_environment": (),
    "lvsm_engine.worker.client": (
        "lvsm_engine",
        "lvsm_engine.scene",
        "lvsm_engine.errors",
        "lvsm_engine.known_models",
        "lvsm_engine.progress",
        "lvsm_engine.worker.messages",
        "lvsm_engine.worker.virtual_environment",
    ),
    "lvsm_engine.worker": (
        "lvsm_engine",
        "lvsm_engine.camera_solver",
        "lvsm_engine.detail",
        "lvsm_engine.devices",
        "lvsm_engine.errors",
        "lvsm_engine.leave_one_out",
        "lvsm_engine.model",
        "lvsm_engine.nearest_scenes",
        "lvsm_engine.model_fetching",
        "lvsm_engine.progress",
        "lvsm_engine.scene",
        "lvsm_engine.synthesizer",
    ),
    "lvsm_engine.cli": ("lvsm_engine",),
    "lvsm_engine": (),
    "blender_addon": ("blender_addon", *SEEN_BY_THE_ADDON),
    **{
        f"blender_addon.{room}": (*LEAVES_OF_THE_ADDON, *SEEN_BY_THE_ADDON, *(f"blender_addon.{one}" for one in below))
        for room, below in ROOMS_OF_THE_ADDON.items()
    },
    "training": ("lvsm_engine",),
    "training.limits": ("lvsm_engine.errors",),
    "training.json_lines": ("lvsm_engine.errors", "lvsm_engine.whole_files"),
    "training.left_out": (),
    "training.protocol": (),
    # Augmentations are values of a run's configuration, and act on batches.
    "training.configs": (
        "lvsm_engine.model.config",
        "lvsm_engine.scene",
        "training.limits",
        "training.batches.augment",
        "training.batches.target_crops",
    ),
    "training.presets": (
        "lvsm_engine.model.config",
        "lvsm_engine.scene",
        "training.configs",
        "training.batches.augment",
    ),
    "training.sample_capture": ("lvsm_engine.scene", "lvsm_engine.whole_files", "training.render"),
    **{
        f"training.{room}": ("lvsm_engine", *VALUES, *(f"training.{below}" for below in belows))
        for room, belows in ROOMS.items()
    },
    "training.render.studio": ("lvsm_engine.scene", "blender_addon.scene.scene_cameras", "training.render"),
}
SCENE_MAY_USE = {"numpy", "PIL", "pillow_heif"}  # the last two inside the functions that open a photo


def modules():
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def is_within(module, place):
    return module == place or module.startswith(place + ".")


def imports_of(module, path):
    """The absolute names of all that a module imports, function bodies included."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            # `from package import module` counts as the module where it is one.
            for alias in node.names:
                full = f"{name}.{alias.name}"
                is_module = (ROOT / (full.replace(".", "/") + ".py")).exists() or (
                    ROOT / full.replace(".", "/")
                ).is_dir()
                yield full if is_module else name


@pytest.mark.parametrize(("module", "path"), [pytest.param(m, p, id=m) for m, p in modules()])
def test_a_module_imports_only_what_its_room_may(module, path):
    room = max((place for place in ALLOWED if is_within(module, place)), key=len)
    own = [name for name in imports_of(module, path) if name.split(".")[0] in PACKAGES]
    strangers = [
        name for name in own if not is_within(name, room) and not any(is_within(name, place) for place in ALLOWED[room])
    ]
    assert strangers == []


@pytest.mark.parametrize(
    ("module", "path"), [pytest.param(m, p, id=m) for m, p in modules() if is_within(m, "lvsm_engine.scene")]
)
def test_the_scene_needs_only_numpy_and_the_standard_library(module, path):
    outside = {name.split(".")[0] for name in imports_of(module, path)} - set(sys.stdlib_module_names) - {"lvsm_engine"}
    assert outside <= SCENE_MAY_USE


@pytest.mark.parametrize(
    "module",
    [
        "lvsm_engine",
        "lvsm_engine.known_models",
        "lvsm_engine.scene.captures",
        "lvsm_engine.worker.client",
        "lvsm_engine.worker.messages",
    ],
)
def test_the_light_half_loads_neither_torch_nor_bpy(module):
    script = f"import sys, {module}; print(sorted({{'torch', 'bpy', 'cv2', 'PIL', 'pycolmap'}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
