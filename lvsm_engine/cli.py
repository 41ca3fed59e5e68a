"""The command line: lvsm render | convert | inspect | doctor | bench. Exit status: 0 done, 1 failed, 2 wrong arguments."""

import dataclasses
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from . import __version__
from .errors import CaptureError, LvsmError, OutputError
from .whole_files import write_bytes

# What the engine needs, by the names that are imported.
PACKAGES = ("torch", "numpy", "safetensors", "PIL", "cv2", "pycolmap", "skimage", "lpips", "tyro", "tqdm")
BENCH_ROUNDS = 10


@dataclass
class Render:
    """Synthesize photos of a capture from others of its photos, and compare with the truth."""

    capture: Path
    """A folder or file with posed photos: transforms.json, opencv_cameras.json, COLMAP."""
    inputs: str
    """Positions of the input views in the capture's frame list, such as 0,4,9 (the first is 0)."""
    targets: str
    """Positions of the views to synthesize, such as 2,7."""
    out: Path
    """Folder for 0002.png (named by position), report.json and sheet.png."""
    model: str = "default"
    """A model's file, ours or published; or the bundled one."""
    device: str = "auto"
    """auto, cuda or cpu."""
    precision: str = "auto"
    """auto, float32 or bfloat16."""

    def run(self) -> None:
        from tqdm import tqdm

        from .photos import load_photo, save_image
        from .scene.camera import square_pixels
        from .scene.captures import load_capture
        from .synthesizer import WHITE, Synthesizer

        capture = load_capture(self.capture)
        inputs = positions(self.inputs, len(capture.views), "--inputs")
        targets = positions(self.targets, len(capture.views), "--targets")
        for warning in capture.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        synthesizer = Synthesizer.load(self.model, self.device, self.precision)
        background = synthesizer.card.background or WHITE
        with tqdm(
            total=100, leave=False, disable=None, bar_format="{desc} {percentage:3.0f}% [{remaining} left]"
        ) as bar:
            follow = _on_bar(bar)
            scene = synthesizer.encode([capture.views[position] for position in inputs], follow)
            has_photo = [position for position in {*inputs, *targets} if capture.views[position].photo is not None]
            photos = {position: load_photo(capture.views[position], background) for position in has_photo}
            make_folder(self.out)
            results, report = {}, []
            for position in targets:
                truth, camera = photos.get(position, (None, square_pixels(capture.views[position].camera)))
                began = time.monotonic()
                results[position] = scene.render([camera], follow)[0]
                seconds = time.monotonic() - began
                save_image(self.out / f"{position:04}.png", results[position])
                entry = {"position": position, "name": capture.views[position].name, "seconds": round(seconds, 3)}
                if truth is not None:
                    entry |= scores(results[position], truth, camera, [photos[i] for i in inputs])
                report.append(entry)
        for warning in scene.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        write_json(
            self.out / "report.json",
            {
                "capture": str(self.capture),
                "model": synthesizer.card.name,
                "device": str(synthesizer.device),
                "precision": str(synthesizer.precision).removeprefix("torch."),
                "inputs": [{"position": i, "name": capture.views[i].name} for i in inputs],
                "warnings": [*capture.warnings, *scene.warnings],
                "targets": report,
            },
        )
        self._write_sheet(photos, inputs, results)
        print(table(report))

    def _write_sheet(self, photos: dict, inputs: list[int], results: dict[int, np.ndarray]) -> None:
        from .photos import contact_sheet

        rows = [[photos[position][0] for position in inputs]]
        truths = {position: [photos[position][0]] if position in photos else [] for position in results}
        rows += [[*truths[position], result] for position, result in results.items()]
        labels = [f"inputs {self.inputs}"]
        labels += [f"{position}: {'truth, ' if truths[position] else ''}result" for position in results]
        contact_sheet(rows, labels, self.out / "sheet.png")


