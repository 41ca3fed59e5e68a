"""What answers are worth: PSNR, SSIM and LPIPS of each target, full frame and foreground, and their means."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from lvsm_engine.metrics import MetricError, lpips_distance, psnr, ssim

from .answers import FOREGROUND, Answer
from .questions import Question

METRICS = ("psnr", "ssim", "lpips", "foreground_psnr", "foreground_ssim", "foreground_lpips")
ANGLE_BINS = (0, 10, 20, 30, 45, 60, 90, 180)
"""Degrees between a target and its nearest input, as seen from the subject."""
MIN_LPIPS_SIDE = 48
"""LPIPS was calibrated on patches of 64 pixels; in much smaller pictures its deep layers see next to nothing."""


@dataclass(frozen=True, slots=True)
class LpipsSettings:
    """The network of LPIPS, and its weights: a safetensors file, or what torchvision fetches (None)."""

    net: str
    backbone: Path | None


@dataclass(frozen=True, slots=True)
class Score:
    """One answer to one target. metrics: by the names in METRICS, those that can be told."""

    inputs: int
    group: str
    question: str
    target: str
    answer: str
    angle: float
    metrics: dict[str, float]
    encode_seconds: float | None
    view_seconds: float | None


def choose_lpips(net: str, backbone: Path | None, smallest_side: int) -> tuple[LpipsSettings | None, str]:
    """The network, or None and the reason why LPIPS is left out.

    Raises MetricError for a given file that is none of this network's.
    """
    if net == "none":
        return None, "It was switched off."
    if smallest_side < MIN_LPIPS_SIDE:
        return None, f"It needs pictures of {MIN_LPIPS_SIDE} pixels a side, and the smallest side is {smallest_side}."
    probe = np.zeros((64, 64, 3), np.float32)
    try:
        lpips_distance(probe, probe, net, backbone)
    except MetricError as error:
        if backbone is not None:
            raise
        return None, f"{error}"
    return LpipsSettings(net, backbone), ""


def score_answer(question: Question, inputs: int, answer: Answer, lpips: LpipsSettings | None) -> list[Score]:
    """The answer's scores, a target each."""
    scores = []
    for t, target in enumerate(question.targets):
        foreground = None if question.alpha is None else question.alpha[t] > FOREGROUND
        scores.append(
            Score(
                inputs=inputs,
                group=question.group,
                question=question.name,
                target=target,
                answer=answer.name,
                angle=float(question.angles[t].min()),
                metrics=metrics_of(answer.images[t], question.truth[t], foreground, lpips),
                encode_seconds=answer.encode_seconds,
                view_seconds=answer.view_seconds[t] if answer.view_seconds else None,
            )
        )
    return scores


def metrics_of(
    image: np.ndarray, truth: np.ndarray, foreground: np.ndarray | None, lpips: LpipsSettings | None
) -> dict[str, float]:
    """By the names in METRICS: of a picture (H, W, 3); foreground: (H, W) of bool, where it is known and not empty."""
    regions: dict[str, np.ndarray | None] = {"": None}
    if foreground is not None and foreground.any():
        regions["foreground_"] = foreground
    metrics = {}
    for prefix, mask in regions.items():
        metrics[f"{prefix}psnr"] = psnr(image, truth, mask)
        metrics[f"{prefix}ssim"] = ssim(image, truth, mask)
        if lpips is not None:
            metrics[f"{prefix}lpips"] = lpips_distance(image, truth, lpips.net, lpips.backbone, mask)
    return metrics


def mean_metrics(scores: Iterable[Score]) -> dict[str, float]:
    """Means over targets; each metric over those targets that have it."""
    scores = list(scores)
    means = {}
    for metric in METRICS:
        values = [score.metrics[metric] for score in scores if metric in score.metrics]
        if values:
            means[metric] = float(np.mean(values))
    return means


def median_seconds(scores: Sequence[Score]) -> dict[str, float]:
    """Medians over the questions (encode_seconds) and the targets (view_seconds); nothing for trivial answers."""
    encodes = {score.question: score.encode_seconds for score in scores if score.encode_seconds is not None}
    views = [score.view_seconds for score in scores if score.view_seconds is not None]
    return {"encode_seconds": median(encodes.values()), "view_seconds": median(views)} if views else {}


def by_angle(scores: Iterable[Score]) -> dict[str, list[Score]]:
    """The scores in ANGLE_BINS by names such as "10-20"; a bin without targets is left out."""
    bins: dict[str, list[Score]] = {f"{low}-{high}": [] for low, high in zip(ANGLE_BINS, ANGLE_BINS[1:], strict=False)}
    names = list(bins)
    for score in scores:
        place = int(np.searchsorted(ANGLE_BINS[1:-1], score.angle, side="right"))
        bins[names[place]].append(score)
    return {name: found for name, found in bins.items() if found}
