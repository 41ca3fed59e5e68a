"""lvsm models: which models are known by name; how one is fetched, and removed."""

import textwrap
from dataclasses import dataclass
from typing import Literal

import tyro

from ..errors import FetchError
from ..known_models import KNOWN_MODELS, KnownModel, fetched_path, is_there, known_model, models_folder, recorded_sha256
from .terminal import progress_bar, say

WIDTH = 100


@dataclass
class Models:
    """List the models that are known by name; fetch one: lvsm models get NAME --accept-licence; or remove a fetched one."""

    action: tyro.conf.Positional[Literal["list", "get", "remove"]] = "list"
    """list, get, or remove."""
    name: tyro.conf.Positional[str] = ""
    """Which to get, or to remove."""
    accept_licence: bool = False
    """You have read the model's licence, which is shown without this, and accept it."""

    def run(self) -> int:
        """Raises CheckpointError, FetchError, OutputError."""
        if self.action == "get":
            self._get(self._named())
        elif self.action == "remove":
            self._remove(self._named())
        else:
            self._list()
        return 0

    def _list(self) -> None:
        for model in KNOWN_MODELS:
            say("\n".join(entry(model)))
        say(f"Fetched models are kept in {models_folder()}.")

    def _named(self) -> KnownModel:
        if not self.name:
            raise FetchError(
                f"No model is named: run 'lvsm models' for their names, then 'lvsm models {self.action} NAME'."
            )
        return known_model(self.name)

    def _remove(self, model: KnownModel) -> None:
        from ..model_fetching import MEGABYTE, remove_model

        say(f"{model.name} is removed: {remove_model(model.name) / MEGABYTE:.0f} MB are free again.")

    def _get(self, model: KnownModel) -> None:
        say("\n".join(entry(model)))
        if not (self.accept_licence or model.is_bundled):
            raise FetchError(
                f"To accept this licence and fetch it, run 'lvsm models get {model.name} --accept-licence'."
            )
        from ..model_fetching import fetch_model

        with progress_bar() as follow:
            fetched = fetch_model(model.name, accepts_licence=self.accept_licence, on_progress=follow)
        say(f"{fetched.path}: {fetched.bytes} bytes, sha256 {fetched.sha256}")


def entry(model: KnownModel) -> list[str]:
    """A model in lines for a terminal."""
    if model.is_bundled:
        state = "comes with the engine"
    elif is_there(model):
        state = f"fetched, sha256 {recorded_sha256(fetched_path(model))[:12] or 'unknown'}"
    else:
        state = f"{model.size_label}, {model.page}, {model.file}"
    about = (
        f"{model.needs}; {model.good_at}.",
        f"Licence: {model.licence}.",
        *(("Free for commercial use.",) if model.is_commercial else ()),
    )
    lines = [line for sentence in about for line in textwrap.wrap(sentence, WIDTH)]
    return [f"{model.name}  ({model.family}; {state})", *(f"    {line}" for line in lines)]
