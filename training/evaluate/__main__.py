"""Score models on what they never saw, beside the trivial answers.

    python -m training.evaluate --views data/views/val --out runs/default/evaluation               # objects, 4 inputs
    python -m training.evaluate --views data/views/val --inputs 1 2 4 8 16 --model A.safetensors B.safetensors --out OUT
    python -m training.evaluate --capture CAPTURE --every 8 --out OUT               # posed photos, leave one out

Objects: the validation protocol. Each is centred, its longest side 1, in uniform white light, horizontal field of view
50 degrees; inputs at elevation 20, evenly spaced azimuths, distance 1.94; 10 targets elsewhere, the same for any number
of inputs (training.render --sampling protocol makes the views). Captures: every k-th photo, or those of a list, is
synthesized from others: the nearest to it, or spread around the subject, or a list.

Models render through the engine's own Synthesizer at their own sizes; pictures are compared at one size for all, the
largest of the models' own if not given. Scores are means over targets. Foreground is where the truth's alpha is above
0.5; captures tell no alpha. Foreground LPIPS is the mean of LPIPS' distance map there.

Writes scores.json (with the sha256 of each file that was read), table.md and sheet.png (worst, median, best).
"""

import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from tqdm import tqdm

from lvsm_engine.errors import LvsmError
from lvsm_engine.model.checkpoint import find_model_file
from lvsm_engine.model.costs import parameter_count
from lvsm_engine.photos import WHITE
from lvsm_engine.synthesizer import Synthesizer
from lvsm_engine.whole_files import write_bytes

from ..render.cameras import PROTOCOL_MOST_INPUTS
from .answers import Answer, synthesized, trivial_answers
from .questions import Captures, LeaveOneOut, ObjectFolder, Question, Subjects
from .report import (
    EvaluatedModel,
    Evaluation,
    ShownQuestion,
    extreme_questions,
    markdown,
    sha256_of,
    write_json,
    write_sheet,
)
from .scores import Perceptual, Score, choose_perceptual, score_answer
from .weights_digest import weights_digest

OBJECT_INPUTS = (4,)
CAPTURE_INPUTS = (8,)


@dataclass
class Options:
    """Score models on what they never saw, beside the trivial answers."""

    out: Path
    """Folder for scores.json, table.md and sheet.png."""
    views: Path | None = None
    """Folder of the validation objects' views (training.render --sampling protocol)."""
    capture: tuple[Path, ...] = ()
    """Posed photos instead of objects: folders or files, such as transforms.json or COLMAP."""
    model: tuple[str, ...] = ("default",)
    """Models' files, or "default"; several are compared side by side."""
    inputs: tuple[int, ...] = ()
    """Numbers of input views; 4 for objects, 8 for captures where not given."""
    size: int | None = None
    """Pixels a side at which pictures are compared; the largest of the models' own where not given."""
    limit: int | None = None
    """Only the first objects, or the first targets of each capture."""
    every: int = 8
    """Captures: every k-th photo is a target, the first one included."""
    targets: tuple[int, ...] = ()
    """Captures: positions of the targets, instead."""
    choice: Literal["nearest", "spread"] = "nearest"
    """Captures: a target's inputs are the others nearest to it, or others spread around the subject."""
    given_inputs: tuple[int, ...] = ()
    """Captures: positions of the inputs of all targets, instead."""
    lpips: Literal["alex", "squeeze", "vgg", "none"] = "alex"
    """The network of LPIPS."""
    lpips_backbone: Path | None = None
    """A safetensors file with its weights (torchvision's names, features.*); without it, torchvision fetches them."""
    device: str = "auto"
    """auto, cuda or cpu."""
    precision: str = "auto"
    """auto, float32 or bfloat16."""


def main(options: Options) -> None:
    counts = input_counts(options)
    models = load_models(options)
    size = options.size or max(model.card.resolution for model in models.values())
    subjects = subjects_of(options, models, size)
    perceptual, without_lpips = choose_perceptual(options.lpips, options.lpips_backbone, subjects.smallest_side())
    if without_lpips:
        print(f"LPIPS is left out. {without_lpips}", file=sys.stderr)
    scores = [score for count in counts for score in score_all(subjects, count, models, perceptual)]
    evaluation = Evaluation(
        data=data_in_words(options),
        size=size,
        device=device_in_words(next(iter(models.values())).device),
        models=tuple(evaluated(name, path, models[name]) for name, path in named_models(options).items()),
        files=hashes(subjects.files()),
        perceptual=perceptual,
        without_lpips=without_lpips,
        scores=tuple(scores),
    )
    options.out.mkdir(parents=True, exist_ok=True)
    write_sheet(worst_median_best(subjects, counts[-1], models, scores), options.out / "sheet.png")
    table = markdown(evaluation)
    write_bytes(options.out / "table.md", table.encode())
    write_json(evaluation, options.out / "scores.json")
    print(table)


