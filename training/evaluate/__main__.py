"""Score models on what they never saw, beside the trivial answers.

    python -m training.evaluate --views data/views/val --out runs/default/evaluation               # objects, 4 inputs
    python -m training.evaluate --views data/views/val --inputs 1 2 4 8 16 --model A.safetensors B.safetensors --out OUT
    python -m training.evaluate --views data/views/val --choice nearest --inputs 8 --out OUT       # from the 8 nearest of 16
    python -m training.evaluate --capture CAPTURE --every 8 --out OUT               # posed photos, leave one out

Objects: the validation protocol. Each is centred, its longest side 1, in uniform white light, horizontal field of view
50 degrees; inputs at elevation 20, evenly spaced azimuths, distance 1.94; 10 targets elsewhere, the same for any number
of inputs, or each from the nearest of all inputs (training.render --sampling protocol makes the views). Captures: every
k-th photo, or those of a list, is synthesized from others: the nearest to it, or spread around the subject, or a list.

Models render through the engine's own Synthesizer at their own sizes; pictures are compared at one size for all, the
largest of the models' own if not given. Scores are means over targets. Foreground is where the truth's alpha is above
0.5; captures tell no alpha. Foreground LPIPS is the mean of LPIPS' distance map there.

Writes scores.json (with the sha256 of each file that was read), table.md and sheet.png (worst, median, best).
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from lvsm_engine.digests import file_sha256
from lvsm_engine.model.plane_sweep.blend_file import BUNDLED as BUNDLED_DETAIL
from lvsm_engine.photos import WHITE
from lvsm_engine.synthesizer import Synthesizer
from lvsm_engine.whole_files import write_bytes

from .. import protocol
from ..exit_status import exit_status
from .contest import score_all, worst_median_best
from .models import EvaluationError, device_in_words, distinct_names, evaluated, load_models, model_files
from .questions import Captures, Choice, LeaveOneOut, ObjectFolder, Subjects
from .report import Evaluation, hashes, markdown, write_json, write_sheet
from .scores import choose_lpips

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
    choice: Choice | None = None
    """A target's inputs are those nearest to it (captures, where not given), or spread around the subject (objects)."""
    given_inputs: tuple[int, ...] = ()
    """Captures: positions of the inputs of all targets, instead."""
    detail: bool = True
    """Score the models' pictures sharpened by the photos too."""
    detail_weights: Path = BUNDLED_DETAIL
    """What sharpens them: detail.safetensors of training.detail; the bundled one where not given."""
    lpips: Literal["alex", "squeeze", "vgg", "none"] = "alex"
    """The network of LPIPS."""
    lpips_backbone: Path | None = None
    """A safetensors file with its weights (torchvision's names, features.*); without it, torchvision fetches them."""
    device: str = "auto"
    """auto, cuda or cpu."""
    precision: str = "auto"
    """auto, float32 or bfloat16."""


def main(options: Options) -> int:
    return exit_status(lambda: evaluate(options))


def evaluate(options: Options) -> None:
    """Score, write the report and print its tables. Raises LvsmError."""
    counts = input_counts(options)
    files = model_files(options.model)
    models = load_models(files, options.device, options.precision, options.detail_weights)
    size = options.size or max(model.card.resolution for model in models.values())
    subjects = subjects_of(options, models, size)
    lpips, without_lpips = choose_lpips(options.lpips, options.lpips_backbone, subjects.smallest_side())
    if without_lpips:
        print(f"LPIPS is left out. {without_lpips}", file=sys.stderr)
    scores = [score for count in counts for score in score_all(subjects, count, models, options.detail, lpips)]
    evaluation = Evaluation(
        data=data_in_words(options),
        size=size,
        device=device_in_words(next(iter(models.values())).device),
        models=tuple(evaluated(name, path, models[name]) for name, path in files.items()),
        detail_sha256=file_sha256(options.detail_weights) if options.detail else None,
        files=hashes(subjects.files()),
        lpips=lpips,
        without_lpips=without_lpips,
        scores=tuple(scores),
    )
    options.out.mkdir(parents=True, exist_ok=True)
    write_sheet(worst_median_best(subjects, counts[-1], models, options.detail, scores), options.out / "sheet.png")
    table = markdown(evaluation)
    write_bytes(options.out / "table.md", table.encode())
    write_json(evaluation, options.out / "scores.json")
    print(table)


def subjects_of(options: Options, models: dict[str, Synthesizer], size: int) -> Subjects:
    """What is asked about. Raises EvaluationError where that is not told, ViewsError, CaptureError."""
    if (options.views is None) == (not options.capture):
        raise EvaluationError("Give --views FOLDER for objects, or --capture PATH for posed photos: one of them.")
    if options.views is not None:
        return ObjectFolder(options.views, size, options.choice or "spread", options.limit)
    backgrounds = {model.card.background or WHITE for model in models.values()}
    if len(backgrounds) > 1:
        raise EvaluationError("The models have different backgrounds for photos with alpha: evaluate them one by one.")
    rule = LeaveOneOut(options.every, options.targets, options.choice or "nearest", options.given_inputs)
    multiple = math.lcm(*(model.config.size_multiple for model in models.values()))
    return Captures(distinct_names(options.capture), rule, size, multiple, backgrounds.pop(), options.limit)


def input_counts(options: Options) -> list[int]:
    """The numbers of inputs, ascending. Raises EvaluationError for one that cannot be."""
    if options.given_inputs:
        return [len(options.given_inputs)]
    counts = sorted(set(options.inputs or (CAPTURE_INPUTS if options.capture else OBJECT_INPUTS)))
    if counts[0] < 1 or (options.views is not None and counts[-1] > protocol.MAX_INPUTS):
        raise EvaluationError(
            f"--inputs are {', '.join(map(str, counts))}: give 1 or more, and for objects at most {protocol.MAX_INPUTS}."
        )
    return counts


def data_in_words(options: Options) -> str:
    if options.views is not None:
        return f"Objects by the validation protocol{', the nearest inputs' if options.choice == 'nearest' else ''}"
    if options.given_inputs:
        return "Posed photos, given inputs"
    return f"Posed photos, each target left out, inputs: the {options.choice or 'nearest'} others"


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
