"""The work of lvsm render: a capture in; pictures, a report and a contact sheet out."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..baselines import fitted_photo, mean_photo
from ..errors import CaptureError
from ..metrics import SSIM_WINDOW, psnr, ssim
from ..nearest_scenes import EncodedScene
from ..photos import SHEET_ROW_HEIGHT, WHITE, contact_sheet, load_photo, save_image, sheet_cell
from ..progress import OnProgress
from ..scene.camera import Camera, square_pixels
from ..scene.captures import Capture, load_capture
from ..scene.selection import nearest_view
from ..scene.subject import Subject
from ..synthesizer import Synthesizer
from ..whole_files import make_folder, write_bytes
from .terminal import complain, progress_bar, say


def render_capture(
    path: Path,
    inputs: str,
    targets: str,
    out: Path,
    load: Callable[[], Synthesizer],
    detail: bool,
    subject: Subject | None = None,
) -> None:
    """Render targets of the capture at `path` from inputs, both told by positions ("0,4,9"), into a folder.

    load: brings the model, once the capture is known to be right. detail: whether photos sharpen its pictures. subject:
    Synthesizer.encode's. Raises CaptureError, CameraError, CheckpointError, DeviceError, OutputError.
    """
    capture = load_capture(path)
    chosen = positions(inputs, len(capture.views), "--inputs")
    asked = positions(targets, len(capture.views), "--targets")
    for warning in capture.warnings:
        complain(f"warning: {warning}")
    synthesizer = load()
    with progress_bar() as follow:
        scene = synthesizer.encode([capture.views[position] for position in chosen], follow, subject=subject)
        make_folder(out)
        report = TargetReport(capture, chosen, synthesizer, scene, out, detail)
        for position in asked:
            report.render(position, follow)
    for warning in report.warnings:
        complain(f"warning: {warning}")
    write_json(out / "report.json", {"capture": str(path), **report.entries()})
    report.write_sheet()
    say(table(report.targets))


class TargetReport:
    """What was made of a capture's targets: pictures, scores, contact sheet. Holds few photos at their full size at a time.

    targets: an entry each, in their order. warnings: sentences about the inputs and the targets.
    """

    def __init__(
        self,
        capture: Capture,
        inputs: list[int],
        synthesizer: Synthesizer,
        scene: EncodedScene,
        out: Path,
        detail: bool,
    ) -> None:
        self._capture, self._inputs, self._out = capture, inputs, out
        self._synthesizer, self._scene, self._detail = synthesizer, scene, detail
        self._background = synthesizer.card.background or WHITE
        self._means: dict[tuple[int, int], np.ndarray] = {}
        self._rows: list[list[np.ndarray]] = []
        self._labels: list[str] = []
        self.targets: list[dict[str, Any]] = []
        self.warnings: tuple[str, ...] = scene.warnings

    def render(self, position: int, follow: OnProgress) -> None:
        """Synthesize the view at a position, write its picture, and compare it with its photo, if it has one."""
        view = self._capture.views[position]
        truth, camera = self._load(position) if view.photo is not None else (None, square_pixels(view.camera))
        began = time.monotonic()
        result = self._picture(camera, follow)
        entry = {"position": position, "name": view.name, "seconds": round(time.monotonic() - began, 3)}
        self.warnings = tuple(dict.fromkeys((*self.warnings, *self._scene.warnings)))
        save_image(self._out / f"{position:04}.png", result, self._told_in_files())
        if truth is not None:
            entry |= scores(result, truth, self._nearest_input(camera), self._mean_of_inputs(camera))
        self.targets.append(entry)
        self._rows.append([sheet_cell(image) for image in (truth, result) if image is not None])
        self._labels.append(f"{position}: {'truth, ' if truth is not None else ''}result")

    def _picture(self, camera: Camera, follow: OnProgress) -> np.ndarray:
        if self._detail:
            return self._scene.render_detail([camera], follow).images[0]
        return self._scene.render([camera], follow)[0]

    def _told_in_files(self) -> dict[str, str]:
        synthesizer = self._synthesizer
        facts = {
            "model": synthesizer.card.name,
            "model sha256": synthesizer.model_sha256,
            "licence": synthesizer.card.licence,
        }
        return {f"LVSM {name}": fact for name, fact in facts.items() if fact}

    def entries(self) -> dict[str, Any]:
        """The report as JSON."""
        views, synthesizer = self._capture.views, self._synthesizer
        return {
            "model": synthesizer.card.name,
            "model_sha256": synthesizer.model_sha256,
            "licence": synthesizer.card.licence,
            "device": str(synthesizer.device),
            "precision": str(synthesizer.precision).removeprefix("torch."),
            "detail": self._detail,
            "inputs": [{"position": position, "name": views[position].name} for position in self._inputs],
            "warnings": [*self._capture.warnings, *self.warnings],
            "targets": self.targets,
        }

    def write_sheet(self) -> None:
        """The contact sheet: the inputs, then each target's truth and result. Raises OutputError."""
        first = [sheet_cell(self._load(position, SHEET_ROW_HEIGHT)[0]) for position in self._inputs]
        label = f"inputs {','.join(map(str, self._inputs))}"
        contact_sheet([first, *self._rows], [label, *self._labels], self._out / "sheet.png")

    def _load(self, position: int, side: int | None = None) -> tuple[np.ndarray, Camera]:
        return load_photo(self._capture.views[position], self._background, side)

    def _fitted(self, position: int, target: Camera) -> np.ndarray:
        """An input's photo at the size of a target, cut rather than stretched."""
        return fitted_photo(self._load(position, max(target.width, target.height)), target)

    def _nearest_input(self, target: Camera) -> np.ndarray:
        nearest = nearest_view(target, [self._capture.views[position].camera for position in self._inputs])
        return self._fitted(self._inputs[nearest], target)

    def _mean_of_inputs(self, target: Camera) -> np.ndarray:
        """Of one size the mean is made once: that of the last is kept."""
        size = (target.width, target.height)
        if size not in self._means:
            self._means = {size: mean_photo(self._fitted(position, target) for position in self._inputs)}
        return self._means[size]


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
    entry = {"psnr": round(psnr(result, truth), 3)}
    if min(truth.shape[:2]) >= SSIM_WINDOW:
        entry["ssim"] = round(ssim(result, truth), 4)
    return entry | {
        "psnr_of_nearest_input": round(psnr(nearest, truth), 3),
        "psnr_of_mean_of_inputs": round(psnr(mean, truth), 3),
    }


def table(targets: list[dict[str, Any]]) -> str:
    """A report's targets for a terminal."""
    lines = [f"{'view':24} {'PSNR':>6} {'SSIM':>6} {'nearest':>8} {'mean':>6} {'seconds':>8}"]
    for target in targets:
        name = f"{target['position']:4} {target['name'][-19:]:19}"
        if "psnr" in target:
            trivial = f"{target['psnr_of_nearest_input']:8.2f} {target['psnr_of_mean_of_inputs']:6.2f}"
            ssim = f"{target['ssim']:6.3f}" if "ssim" in target else f"{'-':>6}"
            lines.append(f"{name} {target['psnr']:6.2f} {ssim} {trivial} {target['seconds']:8.2f}")
        else:
            lines.append(f"{name} {'no photo to compare with':>29} {target['seconds']:8.2f}")
    return "\n".join(lines)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write whole, by a temporary name. Raises OutputError."""
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace"))