def load_models(options: Options) -> dict[str, Synthesizer]:
    """The models by short names. Raises CheckpointError, DeviceError."""
    return {
        name: Synthesizer.load(path, options.device, options.precision) for name, path in named_models(options).items()
    }


def named_models(options: Options) -> dict[str, Path]:
    return distinct_names([find_model_file(model) for model in options.model])


def distinct_names(paths: Sequence[Path]) -> dict[str, Path]:
    """Each path by the fewest of its last parts that tell it from the others, without its ending."""
    parts = [path.resolve().with_suffix("").parts for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(one[-count:]) for one in parts]
        if len(set(names)) == len(names):
            return dict(zip(names, paths, strict=True))
    raise SystemExit(f"{paths[0]} is given twice, or differs from another in its ending only: give each once.")


def subjects_of(options: Options, models: dict[str, Synthesizer], size: int) -> Subjects:
    """What is asked about. Raises SystemExit where that is not told, ViewsError, CaptureError."""
    if (options.views is None) == (not options.capture):
        raise SystemExit("Give --views FOLDER for objects, or --capture PATH for posed photos: one of them.")
    if options.views is not None:
        return ObjectFolder(options.views, size, options.limit)
    backgrounds = {model.card.background or WHITE for model in models.values()}
    if len(backgrounds) > 1:
        raise SystemExit("The models have different backgrounds for photos with alpha: evaluate them one by one.")
    rule = LeaveOneOut(options.every, options.targets, options.choice, options.given_inputs)
    multiple = math.lcm(*(model.config.size_multiple for model in models.values()))
    return Captures(distinct_names(options.capture), rule, size, multiple, backgrounds.pop(), options.limit)


def input_counts(options: Options) -> list[int]:
    """The numbers of inputs, ascending. Raises SystemExit for one that cannot be."""
    if options.given_inputs:
        return [len(options.given_inputs)]
    counts = sorted(set(options.inputs or (CAPTURE_INPUTS if options.capture else OBJECT_INPUTS)))
    if counts[0] < 1 or (options.views is not None and counts[-1] > PROTOCOL_MOST_INPUTS):
        raise SystemExit(
            f"--inputs are {', '.join(map(str, counts))}: give 1 or more, and for objects at most {PROTOCOL_MOST_INPUTS}."
        )
    return counts


def score_all(
    subjects: Subjects, inputs: int, models: dict[str, Synthesizer], perceptual: Perceptual | None
) -> Iterator[Score]:
    """Each answer to each question; the models are warmed up by the first question, whose answers are thrown away."""
    warm = False
    with tqdm(total=subjects.count(), desc=f"{inputs} inputs", unit="question", disable=None) as bar:
        for question in subjects.questions(inputs):
            if not warm:
                model_answers(question, models)
                warm = True
            for answer in (*model_answers(question, models), *trivial_answers(question)):
                yield from score_answer(question, inputs, answer, perceptual)
            bar.update()


def model_answers(question: Question, models: dict[str, Synthesizer]) -> list[Answer]:
    return [synthesized(name, model, question) for name, model in models.items()]


def worst_median_best(
    subjects: Subjects, inputs: int, models: dict[str, Synthesizer], scores: Sequence[Score]
) -> list[ShownQuestion]:
    """The questions in which the first model did worst, middling and best, in this order, and answers to them.

    Answers to a single target are shown beside the nearest input; with many targets the models' fill the sheet.
    """
    first = next(iter(models))
    places = extreme_questions([score for score in scores if score.inputs == inputs and score.answer == first])
    shown = {}
    for question in subjects.questions(inputs, only=places):
        trivial = trivial_answers(question) if len(question.targets) == 1 else []
        answers = (*model_answers(question, models), *trivial)
        shown[question.name] = ShownQuestion(places[question.name], question, answers)
    return [shown[name] for name in places]


def hashes(files: Sequence[Path]) -> dict[str, str]:
    """sha256 by path, from the folder that holds all of the files."""
    root = os.path.commonpath([path.resolve().parent for path in files])
    return {Path(os.path.relpath(path.resolve(), root)).as_posix(): sha256_of(path) for path in files}


def data_in_words(options: Options) -> str:
    if options.views is not None:
        return "Objects by the validation protocol"
    if options.given_inputs:
        return "Posed photos, given inputs"
    return f"Posed photos, each target left out, inputs: the {options.choice} others"


def device_in_words(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"the CPU, {threads} thread{'s' if threads > 1 else ''}"


def evaluated(name: str, path: Path, model: Synthesizer) -> EvaluatedModel:
    return EvaluatedModel(
        name=name,
        sha256=sha256_of(path),
        weights=weights_digest(model.model),
        architecture=model.config.architecture,
        parameters=parameter_count(model.model),
        resolution=model.card.resolution,
        precision=str(model.precision).removeprefix("torch."),
    )


if __name__ == "__main__":
    try:
        main(tyro.cli(Options))
    except LvsmError as error:
        sys.exit(f"{error}")
