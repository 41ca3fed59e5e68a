"""Synthesize what cameras see into files, without a window: for people, scripts and render farms.

    blender -b scene.blend --command lvsm --cameras A,B --out DIR [--photos A,B,C] [--model FILE or NAME] [--device cuda]
            [--size WxH] [--frames 1-48,60,72] [--pattern "{camera}/{frame}"] [--format exr] [--skip-existing]
            [--no-detail] [--report FILE] [--jobs FILE]
    blender -b scene.blend --python blender_addon/batch.py -- the same

Writes DIR/A.png, or DIR/A_0001.png and so on with --frames. In the second way the add-on need not be enabled: if it is
not, the one that this file belongs to is used. The environment's LVSM_PYTHON, LVSM_DEVICE (auto, cuda, cpu) and LVSM_MODEL
go before what the preferences and the scene say, and the command before both.

Exit status: 0, all files are written; 1, something failed, and one sentence on stderr (and in the report) says what;
2, the arguments are wrong. A file that exists is whole. docs/farm.md tells of jobs, reports, EXR layers and farms.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

if __package__:  # As a script this file only finds its package, and runs itself from there.
    import numpy as np

    from lvsm_engine.errors import CameraError, LvsmError
    from lvsm_engine.progress import Progress
    from lvsm_engine.scene.camera import Camera
    from lvsm_engine.whole_files import check_folder, write_bytes
    from lvsm_engine.worker.client import Request

    from .engine.worker_owner import progress_text, worker
    from .headless.batch_options import parse
    from .headless.exr import encode_exr
    from .headless.output_names import ANIMATION, STILL, OutputFiles, file_name
    from .rendering import passes
    from .scene import input_views, results, scene_cameras, target

COMMAND = "lvsm"
MADE_BY = ("model", "model_sha256", "licence", "device")
"""What a report takes over from the engine's answers."""
AS_COMMAND = f"blender -b scene.blend --command {COMMAND}"
AS_SCRIPT = "blender -b scene.blend --python batch.py --"


