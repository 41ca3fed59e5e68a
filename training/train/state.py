"""A run on disk: what resumes it exactly. Written whole or not at all; one that cannot be read stops the run."""

import copy
import dataclasses
import json
import os
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from lvsm_engine.errors import LvsmError, OutputError
from lvsm_engine.whole_files import refuse_pipe, write_bytes, write_whole

from ..configs import TrainingConfig, resolved
from .averaging import AveragedWeights

LATEST = "latest.pt"
BEFORE_DECAY = "before_decay.pt"
"""The state when the learning rate began to fall: from here a longer run can go on."""
CONFIG = "config.json"
AVERAGED = "averaged"
"""The entry of a state with the averaged weights, where the run keeps them."""
# What may differ when a run is resumed: none of it changes what the steps compute, but for `steps`, which prolongs the run.
FREE_FIELDS = ("name", "steps", "save_every", "validate_every", "validation", "stop_after_skips")
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


class RunStateError(LvsmError):
    """A run cannot be saved or resumed: the sentence says why, and what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is."""

    step: int = 0
    """The step that comes next."""
    seconds: float = 0.0
    """Of training so far, wall clock."""
    skipped: int = 0
    """Steps whose update was left out."""
    skipped_in_a_row: int = 0
    """Of those, the last ones without a good step between."""
    decay_begins: int | None = None
    """From which step the learning rate falls, in the run that got this far (None: written by an older version)."""


def save_state(
    path: Path,
    progress: RunProgress,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    averaged: AveragedWeights | None = None,
    is_writer: bool = True,
) -> None:
    """Write what resumes the run. Called by all processes alike; one of them is the writer.

    Raises RunStateError where it cannot be written; the former state stays then.
    """
    state = {
        **dataclasses.asdict(progress),
        "model": get_model_state_dict(model, options=WHOLE),
        "optimizers": get_optimizer_state_dict(model, optimizers, options=WHOLE),  # by parameters' names
    }
    if averaged is not None:
        with averaged.in_place():
            state[AVERAGED] = copy.deepcopy(get_model_state_dict(model, options=WHOLE))
    if is_writer:
        _write(path, state)


def _write(path: Path, state: dict) -> None:
    def write(part: Path) -> None:
        with open(part, "wb") as file:  # given a path, torch hides what the disk says
            torch.save(state, file)

    try:
        write_whole(path, write)
    except (OutputError, RuntimeError) as error:  # torch's writer turns what the disk says into the latter
        raise RunStateError(
            f"{path}: the run's state cannot be written ({_reason(error)}); the former one stays. Free space on that disk,"
            " then give the same command again."
        ) from error


def _reason(error: BaseException) -> str:
    """What the system said, where torch's writer hides it behind its own words."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return str(error).splitlines()[0]


def load_state(path: Path) -> dict:
    """The state that save_state wrote. Raises RunStateError where it cannot be read: never a fresh start."""
    try:
        refuse_pipe(path)
        _check_sums(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not _is_state(state):
            raise ValueError("it holds something else")
        return state
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, BadZipFile, pickle.UnpicklingError) as error:
        raise RunStateError(
            f"{path}: the run's state cannot be read ({error}). Restore the file, or give another --out to start anew."
        ) from error


def _check_sums(path: Path) -> None:
    """torch writes a sum of each tensor's bytes and reads none. Raises ValueError, BadZipFile, OSError."""
    with ZipFile(path) as archive:
        if archive.testzip() is not None:
            raise ValueError("it is damaged")


def _is_state(state: object) -> bool:
    """Whether it has what a state has; of its tensors `restore` knows."""
    if not isinstance(state, dict) or not {"step", "seconds", "model", "optimizers"} <= state.keys():
        return False
    counts = [state[name] for name in ("step", "skipped", "skipped_in_a_row") if name in state]
    tables = [state[name] for name in ("model", "optimizers", AVERAGED) if name in state]
    return (
        all(type(count) is int and count >= 0 for count in counts)
        and all(isinstance(table, dict) for table in tables)
        and type(state["seconds"]) in (int, float)
    )


def find_state(folder: Path, config: TrainingConfig) -> dict | None:
    """The state to go on from, None for a new run. Raises RunStateError.

    A run that is to be longer than the one that decayed goes on from before its decay.
    """
    if not os.path.lexists(folder / LATEST):  # a link to nothing is a state that is lost, and no new run
        return None
    state = load_state(folder / LATEST)
    if not (folder / BEFORE_DECAY).exists():
        return state
    before_decay = load_state(folder / BEFORE_DECAY)
    began = state.get("decay_begins") or before_decay["step"]
    has_decayed = state["step"] > began
    return before_decay if has_decayed and began < config.schedule.decay_begins else state


def restore(
    state: dict, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], averaged: AveragedWeights | None = None
) -> RunProgress:
    """Put a loaded state into a model, its averaged weights and its optimizers, whole or in shards.

    Raises RunStateError for a state that lacks something of the model or is of another one.
    """
    names = get_model_state_dict(model).keys()
    for entry in ("model", AVERAGED):
        if missing := sorted(names - state.get(entry, names)):
            raise _misfit(f"the tensor '{missing[0]}' is missing")
    if not state["optimizers"].get("state"):
        raise _misfit("what the optimizers keep is missing")
    try:
        if averaged is not None:
            set_model_state_dict(model, state.get(AVERAGED, state["model"]), options=WHOLE)
            averaged.restart()
        set_model_state_dict(model, state["model"], options=WHOLE)
        set_optimizer_state_dict(model, optimizers, state["optimizers"], options=WHOLE)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:  # whatever torch stumbles over
        raise _misfit(" ".join(str(error).split())) from error
    return RunProgress(
        **{field.name: state[field.name] for field in dataclasses.fields(RunProgress) if field.name in state}
    )


def _misfit(reason: str) -> RunStateError:
    return RunStateError(
        f"The run's state does not fit its model ({reason}). Restore {LATEST}, or give another --out to start anew."
    )


def check_config(folder: Path, config: TrainingConfig) -> None:
    """Raises RunStateError where the folder's run was started with another configuration, and names the field.

    Fields that the run's file does not have, written by an older version, are not compared.
    """
    path = folder / CONFIG
    try:
        started = dict(_flat(json.loads(path.read_text())))
    except (OSError, ValueError, AttributeError) as error:
        raise RunStateError(
            f"{path}: the configuration of the run cannot be read ({error}). Restore the file, or give another --out."
        ) from error
    asked = dict(_flat(json.loads(json.dumps(resolved(config)))))
    for name in sorted(started.keys() & asked.keys()):
        if name not in FREE_FIELDS and started[name] != asked[name]:
            raise RunStateError(
                f"{path}: the run was started with {name} {started[name]}, and {asked[name]} is asked for. Give the former,"
                " or another --out (with --init to start from this run's export)."
            )


def write_config(folder: Path, config: TrainingConfig) -> None:
    """The resolved configuration, beside the run."""
    write_bytes(folder / CONFIG, (json.dumps(resolved(config), indent=2) + "\n").encode())


def _flat(entry: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested fields by dotted names; a list is one value."""
    for name, value in entry.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