@dataclass
class Convert:
    """Turn a published .pt into our safetensors, or ours into a published .pt."""

    source: tyro.conf.Positional[Path]
    """The model to read."""
    target: tyro.conf.Positional[Path]
    """The file to write: .pt for the published form, else ours."""

    def run(self) -> None:
        from .model.checkpoint import export_published, load_checkpoint, save_checkpoint

        model, card = load_checkpoint(self.source)
        if self.target.suffix == ".pt":
            export_published(self.target, model)
        else:
            save_checkpoint(self.target, model, card)
        print(
            f"{self.target}: {model.config.architecture}, {count(model) / 1e6:.1f} M parameters. Licence: {card.licence}"
        )


@dataclass
class Inspect:
    """Tell what a model's file holds."""

    file: tyro.conf.Positional[str]
    """A model's file, or default."""

    def run(self) -> None:
        from .model.checkpoint import read_card

        config, card = read_card(self.file)
        entries = {**dataclasses.asdict(config), **dataclasses.asdict(card)}
        text = entries.pop("text")
        for name, value in entries.items():
            print(f"{name:16} {value}")
        print(f"\n{text}".rstrip())


@dataclass
class Doctor:
    """Tell what is installed, which device computes, and what is wrong."""

    def run(self) -> None:
        troubles = list(report_packages())
        if not troubles:
            troubles += report_devices()
        for trouble in troubles:
            print(f"wrong: {trouble}")
        if troubles:
            raise SystemExit(1)
        print("All is well.")


@dataclass
class Bench:
    """Time a model: load, encode, a view; and what a worker process adds to it."""

    model: str = "default"
    """A model's file, or the bundled one."""
    views: int = 4
    """Input views."""
    device: str = "auto"
    """auto, cuda or cpu."""

    def run(self) -> None:
        from .model.checkpoint import find_model_file
        from .synthesizer import Synthesizer

        views, camera = ring_of_views(self.views)
        seconds_to_load, synthesizer = timed(lambda: Synthesizer.load(self.model, self.device))
        encode = [timed(lambda: synthesizer.encode(views))[0] for _ in range(BENCH_ROUNDS)]
        scene = synthesizer.encode(views)
        render = [timed(lambda: scene.render([camera]))[0] for _ in range(BENCH_ROUNDS)]
        print(
            f"{find_model_file(self.model).name}, {synthesizer.device}, {synthesizer.precision}, {self.views} input views"
        )
        print(f"load    {1000 * seconds_to_load:9.1f} ms")
        print(f"encode  {1000 * statistics.median(encode):9.1f} ms (median of {BENCH_ROUNDS})")
        print(f"view    {1000 * statistics.median(render):9.1f} ms (median of {BENCH_ROUNDS})")
        self._time_worker(views, camera)

    def _time_worker(self, views, camera) -> None:
        import tempfile

        from .worker.client import Client

        with tempfile.TemporaryDirectory() as folder:
            client = Client(sys.executable, Path(__file__).resolve().parents[1], Path(folder) / "log.txt", self.device)
            first, _ = timed(lambda: client.render(self.model, views, [camera]).wait())
            later = [timed(lambda: client.render(self.model, views, [camera]).wait())[0] for _ in range(BENCH_ROUNDS)]
            client.stop()
        print(
            f"worker  {1000 * first:9.1f} ms to the first view, {1000 * statistics.median(later):.1f} ms to each later one"
        )


