"""An evaluation on paper: scores.json, table.md, and sheet.png with the worst, the median and the best."""

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lvsm_engine.digests import file_sha256
from lvsm_engine.metrics import psnr
from lvsm_engine.photos import contact_sheet
from lvsm_engine.whole_files import write_bytes

from .answers import Answer
from .models import EvaluatedModel
from .questions import Question
from .scores import METRICS, LpipsSettings, Score, by_angle, mean_metrics, median_seconds

METRIC_TITLES = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "foreground_psnr": "fg PSNR",
    "foreground_ssim": "fg SSIM",
    "foreground_lpips": "fg LPIPS",
}
DECIMALS = {"psnr": 2, "foreground_psnr": 2}
SHEET_TARGETS = 6


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was scored, on what, and how.

    data: what was asked about, in words. size: pixels a side of the pictures that were compared. device: in words.
    detail_sha256: of the weights of the detail, where it was scored. without_lpips: the reason why LPIPS is left out, or "".
    """

    data: str
    size: int
    device: str
    models: tuple[EvaluatedModel, ...]
    detail_sha256: str | None
    files: dict[str, str]
    lpips: LpipsSettings | None
    without_lpips: str
    scores: tuple[Score, ...]

    def of(self, inputs: int, answer: str, group: str | None = None) -> list[Score]:
        """The scores of an answer at a number of inputs, in one group or in all."""
        return [
            score
            for score in self.scores
            if score.inputs == inputs and score.answer == answer and group in (None, score.group)
        ]

    @property
    def inputs(self) -> list[int]:
        return sorted({score.inputs for score in self.scores})

    @property
    def answers(self) -> list[str]:
        return list(dict.fromkeys(score.answer for score in self.scores))

    @property
    def groups(self) -> list[str]:
        return list(dict.fromkeys(score.group for score in self.scores))


def hashes(files: Sequence[Path]) -> dict[str, str]:
    """sha256 by path, from the folder that holds all of the files."""
    root = os.path.commonpath([path.resolve().parent for path in files])
    return {Path(os.path.relpath(path.resolve(), root)).as_posix(): file_sha256(path) for path in files}


def write_json(evaluation: Evaluation, path: Path) -> None:
    """All of it: models and files with their hashes, means, and each target's scores."""
    lpips = evaluation.lpips
    report = {
        "data": evaluation.data,
        "size": evaluation.size,
        "device": evaluation.device,
        "models": [dataclasses.asdict(model) for model in evaluation.models],
        "detail_sha256": evaluation.detail_sha256,
        "lpips": {
            "net": lpips.net if lpips else None,
            "backbone_sha256": file_sha256(lpips.backbone) if lpips and lpips.backbone else None,
            "left_out": evaluation.without_lpips or None,
        },
        "means": [
            {
                "inputs": inputs,
                "answer": answer,
                "targets": len(scores),
                **mean_metrics(scores),
                **median_seconds(scores),
            }
            for inputs in evaluation.inputs
            for answer in evaluation.answers
            for scores in [evaluation.of(inputs, answer)]
        ],
        "by_angle": [
            {"inputs": inputs, "answer": answer, "degrees": name, "targets": len(scores), **mean_metrics(scores)}
            for inputs in evaluation.inputs
            for answer in evaluation.answers
            for name, scores in by_angle(evaluation.of(inputs, answer)).items()
        ],
        "files": evaluation.files,
        "targets": [dataclasses.asdict(score) for score in evaluation.scores],
    }
    write_bytes(path, (json.dumps(report, indent=1) + "\n").encode())


def markdown(evaluation: Evaluation) -> str:
    """The tables: all answers at each number of inputs, by capture, by angle; then the models and how it was measured."""
    parts = [means_table(evaluation)]
    if 1 < len(evaluation.groups) < len({score.question for score in evaluation.scores}):
        parts.append("PSNR of each capture:\n\n" + groups_table(evaluation))
    parts.append(
        "PSNR by the angle between a target and its nearest input, seen from the subject:\n\n"
        + angles_table(evaluation)
    )
    parts.append("\n".join(footnotes(evaluation)) + "\n")
    return "\n".join(parts)


