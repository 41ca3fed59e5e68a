"""Files of a dataset on the Hugging Face hub, or on a mirror of it: fetched with patience, kept only when whole.

Knows nothing of objects. The hub's address is HF_ENDPOINT, a token HF_TOKEN, the seconds without a byte after which a
connection is taken for dead HF_HUB_DOWNLOAD_TIMEOUT (10): environment variables that huggingface_hub reads. A connection
that breaks is taken up again at the last 10 MB that came whole; a process that dies starts its unfinished files anew.
Storage by Xet is huggingface_hub's own matter; HF_HUB_DISABLE_XET=1 switches to plain HTTP.
"""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, RepoFile, constants, get_session, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HTTPError, LocalEntryNotFoundError
from huggingface_hub.utils import disable_progress_bars
from huggingface_hub.utils.logging import set_verbosity_error

from lvsm_engine.digests import file_sha256

from .manifest import ObjectsError

OBJAVERSE = "allenai/objaverse"
PATHS_A_REQUEST = 200
WAITS = (1.0, 4.0, 16.0)  # seconds between four tries; huggingface_hub has patience of its own inside each
INCOMING = ".incoming-"
PASSING_STATUS = (408, 425, 429)  # besides those from 500 on
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)

Answer = TypeVar("Answer")


class HubUnreachable(ObjectsError):
    """The hub does not deliver at the moment: another run may well find it better."""


class WrongContent(ObjectsError):
    """The hub delivers other bytes than it says it has, each time."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a file before it is fetched. sha256: in hex; None where the hub keeps the file in plain git."""

    bytes: int
    sha256: str | None


class Hub:
    """A dataset at one revision.

    endpoint: overrides HF_ENDPOINT. waits: seconds between tries; one try more than waits.
    """

    def __init__(
        self,
        repository: str = OBJAVERSE,
        revision: str = "main",
        endpoint: str | None = None,
        waits: Sequence[float] = WAITS,
    ) -> None:
        # One bar for all files and one sentence for each that fails, instead of thousands of both.
        disable_progress_bars()
        set_verbosity_error()
        self._repository, self._revision, self._waits = repository, revision, waits
        self._api = HfApi(endpoint=endpoint)

    def facts(self, paths: Sequence[str]) -> dict[str, FileFacts]:
        """The facts of those of these files that exist. Raises HubUnreachable, ObjectsError for a refusal."""
        found: dict[str, FileFacts] = {}
        for start in range(0, len(paths), PATHS_A_REQUEST):
            some = list(paths[start : start + PATHS_A_REQUEST])
            for entry in self._with_patience(lambda some=some: self._ask(some), "the list of files"):  # type: ignore[misc]
                found[entry.path] = FileFacts(entry.size, entry.lfs.sha256 if entry.lfs else None)
        return found

    def fetch(self, path: str, facts: FileFacts, target: Path) -> None:
        """Bring a file to `target`, which exists only once it is whole and verified.

        Raises HubUnreachable; WrongContent; ObjectsError for a refusal, a file that is not there, or a full disk.
        """
        self._with_patience(lambda: self._fetch_once(path, facts, target), path)

    def _ask(self, paths: list[str]) -> list[RepoFile]:
        get_session().timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT  # it has none of its own (2.4)
        entries = self._api.get_paths_info(self._repository, paths, revision=self._revision, repo_type="dataset")
        return [entry for entry in entries if isinstance(entry, RepoFile)]

    def _fetch_once(self, path: str, facts: FileFacts, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=INCOMING, dir=target.parent) as folder:
            arrived = Path(
                hf_hub_download(
                    self._repository,
                    path,
                    revision=self._revision,
                    repo_type="dataset",
                    local_dir=folder,
                    endpoint=self._api.endpoint,
                )
            )
            verify(arrived, facts, path)
            with open(arrived, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(arrived, target)

    def _with_patience(self, action: Callable[[], Answer], what: str) -> Answer:
        for wait in (*self._waits, None):
            try:
                return action()
            except (HTTPError, OSError, RuntimeError, WrongContent) as error:
                _raise_if_lasting(error, what)
                if wait is None:
                    if isinstance(error, WrongContent):
                        raise
                    raise HubUnreachable(
                        f"{self._api.endpoint} did not deliver {what} ({_reason(error)}): run again later."
                    ) from error
                time.sleep(wait)
        raise AssertionError("the last try returns or raises")


def verify(file: Path, facts: FileFacts, path: str) -> None:
    """Raises WrongContent where a file is not what the hub says of `path`."""
    size = file.stat().st_size
    if size != facts.bytes:
        raise WrongContent(f"{path} came with {size} bytes, its list says {facts.bytes}.")
    if facts.sha256 is not None and (digest := file_sha256(file)) != facts.sha256:
        raise WrongContent(f"{path} came with sha256 {digest}, its list says {facts.sha256}.")


def sweep(folder: Path) -> None:
    """Remove what a run that was killed left of files on their way."""
    for left in folder.glob(f"{INCOMING}*"):
        shutil.rmtree(left)


def _raise_if_lasting(error: Exception, what: str) -> None:
    """Raises ObjectsError for what no second try can mend."""
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        raise ObjectsError(f"{what} cannot be written ({error}): make room on the disk, then run again.") from error
    cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) and error.__cause__ else error
    if isinstance(cause, EntryNotFoundError) and not isinstance(cause, LocalEntryNotFoundError):
        raise ObjectsError(f"{what} is not on the hub: another revision may have it.") from error
    if isinstance(cause, HfHubHTTPError):
        status = cause.response.status_code
        if status < 500 and status not in PASSING_STATUS:
            raise ObjectsError(
                f"The hub refuses {what} (status {status}): check HF_ENDPOINT, HF_TOKEN and the repository's name."
            ) from error


def _reason(error: BaseException) -> str:
    """The first line of the first cause: huggingface_hub wraps the news in a general sentence."""
    while isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]