def positions(text: str, count: int, option: str) -> list[int]:
    """ "0,4,9" as numbers that are positions in a list of `count`. Raises CaptureError."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise CaptureError(f"{option} is '{text}': give positions such as 0,4,9.") from error
    wrong = [position for position in found if not 0 <= position < count]
    if wrong:
        raise CaptureError(
            f"{option} names the position {wrong[0]}, and the capture has the positions 0 to {count - 1}."
        )
    return found


def scores(result: np.ndarray, truth: np.ndarray, camera, inputs: list[tuple]) -> dict[str, float]:
    """PSNR and SSIM of a result, and PSNR of the trivial answers: the nearest input photo, the mean of the inputs.

    inputs: photo and camera of each input view.
    """
    from .metrics import psnr, ssim
    from .photos import resize_image
    from .scene.selection import nearest_view

    photos = [resize_image(image, camera.width, camera.height) for image, _ in inputs]
    nearest = nearest_view(camera, [input_camera for _, input_camera in inputs])
    return {
        "psnr": round(psnr(result, truth), 3),
        "ssim": round(ssim(result, truth), 4),
        "psnr_of_nearest_input": round(psnr(photos[nearest], truth), 3),
        "psnr_of_mean_of_inputs": round(psnr(np.mean(photos, axis=0), truth), 3),
    }


def table(report: list[dict]) -> str:
    """The report's targets for a terminal."""
    lines = [f"{'view':24} {'PSNR':>6} {'SSIM':>6} {'nearest':>8} {'mean':>6} {'seconds':>8}"]
    for one in report:
        name = f"{one['position']:4} {one['name'][-19:]:19}"
        if "psnr" in one:
            trivial = f"{one['psnr_of_nearest_input']:8.2f} {one['psnr_of_mean_of_inputs']:6.2f}"
            lines.append(f"{name} {one['psnr']:6.2f} {one['ssim']:6.3f} {trivial} {one['seconds']:8.2f}")
        else:
            lines.append(f"{name} {'no photo to compare with':>29} {one['seconds']:8.2f}")
    return "\n".join(lines)


def report_packages():
    """Print what is installed; yield what is missing, in sentences."""
    names = metadata.packages_distributions()
    print(f"lvsm {__version__}, Python {platform.python_version()} at {sys.executable}")
    for package in PACKAGES:
        distribution = names.get(package, [None])[0]
        if distribution is None:
            yield f"the package {package} is missing: install this project again with pip."
        else:
            print(f"{distribution:24} {metadata.version(distribution)}")


def report_devices():
    """Print what computes and which weights are there; yield what is wrong, in sentences."""
    import torch

    from .model.checkpoint import find_model_file, read_card
    from .synthesizer import choose_device, choose_precision

    device = choose_device("auto")
    name = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU with {torch.get_num_threads()} threads"
    )
    print(f"device: {name}, {str(choose_precision(device, 'auto')).removeprefix('torch.')}")
    if device.type == "cpu" and torch.version.cuda:
        print("note: torch is built for CUDA, and there is no card that it can use (no NVIDIA card, or no driver).")
    try:
        _, card = read_card("default")
        print(f"weights: {card.name} at {find_model_file('default')}")
    except LvsmError as error:
        yield str(error)


def ring_of_views(count: int):
    """`count` grey photos around the origin, and a camera between two of them."""
    from .scene.camera import Camera, View

    def camera(angle: float) -> Camera:
        forward = -np.array([np.cos(angle), np.sin(angle), 0.0])
        right = np.array([-np.sin(angle), np.cos(angle), 0.0])
        pose = np.eye(4)
        pose[:3] = np.stack([right, np.cross(forward, right), forward, -2 * forward], axis=1)
        return Camera(pose, 280, 280, 128, 128, 256, 256)

    photo = np.full((256, 256, 3), 128, np.uint8)
    angles = 2 * np.pi * np.arange(count) / count
    return [View(camera(angle), photo, f"view {i}") for i, angle in enumerate(angles)], camera(0.3)


def timed(work: Callable):
    """Seconds, and the work's result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def count(model) -> int:
    """A model's parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def make_folder(path: Path) -> None:
    """Make the folder of the results. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be made ({error.strerror}): choose another folder.") from error


def write_json(path: Path, content: dict) -> None:
    """Write whole, by a temporary name. Raises OutputError."""
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace"))


def _on_bar(bar):
    def follow(progress) -> None:
        bar.set_description_str(progress.stage, refresh=False)
        bar.n = round(100 * progress.fraction)
        bar.refresh()

    return follow


Command = (
    Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[Convert, tyro.conf.subcommand("convert")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns the exit status."""
    command = tyro.cli(
        Command, prog="lvsm", args=arguments, description=__doc__, config=(tyro.conf.OmitSubcommandPrefixes,)
    )
    try:
        command.run()
    except LvsmError as error:
        print(f"lvsm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lvsm: Cancelled.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
