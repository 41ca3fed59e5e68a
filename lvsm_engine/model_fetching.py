"""Known models fetched from the Hugging Face hub or a mirror of it, whole and checked, or not there; and removed.

huggingface_hub knows the hub: its address (HF_ENDPOINT), a token (HF_TOKEN), proxies, offline mode (HF_HUB_OFFLINE). The bytes
are taken here, since it starts a broken download anew (2.4), and a model has gigabytes: what came stays beside the model's
place under a name that ends with .part, and the next attempt goes on from there.
"""

import errno
import json
import os
import re
import shutil
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from .digests import file_sha256
from .errors import INSTALL_PACKAGES, Cancelled, CheckpointError, FetchError
from .known_models import RECORD, KnownModel, fetched_path, known_model, models_folder
from .model.checkpoint import read_card, refuse_old_torch
from .progress import Cancel, OnProgress, Progress
from .whole_files import PART, make_folder, write_bytes

LOCK = ".lock"
SPARE_BYTES = 50_000_000  # that a disk is to have left
PASSING_STATUS = (408, 425, 429)  # besides those from 500 on
SHA256 = re.compile(r"[0-9a-f]{64}")
POLL_SECONDS = 0.1
MEGABYTE = 1_000_000

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Patience:
    """waits: seconds between tries; one try more than waits, counted anew whenever bytes came. silence: seconds without a byte
    after which a connection is taken for dead."""

    waits: tuple[float, ...] = (1.0, 4.0, 16.0)
    silence: float = 10.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model's file, and what was found of it."""

    path: Path
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class _Remote:
    """Where the bytes are. sha256: empty where the hub does not tell it."""

    address: str
    bytes: int
    sha256: str
    commit: str
    headers: dict[str, str]


class _Passing(Exception):
    """What another try may mend. The words are the reason."""


def fetch_model(
    name: str,
    *,
    accepts_licence: bool,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    endpoint: str | None = None,
    patience: Patience = Patience(),
) -> Fetched:
    """Bring a known model into the folder of models, unless it is there. endpoint: goes before HF_ENDPOINT.

    Raises CheckpointError for a name that is not known, a torch that could not open the file, or a file that is no such model;
    FetchError; OutputError; Cancelled.
    """
    model = known_model(name)
    if model.is_bundled:
        raise FetchError(f"The model {name} comes with the engine: nothing is to be fetched.")
    if not accepts_licence:
        raise FetchError(f"The licence of {name} was not accepted ({model.licence}): accept it to fetch the model.")
    folder = models_folder()
    make_folder(folder)
    with _alone(folder / f"{model.file}{LOCK}", name):
        if (there := _already_fetched(folder / model.file)) is not None:
            return there
        refuse_old_torch(model.file)
        return _Fetch(model, folder, endpoint, patience, on_progress, cancel).run()


def remove_model(name: str) -> int:
    """Take a fetched model, and what came of one that was broken off, from the folder of models. Returns the bytes set free.

    Raises CheckpointError for a name that is not known; FetchError for a model of which nothing is there, and for a file that
    cannot be removed.
    """
    model, folder = known_model(name), models_folder()
    if model.is_bundled:
        raise FetchError(f"The model {name} comes with the engine: it is not to be removed.")
    there = [path for path in (fetched_path(model), *folder.glob(f"{model.file}.*{PART}")) if path.is_file()]
    if not there:
        raise FetchError(f"The model {name} has not been fetched: there is nothing to remove in {folder}.")
    with _alone(folder / f"{model.file}{LOCK}", name):
        freed = sum(map(_size, there))
        try:
            for path in (*there, folder / f"{model.file}{RECORD}"):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise FetchError(
                f"{error.filename} cannot be removed ({error.strerror}): end the programs that use it, then try again."
            ) from error
    return freed


def _already_fetched(path: Path) -> Fetched | None:
    """What its record says of a file that is there and whole."""
    try:
        record = json.loads(path.with_name(path.name + RECORD).read_text(encoding="utf-8"))
        found = Fetched(path, str(record["sha256"]), int(record["bytes"]))
        return found if path.stat().st_size == found.bytes else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def _alone(lock: Path, name: str) -> Iterator[None]:
    """One download of a file at a time, on this machine. Raises FetchError where another is under way."""
    hub = _hub()
    held = hub.WeakFileLock(lock, timeout=POLL_SECONDS)
    try:
        held.__enter__()
    except TimeoutError as error:  # filelock's is one
        raise FetchError(f"The model {name} is being fetched by another program: wait until it is done.") from error
    except OSError as error:
        raise FetchError(
            f"{lock.parent} cannot be written ({error.strerror}): choose another by LVSM_MODELS."
        ) from error
    try:
        yield
    finally:
        held.__exit__(None, None, None)


