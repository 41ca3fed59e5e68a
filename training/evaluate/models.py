"""The models that are evaluated, by short names, and what a report says of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lvsm_engine.digests import file_sha256, weights_digest
from lvsm_engine.errors import LvsmError
from lvsm_engine.model.checkpoint import find_model_file
from lvsm_engine.model.costs import parameter_count
from lvsm_engine.synthesizer import Synthesizer


class EvaluationError(LvsmError):
    """What is asked for cannot be evaluated."""


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model and the file that it came from.

    sha256: of the file. weights: weights_digest, which stays when the file gets a card with these scores.
    """

    name: str
    sha256: str
    weights: str
    architecture: str
    parameters: int
    resolution: int
    precision: str


def model_files(models: Sequence[str]) -> dict[str, Path]:
    """The files of models ("default", or a file) by short names. Raises CheckpointError, EvaluationError."""
    return distinct_names([find_model_file(model) for model in models])


def load_models(files: dict[str, Path], device: str, precision: str, detail_weights: Path) -> dict[str, Synthesizer]:
    """Raises CheckpointError, DeviceError."""
    return {name: Synthesizer.load(path, device, precision, detail_weights) for name, path in files.items()}


def distinct_names(paths: Sequence[Path]) -> dict[str, Path]:
    """Each path by the fewest of its last parts that tell it from the others, without its ending. Raises EvaluationError."""
    parts = [path.resolve().with_suffix("").parts for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(one[-count:]) for one in parts]
        if len(set(names)) == len(names):
            return dict(zip(names, paths, strict=True))
    raise EvaluationError(f"{paths[0]} is given twice, or differs from another in its ending only: give each once.")


def evaluated(name: str, path: Path, model: Synthesizer) -> EvaluatedModel:
    """What a report says of a model."""
    return EvaluatedModel(
        name=name,
        sha256=file_sha256(path),
        weights=weights_digest(model.model),
        architecture=model.config.architecture,
        parameters=parameter_count(model.model),
        resolution=model.card.resolution,
        precision=str(model.precision).removeprefix("torch."),
    )


def device_in_words(device: torch.device) -> str:
    """The card's name, or the CPU and its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"the CPU, {threads} thread{'s' if threads > 1 else ''}"
