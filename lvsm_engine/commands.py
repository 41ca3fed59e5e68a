"""The commands behind lvsm render | convert | inspect | doctor | bench, each a dataclass of its arguments."""

import dataclasses
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from .doctor import examine
from .errors import CaptureError, OutputError
from .whole_files import write_bytes

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

        from .scene.captures import load_capture
        from .synthesizer import Synthesizer

        capture = load_capture(self.capture)
        inputs = positions(self.inputs, len(capture.views), "--inputs")
        targets = positions(self.targets, len(capture.views), "--targets")
        for warning in capture.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        synthesizer = Synthesizer.load(self.model, self.device, self.precision)
        with tqdm(
            total=100, leave=False, disable=None, bar_format="{desc} {percentage:3.0f}% [{remaining} left]"
        ) as bar:
            follow = _on_bar(bar)
            scene = synthesizer.encode([capture.views[position] for position in inputs], follow)
            make_folder(self.out)
            job = RenderJob(capture, inputs, synthesizer, scene, self.out)
            report = [job.render(position, follow) for position in targets]
        for warning in job.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        write_json(
            self.out / "report.json",
            {
                "capture": str(self.capture),
                "model": synthesizer.card.name,
                "device": str(synthesizer.device),
                "precision": str(synthesizer.precision).removeprefix("torch."),
                "inputs": [{"position": i, "name": capture.views[i].name} for i in inputs],
                "warnings": [*capture.warnings, *job.warnings],
                "targets": report,
            },
        )
        job.write_sheet()
        print(table(report))


class RenderJob:
    """The targets of one `lvsm render`: pictures, scores, contact sheet. Holds few photos at their full size at a time."""

    def __init__(self, capture, inputs: list[int], synthesizer, scene, out: Path) -> None:
        from .synthesizer import WHITE

        self._views, self._inputs, self._scene, self._out = capture.views, inputs, scene, out
        self._background = synthesizer.card.background or WHITE
        self._means: dict[tuple[int, int], np.ndarray] = {}
        self._rows: list[list[np.ndarray]] = []
        self._labels: list[str] = []
        self.warnings: tuple[str, ...] = scene.warnings

    def render(self, position: int, follow: Callable) -> dict:
        """Synthesize the view at a position, write its picture, and return its entry in the report."""
        from .photos import save_image, sheet_cell
        from .scene.camera import square_pixels

        view = self._views[position]
        truth, camera = self._load(position) if view.photo is not None else (None, square_pixels(view.camera))
        began = time.monotonic()
        result = self._scene.render([camera], follow)[0]
        entry = {"position": position, "name": view.name, "seconds": round(time.monotonic() - began, 3)}
        self.warnings = tuple(dict.fromkeys((*self.warnings, *self._scene.warnings)))
        save_image(self._out / f"{position:04}.png", result)
        if truth is not None:
            entry |= scores(result, truth, self._nearest_input(camera), self._mean_of_inputs(camera))
        self._rows.append([sheet_cell(image) for image in (truth, result) if image is not None])
        self._labels.append(f"{position}: {'truth, ' if truth is not None else ''}result")
        return entry

    def write_sheet(self) -> None:
        """The contact sheet: the inputs, then each target's truth and result."""
        from .photos import contact_sheet, sheet_cell

        first = [sheet_cell(self._load(position)[0]) for position in self._inputs]
        label = f"inputs {','.join(map(str, self._inputs))}"
        contact_sheet([first, *self._rows], [label, *self._labels], self._out / "sheet.png")

    def _load(self, position: int):
        from .photos import load_photo

        return load_photo(self._views[position], self._background)

    def _nearest_input(self, camera) -> np.ndarray:
        from .photos import resize_image
        from .scene.selection import nearest_view

        nearest = nearest_view(camera, [self._views[position].camera for position in self._inputs])
        return resize_image(self._load(self._inputs[nearest])[0], camera.width, camera.height)

    def _mean_of_inputs(self, camera) -> np.ndarray:
        from .photos import resize_image

        size = (camera.width, camera.height)
        if size not in self._means:
            photos = (resize_image(self._load(position)[0], *size) for position in self._inputs)
            total = functools.reduce(np.add, photos)
            self._means = {size: total / len(self._inputs)}
        return self._means[size]


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
        if not examine():
            raise SystemExit(1)


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


def scores(result: np.ndarray, truth: np.ndarray, nearest: np.ndarray, mean: np.ndarray) -> dict[str, float]:
    """PSNR and SSIM (of pictures that are large enough) of a result; PSNR of the trivial answers.

    nearest, mean: the nearest input photo and the mean of the inputs, at the truth's size.
    """
    from .metrics import SSIM_WINDOW, psnr, ssim

    entry = {"psnr": round(psnr(result, truth), 3)}
    if min(truth.shape[:2]) >= SSIM_WINDOW:
        entry["ssim"] = round(ssim(result, truth), 4)
    return entry | {
        "psnr_of_nearest_input": round(psnr(nearest, truth), 3),
        "psnr_of_mean_of_inputs": round(psnr(mean, truth), 3),
    }


def table(report: list[dict]) -> str:
    """The report's targets for a terminal."""
    lines = [f"{'view':24} {'PSNR':>6} {'SSIM':>6} {'nearest':>8} {'mean':>6} {'seconds':>8}"]
    for one in report:
        name = f"{one['position']:4} {one['name'][-19:]:19}"
        if "psnr" in one:
            trivial = f"{one['psnr_of_nearest_input']:8.2f} {one['psnr_of_mean_of_inputs']:6.2f}"
            ssim = f"{one['ssim']:6.3f}" if "ssim" in one else f"{'-':>6}"
            lines.append(f"{name} {one['psnr']:6.2f} {ssim} {trivial} {one['seconds']:8.2f}")
        else:
            lines.append(f"{name} {'no photo to compare with':>29} {one['seconds']:8.2f}")
    return "\n".join(lines)


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


def run(arguments: list[str], prog: str, description: str) -> None:
    """Run the command that the arguments name. Raises LvsmError; SystemExit 2 for wrong arguments."""
    command = tyro.cli(
        Command, prog=prog, args=arguments, description=description, config=(tyro.conf.OmitSubcommandPrefixes,)
    )
    command.run()
