"""Synthesize what cameras see into PNG files, without a window.

    blender -b scene.blend --python blender_addon/batch.py -- --cameras A,B --out DIR [--model FILE] [--size WxH]
                                                              [--frames 1-48,60,72] [--skip-existing]
                                                              [--report FILE] [--no-detail]

Writes DIR/A.png, or DIR/A_0001.png and so on with --frames. The add-on need not be enabled: if it is not, the one that
this file belongs to is used. The environment's LVSM_PYTHON, LVSM_DEVICE (auto, cuda, cpu) and LVSM_MODEL go before what the
preferences and the scene say.

Exit status: 0, all files are written; 1, something failed, and one sentence on stderr (and in the report) says what;
2, the arguments are wrong. A file that exists is whole.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import bpy

if __package__:  # As a script this file only finds its package, and runs itself from there.
    from lvsm_engine.errors import CameraError, LvsmError
    from lvsm_engine.progress import Progress
    from lvsm_engine.scene.camera import Camera
    from lvsm_engine.scene.picture_formats import ENDINGS
    from lvsm_engine.whole_files import check_folder, write_bytes

    from . import results, scene_cameras, target
    from .preferences import MODEL_VARIABLE
    from .worker_owner import DEFAULT_MODEL, progress_text, worker

    PHOTO_ENDINGS = {ending for endings in ENDINGS.values() for ending in endings}


# Of one range: a slip of the finger is not rendered for years.
MAX_FRAMES = 1_000_000


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="blender -b scene.blend --python batch.py --",
        description="Synthesize what cameras see from the scene's input views.",
        epilog="Exit status: 0 all files are written, 1 something failed (one sentence on stderr), 2 wrong arguments.",
    )
    parser.add_argument(
        "--cameras", type=lambda text: text.split(","), metavar="A,B", help="default: the target camera"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the PNG files")
    parser.add_argument("--model", metavar="FILE", help='or "default", the one of LVSM; without it, the scene\'s')
    parser.add_argument("--size", type=_size, metavar="WxH", help="pixels; default: the scene's render size")
    parser.add_argument(
        "--frames", type=_frames, metavar="1-48,60,72", help="1-99x2: every second one; default: the current frame"
    )
    parser.add_argument(
        "--skip-existing", action="store_true", help="leave files that are there: a file that exists is whole"
    )
    parser.add_argument(
        "--no-detail", action="store_true", help="the model's own pictures; default: the scene's choice"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a report as JSON")
    return parser.parse_args(arguments)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 640x480")
    return int(found[1]), int(found[2])


def _frames(text: str) -> list[int]:
    """ "7", "1-10", "1-99x2" (every second one), and several of these with commas between: each frame once, in this order."""
    frames: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(-?\d+)(?:-(-?\d+)(?:x([1-9]\d*))?)?", part.strip())
        several = range(int(found[1]), int(found[2] or found[1]) + 1, int(found[3] or 1)) if found else range(0)
        if not several or len(several) > MAX_FRAMES:
            raise argparse.ArgumentTypeError(f"{part!r} are no frames such as 7, 1-10 or 1-99x2")
        frames += several
    return list(dict.fromkeys(frames))


def enabled_package() -> str:
    """The package name of this add-on: as Blender enabled it, else as registered here from this file's folder."""
    settings = getattr(bpy.context.scene, "lvsm", None)
    if settings is not None:
        return type(settings).__module__.rpartition(".")[0]
    folder, name = Path(__file__).resolve().parent, "lvsm_addon"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    package = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    package.register()
    return name


def main(options: argparse.Namespace) -> int:
    """Do what was asked for. Returns the exit status."""
    report: dict = {"scene": bpy.data.filepath, "model": "", "device": "", "files": [], "warnings": [], "error": None}
    try:
        report["error"] = _failure(lambda: _synthesize(options, report))
    finally:
        worker.shutdown()
    text = json.dumps(report, indent=2, ensure_ascii=False).encode(errors="backslashreplace")
    is_reported = options.report is None or _failure(lambda: _write(options.report, text)) is None
    return 0 if is_reported and report["error"] is None else 1


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


def _synthesize(options: argparse.Namespace, report: dict) -> None:
    scene = bpy.context.scene
    if options.model is not None:
        os.environ.pop(MODEL_VARIABLE, None)  # what the command says goes before what the farm says
        scene.lvsm.model = "" if options.model == DEFAULT_MODEL else str(Path(options.model).resolve())
    if options.no_detail:
        scene.lvsm.use_detail = False
    check_folder(options.out)
    names = options.cameras or [_default_camera(scene)]
    if len({file_name(name, None).casefold() for name in names}) < len(names):  # one file, to Windows and macOS
        raise CameraError(f"Two of the cameras {', '.join(names)} would write the same file: rename one of them.")
    for frame in options.frames or [scene.frame_current]:
        paths = {name: options.out / file_name(name, frame if options.frames else None) for name in names}
        left = [name for name in names if not (options.skip_existing and paths[name].exists())]
        if not left:
            print(f"lvsm batch: frame {frame} is there")
            continue
        scene.frame_set(frame)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        cameras = [_camera(scene, name, depsgraph, options.size) for name in left]
        began = time.monotonic()
        request = worker.render(scene, depsgraph, cameras)
        print(f"lvsm batch: frame {frame}", flush=True)
        result = request.wait(on_progress=_print_progress)
        report["model"], report["device"] = result["model"], result["device"]
        report["warnings"] += [warning for warning in result["warnings"] if warning not in report["warnings"]]
        for name, image in zip(left, result["images"], strict=True):
            path = paths[name]
            _write(path, results.encode_png(results.quantized(image)))
            seconds = round(time.monotonic() - began, 3)
            report["files"].append({"camera": name, "frame": frame, "file": str(path), "seconds": seconds})
            print(f"lvsm batch: wrote {path}")


def file_name(camera_name: str, frame: int | None) -> str:
    """The file of a camera's picture: its name without what a file system refuses, and without a photo's ending."""
    stem = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", camera_name)
    stem, ending = os.path.splitext(stem)
    stem += "" if ending.lower() in PHOTO_ENDINGS else ending
    return f"{stem}.png" if frame is None else f"{stem}_{frame:04}.png"


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


def _print_progress(progress: "Progress") -> None:
    print(f"lvsm batch: {progress.fraction:4.0%} {progress_text(progress)}", flush=True)


def _write(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, and the folder it goes into. Raises OutputError."""
    with contextlib.suppress(OSError):  # writing says what is wrong with the folder
        path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, data)


def _run(arguments: list[str]) -> int:
    """What this file does as a script: hand the arguments to its package. Returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a farm's terminal may not know a camera's letters
    options = parse(arguments)
    try:
        return importlib.import_module(enabled_package() + ".batch").main(options)
    except Exception:  # which Blender would take for a success
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(_run(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []))
