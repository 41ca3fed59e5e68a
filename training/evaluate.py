"""Score a model on objects that it never saw, beside the trivial answers.

    python -m training.evaluate --views data/views/val --out runs/default/evaluation        # the bundled weights
    python -m training.evaluate --model FILE --views data/views/val --out FOLDER

Protocol: an object centred, longest side 1, in uniform white light, horizontal field of view 50 degrees; the first 4
views are the inputs (elevation 20, azimuth 0, 90, 180, 270, distance 1.94), the other 10 the targets. The model renders
through the engine's own Synthesizer, at its native size. Means over all targets.

Writes scores.json (with the hash of the weights), table.md, and sheet.png: worst, median and best objects.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from lvsm_engine.metrics import psnr, ssim
from lvsm_engine.model.checkpoint import find_model_file
from lvsm_engine.photos import contact_sheet
from lvsm_engine.scene.camera import Camera, View, camera_of
from lvsm_engine.scene.selection import nearest_view
from lvsm_engine.synthesizer import Synthesizer

from .views import PosedImages, load_validation

INPUTS = 4
FOREGROUND = 0.5


@dataclass
class Options:
    """Score a model on objects that it never saw, beside the trivial answers."""

    views: Path
    """Folder of the validation objects' views (training.render --sampling protocol)."""
    out: Path
    """Folder for scores.json, table.md and sheet.png."""
    model: str = "default"
    """A model's file, or "default"."""
    size: int | None = None
    """Pixels a side; the model's own where not given."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One way to answer an object's targets: images (T, S, S, 3) float32 in [0, 1]."""

    name: str
    images: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class ScoredObject:
    """An object with the truth (T, S, S, 3), its foreground (T, S, S) and what each answer scored."""

    name: str
    inputs: np.ndarray
    truth: np.ndarray
    answers: tuple[Answer, ...]
    scores: dict[str, dict[str, float]]


def main(options: Options) -> None:
    synthesizer = Synthesizer.load(options.model)
    size = options.size or synthesizer.card.resolution
    scenes = load_validation(options.views, size)
    scored = [score_object(synthesizer, scene) for scene in tqdm(scenes, unit="object")]
    options.out.mkdir(parents=True, exist_ok=True)
    means = mean_scores(scored)
    write_scores(options, size, scored, means)
    table = markdown_table(means, len(scored), size)
    (options.out / "table.md").write_text(table)
    write_sheet(scored, options.out / "sheet.png")
    print(table)


def score_object(synthesizer: Synthesizer, scene: PosedImages) -> ScoredObject:
    """Answer an object's targets in every way, and score each."""
    images = scene.images[0].permute(0, 2, 3, 1).numpy()  # (V, S, S, 3)
    alpha = scene.alpha[0].numpy()
    height, width = images.shape[1:3]
    cameras = [camera_of(*one, width, height) for one in zip(scene.camera_to_world[0], scene.fxfycxcy[0], strict=True)]
    inputs, truth, foreground = images[:INPUTS], images[INPUTS:], alpha[INPUTS:] > FOREGROUND
    answers = (
        Answer("model", synthesized(synthesizer, inputs, cameras)),
        Answer(
            "nearest input view",
            np.stack([inputs[nearest_view(camera, cameras[:INPUTS])] for camera in cameras[INPUTS:]]),
        ),
        Answer("mean of the inputs", np.broadcast_to(inputs.mean(axis=0), truth.shape)),
        Answer("true silhouette in its mean colour", silhouettes(truth, alpha[INPUTS:])),
    )
    scores = {answer.name: score(answer.images, truth, foreground) for answer in answers}
    return ScoredObject(scene.names[0], inputs, truth, answers, scores)


def synthesized(synthesizer: Synthesizer, inputs: np.ndarray, cameras: list[Camera]) -> np.ndarray:
    photos = np.round(inputs * 255).astype(np.uint8)
    views = [View(camera, photo, f"input {i}") for i, (camera, photo) in enumerate(zip(cameras, photos, strict=False))]
    return synthesizer.encode(views).render(cameras[INPUTS:])


def silhouettes(truth: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Each target's own silhouette (alpha, (T, S, S)), filled with the mean colour of its foreground, over white."""
    filled = np.ones_like(truth)
    for image, target, cover in zip(filled, truth, alpha, strict=True):
        inside = cover > FOREGROUND
        if inside.any():
            image[inside] = target[inside].mean(axis=0)
    return filled


def score(images: np.ndarray, truth: np.ndarray, foreground: np.ndarray) -> dict[str, float]:
    """Means over the targets; the foreground's over the targets that show any."""
    visible = [t for t in range(len(truth)) if foreground[t].any()]
    return {
        "psnr": float(np.mean([psnr(a, b) for a, b in zip(images, truth, strict=True)])),
        "foreground_psnr": float(np.mean([psnr(images[t], truth[t], foreground[t]) for t in visible])),
        "ssim": float(np.mean([ssim(a, b) for a, b in zip(images, truth, strict=True)])),
    }


def mean_scores(scored: list[ScoredObject]) -> dict[str, dict[str, float]]:
    return {
        answer: {key: float(np.mean([one.scores[answer][key] for one in scored])) for key in first}
        for answer, first in scored[0].scores.items()
    }


def markdown_table(means: dict[str, dict[str, float]], objects: int, size: int) -> str:
    rows = [
        f"| answer ({objects} objects, {INPUTS} inputs, {size} px) | PSNR full frame | PSNR foreground | SSIM |",
        "| --- | --- | --- | --- |",
    ]
    rows += [
        f"| {name} | {one['psnr']:.2f} | {one['foreground_psnr']:.2f} | {one['ssim']:.3f} |"
        for name, one in means.items()
    ]
    return "\n".join(rows) + "\n"


def write_scores(options: Options, size: int, scored: list[ScoredObject], means: dict[str, dict[str, float]]) -> None:
    weights = find_model_file(options.model)
    report = {
        "model": options.model,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "size": size,
        "inputs": INPUTS,
        "means": means,
        "objects": {one.name: one.scores for one in scored},
    }
    (options.out / "scores.json").write_text(json.dumps(report, indent=2) + "\n")


def write_sheet(scored: list[ScoredObject], path: Path) -> None:
    """Two objects each of the worst, the median and the best: inputs, then truth over the model's answer."""
    ranked = sorted(scored, key=lambda one: one.scores["model"]["psnr"])
    middle = len(ranked) // 2
    shown = {one.name: one for one in (*ranked[:2], *ranked[middle : middle + 2], *ranked[-2:])}
    rows, labels = [], []
    for one in shown.values():
        rows += [[*one.inputs, *one.truth[:6]], [*one.inputs, *one.answers[0].images[:6]]]
        labels += [f"{one.name}: inputs, truth", f"model, {one.scores['model']['psnr']:.1f} dB"]
    contact_sheet(rows, labels, path)


if __name__ == "__main__":
    main(tyro.cli(Options))