class _Fetch:
    """One model on its way."""

    def __init__(
        self,
        model: KnownModel,
        folder: Path,
        endpoint: str | None,
        patience: Patience,
        on_progress: OnProgress | None,
        cancel: Cancel | None,
    ) -> None:
        self._hub = _hub()
        self._endpoint = endpoint or self._hub.constants.ENDPOINT
        self._model, self._path, self._patience = model, folder / model.file, patience
        self._on_progress, self._cancel = on_progress, cancel
        self._began, self._came = time.monotonic(), 0

    def run(self) -> Fetched:
        """Raises FetchError, CheckpointError, OutputError, Cancelled."""
        if self._hub.constants.HF_HUB_OFFLINE:
            raise FetchError("The environment's HF_HUB_OFFLINE forbids to fetch anything: unset it, then try again.")
        self._tell(0.0, f"Asking for {self._model.name}")
        return self._keep(*self._with_patience(self._bring))

    def _bring(self) -> tuple[_Remote, Path]:
        """One try: ask anew, since addresses of a store are good for an hour, and go on with what came before."""
        remote = self._find()
        part = self._path.with_name(f"{self._path.name}.{(remote.sha256 or remote.commit)[:12]}{PART}")
        for former in self._path.parent.glob(f"{self._path.name}.*{PART}"):
            if former != part:  # the file has changed on the hub: what came of the former is of no use
                former.unlink(missing_ok=True)
        self._check_space(remote, part)
        self._take(remote, part)
        return remote, part

    def _find(self) -> _Remote:
        """Ask where the file is. Raises FetchError, _Passing."""
        hub, model = self._hub, self._model
        address = hub.hf_hub_url(model.repository, model.file, endpoint=self._endpoint)
        headers = hub.build_hf_headers()
        with self._hubs_errors():
            facts = hub.get_hf_file_metadata(
                address, headers=headers, timeout=self._patience.silence, endpoint=self._endpoint
            )
        if facts.commit_hash is None or facts.size is None:
            raise FetchError(
                f"{self._endpoint} does not answer as the hub does (a web page, or a proxy's): check HF_ENDPOINT and the proxy."
            )
        if _host(facts.location) != _host(address):
            headers.pop("authorization", None)  # a token is for the hub alone
        sha256 = facts.etag if facts.etag and SHA256.fullmatch(facts.etag) else ""
        return _Remote(
            facts.location, facts.size, sha256, facts.commit_hash, {**headers, "Accept-Encoding": "identity"}
        )

    def _check_space(self, remote: _Remote, part: Path) -> None:
        missing = remote.bytes - _size(part)
        free = shutil.disk_usage(part.parent).free
        if missing and free < missing + SPARE_BYTES:
            raise FetchError(
                f"{part.parent} has {free // MEGABYTE} MB free, and {self._model.name} needs {missing // MEGABYTE} MB more: make"
                " room, or choose another folder by LVSM_MODELS."
            )

    def _take(self, remote: _Remote, part: Path) -> None:
        """Go on with the part until it is whole. Raises FetchError, _Passing, Cancelled."""
        if (begin := _size(part)) > remote.bytes:
            part.unlink()
            begin = 0
        if begin == remote.bytes:
            return
        headers = {**remote.headers, **({"Range": f"bytes={begin}-"} if begin else {})}
        try:
            with (
                self._hubs_errors(),
                self._hub.get_session().stream(
                    "GET", remote.address, headers=headers, timeout=self._patience.silence
                ) as response,
            ):
                self._hub.hf_raise_for_status(response)
                is_rest = response.status_code == 206
                with open(part, "ab" if is_rest else "wb") as file:
                    self._write(response.iter_raw(), file, remote)
        except OSError as error:
            raise FetchError(
                f"{part.parent} cannot be written ({error.strerror or error}): free space, then try again: what came is kept."
            ) from error
        if (size := _size(part)) != remote.bytes:
            raise _Passing(f"{size} bytes came of {remote.bytes}")

    def _write(self, pieces: Iterator[bytes], file: BinaryIO, remote: _Remote) -> None:
        for piece in pieces:
            if self._cancel is not None and self._cancel():
                raise Cancelled
            file.write(piece)
            self._came += len(piece)
            done = file.tell()
            if done > remote.bytes:
                file.truncate(0)
                raise _Passing(f"more than {remote.bytes} bytes came")
            stage = f"Fetching {self._model.name}: {done // MEGABYTE} of {remote.bytes // MEGABYTE} MB"
            rate = self._came / max(time.monotonic() - self._began, 1e-3)
            self._tell(done / remote.bytes, stage, (remote.bytes - done) / rate)

    def _keep(self, remote: _Remote, part: Path) -> Fetched:
        """Check what came and give it its name. Raises FetchError, CheckpointError, OutputError."""
        self._tell(1.0, f"Checking {self._model.name}")
        sha256 = file_sha256(part)
        if remote.sha256 and sha256 != remote.sha256:
            part.unlink()
            raise FetchError(
                f"The hub sent other bytes for {self._model.name} than it says it has (sha256 {sha256[:12]} for"
                f" {remote.sha256[:12]}): try again, or from another mirror."
            )
        try:
            refuse_another_model(part, self._model)
        except CheckpointError:
            part.unlink()
            raise
        record = {
            "name": self._model.name,
            "sha256": sha256,
            "bytes": remote.bytes,
            "from": f"{self._endpoint}/{self._model.repository}",
            "commit": remote.commit,
            "accepted_licence": self._model.licence,
        }
        write_bytes(self._path.with_name(self._path.name + RECORD), (json.dumps(record, indent=2) + "\n").encode())
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        part.replace(self._path)
        return Fetched(self._path, sha256, remote.bytes)

    def _with_patience(self, action: Callable[[], Answer]) -> Answer:
        """The action's result, tried again where that may help. Raises what it raises, FetchError for its last _Passing."""
        tries = 0
        while True:
            came = self._came
            try:
                return action()
            except _Passing as passing:
                tries = tries + 1 if self._came == came else 1
                if tries > len(self._patience.waits):
                    raise FetchError(
                        f"{self._endpoint} did not deliver {self._model.name} ({passing}): try again later; what came is kept."
                    ) from passing
                self._pause(self._patience.waits[tries - 1])

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._cancel is not None and self._cancel():
                raise Cancelled
            time.sleep(POLL_SECONDS)

    @contextmanager
    def _hubs_errors(self) -> Iterator[None]:
        """What huggingface_hub and its connections raise, as FetchError or _Passing."""
        hub, model = self._hub, self._model
        try:
            yield
        except hub.GatedRepoError as error:
            raise FetchError(
                f"{model.page} is gated: ask for access there, and set HF_TOKEN to a token of yours; then try again."
            ) from error
        except hub.RepositoryNotFoundError as error:
            raise FetchError(
                f"{model.repository} is not on {self._endpoint}, or not for everyone: it was moved or removed; choose a file by"
                " hand."
            ) from error
        except (hub.EntryNotFoundError, hub.RevisionNotFoundError) as error:
            raise FetchError(
                f"{model.repository} has no file {model.file} any more: it was renamed; choose a file by hand."
            ) from error
        except hub.HfHubHTTPError as error:
            status = error.response.status_code
            if status >= 500 or status in PASSING_STATUS:
                raise _Passing(f"status {status}") from error
            raise FetchError(
                f"{self._endpoint} refuses {model.file} (status {status}): check HF_ENDPOINT, HF_TOKEN and the proxy."
            ) from error
        except hub.HTTPError as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            if type(error).__name__ == "ProxyError":
                raise FetchError(
                    f"The proxy that the environment names does not let through ({reason}): check HTTPS_PROXY."
                ) from error
            raise _Passing(reason) from error

    def _tell(self, fraction: float, stage: str, seconds_left: float | None = None) -> None:
        if self._on_progress is not None:
            self._on_progress(Progress(min(fraction, 1.0), stage, seconds_left))


def refuse_another_model(path: Path, model: KnownModel) -> None:
    """Raises CheckpointError for a file that is not the model it was published as."""
    config, card = read_card(path, model.file)
    if config.architecture != model.architecture:
        raise CheckpointError(
            f"{path}: what came for {model.name} is of another family ({config.architecture}, not {model.architecture})."
            " Fetch it again later, or choose a file by hand."
        )
    if card.resolution != model.resolution:
        raise CheckpointError(
            f"{path}: what came for {model.name} is for pictures of another size. Choose a file by hand."
        )


def _hub() -> Any:
    """huggingface_hub's names. Raises FetchError where it is not installed."""
    try:
        from . import hugging_face
    except ImportError as error:
        raise FetchError(
            f"Models are fetched by huggingface_hub, which the engine's Python has not ({error.name} is missing): press Set Up"
            " Engine again, or run 'pip install huggingface_hub'.",
            INSTALL_PACKAGES,
        ) from error
    return hugging_face


def _host(address: str) -> str:
    return urllib.parse.urlsplit(address).netloc


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        if error.errno == errno.ENOENT:
            return 0
        raise