def means_table(evaluation: Evaluation) -> str:
    metrics = [metric for metric in METRICS if any(metric in score.metrics for score in evaluation.scores)]
    rows = []
    for inputs in evaluation.inputs:
        for answer in evaluation.answers:
            scores = evaluation.of(inputs, answer)
            means, seconds = mean_metrics(scores), median_seconds(scores)
            cells = [f"{means[metric]:.{DECIMALS.get(metric, 3)}f}" for metric in metrics]
            cells += [f"{seconds[key]:.3g}" if seconds else "" for key in ("encode_seconds", "view_seconds")]
            rows.append([str(inputs), answer, *cells])
    titles = ["inputs", "answer", *(METRIC_TITLES[metric] for metric in metrics), "s to encode", "s a view"]
    return table(titles, rows)


def groups_table(evaluation: Evaluation) -> str:
    rows = []
    for inputs in evaluation.inputs:
        for group in evaluation.groups:
            found = {answer: evaluation.of(inputs, answer, group) for answer in evaluation.answers}
            cells = [f"{mean_metrics(scores)['psnr']:.2f}" for scores in found.values()]
            rows.append([str(inputs), group, str(len(next(iter(found.values())))), *cells])
    return table(["inputs", "capture", "targets", *evaluation.answers], rows)


def angles_table(evaluation: Evaluation) -> str:
    rows = []
    for inputs in evaluation.inputs:
        bins = {answer: by_angle(evaluation.of(inputs, answer)) for answer in evaluation.answers}
        for name, scores in next(iter(bins.values())).items():
            cells = [f"{mean_metrics(found[name])['psnr']:.2f}" for found in bins.values()]
            rows.append([str(inputs), f"{name} degrees", str(len(scores)), *cells])
    return table(["inputs", "nearest input", "targets", *evaluation.answers], rows)


def footnotes(evaluation: Evaluation) -> list[str]:
    targets = len({(score.question, score.target) for score in evaluation.scores})
    lines = [f"{evaluation.data}; {targets} targets, compared at {evaluation.size} px. PSNR in dB; fg: foreground."]
    if evaluation.lpips:
        lines[0] += f" LPIPS {evaluation.lpips.net} (lower is better)."
    else:
        lines.append(f"LPIPS is left out. {evaluation.without_lpips}")
    lines.append(f"Seconds on {evaluation.device}: medians, after a warm-up, each view rendered by itself.")
    for model in evaluation.models:
        lines.append(
            f"{model.name}: {model.architecture}, {model.parameters / 1e6:.1f} M parameters, {model.resolution} px,"
            f" {model.precision}, sha256 {model.sha256[:16]}."
        )
    if evaluation.detail_sha256:
        lines.append(f"Detail: sha256 {evaluation.detail_sha256[:16]}.")
    return [f"- {line}" for line in lines]


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def extreme_questions(scores: Sequence[Score]) -> dict[str, str]:
    """Two questions each of the worst, the median and the best by mean PSNR: "worst", "median", "best" by name."""
    questions = {score.question for score in scores}
    means = {name: mean_metrics(score for score in scores if score.question == name)["psnr"] for name in questions}
    ranked = sorted(means, key=lambda name: (means[name], name))
    middle = max(0, len(ranked) // 2 - 1)
    places = {"worst": ranked[:2], "best": ranked[-2:], "median": ranked[middle : middle + 2]}
    found: dict[str, str] = {}
    for place, names in places.items():
        for name in names:
            found.setdefault(name, place)
    return {name: found[name] for name in ranked if name in found}


@dataclass(frozen=True, slots=True, eq=False)
class ShownQuestion:
    """A question of the contact sheet, its answers, and its place: "worst", "median" or "best"."""

    place: str
    question: Question
    answers: tuple[Answer, ...]


def write_sheet(shown: Sequence[ShownQuestion], path: Path) -> None:
    """A block each question: its inputs, then the truth above the answers; beside them where there is one target only."""
    rows, labels = [], []
    for one in shown:
        question = one.question
        rows.append(list(question.input_images))
        labels.append(f"{one.place}: {question.name}, {len(question.inputs)} inputs")
        decibels = [f"{answer.name} {mean_psnr(answer.images, question.truth):.1f} dB" for answer in one.answers]
        if len(question.targets) == 1:
            rows.append([question.truth[0], *(answer.images[0] for answer in one.answers)])
            labels.append("truth, " + ", ".join(decibels))
        else:
            pictures = (question.truth, *(answer.images for answer in one.answers))
            rows += [list(images[:SHEET_TARGETS]) for images in pictures]
            labels += ["truth", *decibels]
    contact_sheet(rows, labels, path)


def mean_psnr(images: np.ndarray, truth: np.ndarray) -> float:
    """Of pictures (T, H, W, 3) each."""
    return float(np.mean([psnr(image, true) for image, true in zip(images, truth, strict=True)]))
