"""Ways to answer a question: a model through the engine's own Synthesizer, timed, and what needs no model at all."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from lvsm_engine.baselines import MEAN, NEAREST, mean_photo, nearest_photo
from lvsm_engine.errors import LvsmError
from lvsm_engine.scene.camera import Camera
from lvsm_engine.synthesizer import Synthesizer

from .questions import Question

FOREGROUND = 0.5
"""A pixel with more of the subject than this is foreground."""

SILHOUETTE = "true silhouette in its mean colour"
WITH_DETAIL = ", with detail"
"""What follows a model's name where its pictures are sharpened by the photos."""


class AnswerError(LvsmError):
    """A model's answer cannot be scored."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Pictures of a question's targets: images (T, H, W, 3) float32 in [0, 1].

    encode_seconds: to take in the inputs; view_seconds: to render each target. Of models only.
    """

    name: str
    images: np.ndarray
    encode_seconds: float | None = None
    view_seconds: tuple[float, ...] = ()


def synthesized(name: str, synthesizer: Synthesizer, question: Question, detail: bool) -> list[Answer]:
    """A model's answer, each target rendered by itself, as Blender asks for it; and the same sharpened by the photos.

    Raises AnswerError for pictures that are not finite: damaged weights would pass for perfect ones.
    """
    began = time.perf_counter()
    scene = synthesizer.encode(question.inputs, max_model_views=len(question.inputs))
    _wait_for(synthesizer.device)
    encode_seconds = time.perf_counter() - began
    ways: dict[str, Callable[[Camera], np.ndarray]] = {name: lambda camera: scene.render([camera])[0]}
    if detail:
        ways[name + WITH_DETAIL] = lambda camera: scene.render_detail([camera]).images[0]
    answers = []
    for way, render in ways.items():
        images, seconds = zip(*(_timed(render, camera) for camera in question.cameras), strict=True)
        for image, target in zip(images, question.targets, strict=True):
            _check_finite(image, f"{way}: its picture of {question.name}, {target},")
        answers.append(Answer(way, np.stack(images), encode_seconds, seconds))
    return answers


def _timed(render: Callable[[Camera], np.ndarray], camera: Camera) -> tuple[np.ndarray, float]:
    began = time.perf_counter()
    image = render(camera)
    return image, time.perf_counter() - began


def _check_finite(image: np.ndarray, what: str) -> None:
    if not np.isfinite(image).all():
        raise AnswerError(
            f"{what} is not finite: its weights are damaged, or overflow in this precision. Try --precision float32, or leave"
            " the model out."
        )


def trivial_answers(question: Question) -> list[Answer]:
    """Copy the nearest input; average them; fill the true silhouette, where it is known, with its mean colour."""
    nearest = np.stack([nearest_photo(question.input_images, angles) for angles in question.angles])
    mean = np.broadcast_to(mean_photo(question.input_images), question.truth.shape)
    answers = [Answer(NEAREST, nearest), Answer(MEAN, mean)]
    if question.alpha is not None:
        answers.append(Answer(SILHOUETTE, silhouettes(question.truth, question.alpha)))
    return answers


def silhouettes(truth: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Each target's own silhouette (alpha, (T, H, W)), filled with the mean colour of its foreground, over white."""
    filled = np.ones_like(truth)
    for image, target, cover in zip(filled, truth, alpha, strict=True):
        inside = cover > FOREGROUND
        if inside.any():
            image[inside] = target[inside].mean(axis=0)
    return filled


def _wait_for(device: torch.device) -> None:
    """Encoding on CUDA returns before it is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