def run(arguments: list[str], program: str) -> int:
    """Do what a command line asks for. Returns the exit status; wrong arguments raise SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a farm's terminal may not know a camera's letters
    command, jobs = parse(arguments, program)
    files = OutputFiles()
    try:
        reports = [_job(options, files) for options in jobs]
    finally:
        worker.shutdown()
    report = {"scene": bpy.data.filepath, **(reports[0] if command.jobs is None else _report_of_all(reports))}
    text = json.dumps(report, indent=2, ensure_ascii=False).encode(errors="backslashreplace")
    is_reported = command.report is None or _failure(lambda: _write(command.report, text)) is None
    return 0 if is_reported and report["error"] is None else 1


def _report_of_all(reports: list[dict[str, Any]]) -> dict[str, Any]:
    failed = [number for number, report in enumerate(reports, 1) if report["error"] is not None]
    error = f"{len(failed)} of {len(reports)} jobs failed: {', '.join(map(str, failed))}." if failed else None
    if error:
        print(f"lvsm batch: {error}", file=sys.stderr)
    return {"jobs": reports, "error": error}


def _job(options: argparse.Namespace, files: "OutputFiles") -> dict[str, Any]:
    """Do one job, whatever becomes of it, and leave the scene as it was. Returns its report."""
    report: dict[str, Any] = {**dict.fromkeys(MADE_BY, ""), "files": [], "skipped": [], "warnings": [], "error": None}
    scene = bpy.context.scene
    frame = scene.frame_current
    report["error"] = _failure(lambda: _synthesize(options, files, report))
    scene.frame_set(frame)
    return report


def _failure(work: Callable[[], None]) -> str | None:
    """Do the work. Returns None, or the sentence that was printed of its failure."""
    try:
        work()
        return None
    except LvsmError as error:
        sentence = str(error)
    except Exception as error:
        traceback.print_exc()
        sentence = f"LVSM has a bug ({type(error).__name__}: {error}): please report the lines above."
    print(f"lvsm batch: {sentence}", file=sys.stderr)
    return sentence


def _synthesize(options: argparse.Namespace, files: "OutputFiles", report: dict[str, Any]) -> None:
    scene = bpy.context.scene
    check_folder(options.out)
    names = options.cameras or [_default_camera(scene)]
    for frame, paths in _paths(options, scene, names, files).items():
        left = [name for name in names if not (options.skip_existing and _is_there(paths[name]))]
        report["skipped"] += [str(paths[name]) for name in names if name not in left]
        if not left:
            print(f"lvsm batch: frame {frame} is there")
            continue
        scene.frame_set(frame)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        cameras = [_camera(scene, name, depsgraph, options.size) for name in left]
        began = time.monotonic()
        request = _ask(options, scene, depsgraph, cameras)
        print(f"lvsm batch: frame {frame}", flush=True)
        result = request.wait(on_progress=_print_progress)
        report.update({name: result[name] for name in MADE_BY})
        report["warnings"] += [warning for warning in result["warnings"] if warning not in report["warnings"]]
        for name, camera, picture in zip(left, cameras, passes.of_each_camera(result), strict=True):
            told = results.told_in_files(result)
            _write(paths[name], _png(picture, told) if options.format == "png" else _exr(picture, camera, told))
            seconds = round(time.monotonic() - began, 3)
            report["files"].append({"camera": name, "frame": frame, "file": str(paths[name]), "seconds": seconds})
            print(f"lvsm batch: wrote {paths[name]}")


def _paths(
    options: argparse.Namespace, scene: bpy.types.Scene, names: list[str], files: "OutputFiles"
) -> dict[int, dict[str, Path]]:
    """The file of each picture, by frame and camera. Raises CameraError where two would be one."""
    pattern = options.pattern or (ANIMATION if options.frames else STILL)

    def path(name: str, frame: int) -> Path:
        file = file_name(pattern, f".{options.format}", name, scene.name, frame)
        return files.take(options.out / file, f"{name} at frame {frame}")

    return {frame: {name: path(name, frame) for name in names} for frame in options.frames or [scene.frame_current]}


def _is_there(path: Path) -> bool:
    """An empty file is none: a placeholder."""
    return path.is_file() and path.stat().st_size > 0


def _ask(
    options: argparse.Namespace, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, cameras: list["Camera"]
) -> "Request":
    """Ask for one frame. What the command says goes before what the farm, the preferences and the scene say."""
    photographed = input_views.photographed(scene, depsgraph, options.photos)
    main_photos = options.format == "exr" and passes.NEAREST_PHOTO in passes.passes_of(bpy.context.view_layer)
    return worker.render_views(
        scene,
        photographed,
        cameras,
        not options.no_detail,
        main_photos,
        device=options.device or "",
        model=options.model or "",
    )


def _default_camera(scene: bpy.types.Scene) -> str:
    camera_object = target.target_camera(scene)
    if camera_object is None:
        raise CameraError("The scene has no camera: add one, or name one with --cameras.")
    return camera_object.name


def _camera(
    scene: bpy.types.Scene, name: str, depsgraph: bpy.types.Depsgraph, size: tuple[int, int] | None
) -> "Camera":
    camera_object = scene.objects.get(name)
    if camera_object is None or camera_object.type != "CAMERA":
        known = ", ".join(sorted(item.name for item in scene.objects if item.type == "CAMERA"))
        raise CameraError(f"The scene has no camera named {name}: choose from {known or 'none at all'}.")
    return scene_cameras.camera_from_blender(camera_object, depsgraph, size)


def _png(picture: dict[str, "np.ndarray"], told: dict[str, str]) -> bytes:
    return results.encode_png(results.quantized(picture["images"]), told)


def _exr(picture: dict[str, "np.ndarray"], camera: "Camera", told: dict[str, str]) -> bytes:
    """The picture as R, G, B, A, of half floats, and each pass as a layer of floats."""
    film, channels = passes.Film.of(bpy.context.scene), {}
    for entry in passes.passes_of(bpy.context.view_layer, also=(passes.DEPTH, passes.CONFIDENCE)):
        pixels = passes.pixels_of(entry, picture, camera, film)
        layer, kind = ("", np.float16) if entry is passes.COMBINED else (f"{entry.name}.", np.float32)
        channels.update({layer + letter: pixels[..., n].astype(kind) for n, letter in enumerate(entry.channels)})
    return encode_exr(channels, told)


def _print_progress(progress: "Progress") -> None:
    print(f"lvsm batch: {progress.fraction:4.0%} {progress_text(progress)}", flush=True)


def _write(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, and the folder it goes into. Raises OutputError."""
    with contextlib.suppress(OSError):  # writing says what is wrong with the folder
        path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, data)


def _command(arguments: list[str]) -> int:
    """What Blender calls for `--command lvsm`."""
    try:
        return run(arguments, AS_COMMAND)
    except SystemExit as wrong_arguments:
        return int(wrong_arguments.code or 0)


_registered: list[object] = []


def register() -> None:
    _registered.append(bpy.utils.register_cli_command(COMMAND, _command))


def unregister() -> None:
    bpy.utils.unregister_cli_command(_registered.pop())


def enabled_package() -> str:
    """The package name of this add-on: as Blender enabled it, else as registered here from this file's folder."""
    settings = getattr(bpy.context.scene, "lvsm", None)
    if settings is not None:
        return type(settings).__module__.rpartition(".scene.")[0]
    folder, name = Path(__file__).resolve().parent, "lvsm_addon"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    package = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    package.register()
    return name


def _script() -> int:
    """What this file does as a script: hand the arguments to its package. Returns the exit status."""
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    try:
        return importlib.import_module(enabled_package() + ".batch").run(arguments, AS_SCRIPT)
    except Exception:  # which Blender would take for a success
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(_script())
