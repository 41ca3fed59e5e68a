"""python -m tests.end_to_end.demo [--out demo] [--frames 48]

Builds the extension, lets Blender's bpy module use it on the sample capture, and shows what came out: demo.blend,
held_out.png (a photo that the model never saw), free.png, orbit.mp4, sheet.png, and a summary.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import tyro
from PIL import Image

from build_extension import build
from lvsm_engine.baselines import fitted_photos, mean_photo, nearest_photo
from lvsm_engine.devices import choose_device
from lvsm_engine.metrics import psnr, ssim
from lvsm_engine.photos import WHITE, contact_sheet, load_photo, resize_image
from lvsm_engine.scene.captures import load_capture
from lvsm_engine.scene.selection import angles_to

ROOT = Path(__file__).resolve().parents[3]
CAPTURE = ROOT / "training" / "sample_capture"
# The capture's two rings of 8 photos.
INPUTS = tuple(range(16))
HELD_OUT = 16
FRAMES_A_SECOND = 16


@dataclass
class Options:
    """The whole way, from a sample capture to pictures, a .blend and a video."""

    out: Path = Path("demo")
    """Folder of the results."""
    frames: int = 48
    """Of the orbit."""
    python: Path = ROOT / ".venv-bpy" / "5.0" / "bin" / "python"
    """A Python that has the bpy module."""


def main(options: Options) -> None:
    began = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    summary = run_blender(options)
    frames = [read(path) for path in sorted((options.out / "orbit").glob("*.png"))]
    imageio.imwrite(options.out / "orbit.mp4", np.stack(frames), fps=FRAMES_A_SECOND, macro_block_size=8)
    scores = score(options.out)
    write_sheet(options.out, frames)
    shutil.rmtree(options.out / "orbit")
    report(options.out, summary, scores, time.monotonic() - began)


def run_blender(options: Options) -> dict:
    """Run inside_blender.py in bpy, with user resources of its own; returns its summary."""
    with tempfile.TemporaryDirectory() as scratch:
        extension = build(Path(scratch))
        environment = {**os.environ, "BLENDER_USER_RESOURCES": scratch, "LVSM_PYTHON": sys.executable}
        script = Path(__file__).with_name("inside_blender.py")
        plan = [",".join(map(str, INPUTS)), str(HELD_OUT), str(options.frames)]
        command = [options.python, script, extension, CAPTURE / "transforms.json", options.out.resolve(), *plan]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as blender:
            assert blender.stdout is not None
            lines = []
            for line in blender.stdout:
                lines.append(line)
                if line.startswith(("imported", "synthesized", "rendered")):
                    print(line, end="", flush=True)
    if blender.returncode:
        raise SystemExit("".join(lines[-20:]) + f"Blender ended with status {blender.returncode}.")
    return next(json.loads(line) for line in reversed(lines) if line.startswith("{"))


def read(path: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def score(out: Path) -> dict[str, float]:
    """The held-out view against its photo, beside the trivial answers."""
    views = load_capture(CAPTURE).views
    truth, camera = load_photo(views[HELD_OUT], WHITE)
    inputs = [load_photo(views[position], WHITE) for position in INPUTS]
    images = fitted_photos(inputs, camera)
    nearest = nearest_photo(images, angles_to(camera, [input_camera for _, input_camera in inputs]))
    result = read(out / "held_out.png").astype(np.float32) / 255
    return {
        "psnr": psnr(result, truth),
        "ssim": ssim(result, truth),
        "psnr of the nearest input photo": psnr(nearest, truth),
        "psnr of the mean of the inputs": psnr(mean_photo(images), truth),
    }


def write_sheet(out: Path, frames: list[np.ndarray]) -> None:
    """Inputs; truth, result and the free view; a strip of the orbit."""
    views = load_capture(CAPTURE).views
    inputs = [load_photo(views[position], WHITE)[0] for position in INPUTS]
    truth = load_photo(views[HELD_OUT], WHITE)[0]
    small = [resize_image(image, 128, 128) for image in inputs]
    strip = frames[:: max(1, len(frames) // 8)][:8]
    rows = [small, [truth, read(out / "held_out.png"), read(out / "free.png")], strip]
    labels = [f"{len(INPUTS)} input photos", "a photo that was left out; synthesized; from where no photo is", "orbit"]
    contact_sheet(rows, labels, out / "sheet.png")


def report(out: Path, summary: dict, scores: dict[str, float], seconds: float) -> None:
    print(f"\n{out}/: demo.blend, held_out.png, free.png, orbit.mp4, sheet.png")
    for name, value in scores.items():
        print(f"  {name:34} {value:6.2f}")
    print(f"  {'first view, engine started':34} {summary['held_out']['seconds']:6.1f} s")
    print(f"  {'second view':34} {summary['free']['seconds']:6.1f} s")
    orbit = summary["orbit"]
    print(f"  {'orbit, a frame':34} {orbit['seconds'] / orbit['frames']:6.2f} s")
    print(f"  {'in all':34} {seconds:6.1f} s")
    print(f"  device: {choose_device('auto')}")


if __name__ == "__main__":
    main(tyro.cli(Options))
