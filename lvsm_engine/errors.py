"""The errors that cross the engine's border: each a sentence for a person, with a way out.

The message says what is wrong, in which file or camera, and what to do. Where a
single action helps, `remedy` names it (one of REMEDIES), so that a user interface can
offer it as a button.
"""

from .plain_text import plain

CHOOSE_PYTHON = "choose_python"
INSTALL_PACKAGES = "install_packages"
LOCATE_PHOTOS = "locate_photos"
ADD_PHOTOS = "add_photos"
CHOOSE_MODEL = "choose_model"
GET_MODEL = "get_model"
USE_FEWER_VIEWS = "use_fewer_views"
RESTART_ENGINE = "restart_engine"
OPEN_LOG = "open_log"

REMEDIES = (
    CHOOSE_PYTHON,
    INSTALL_PACKAGES,
    LOCATE_PHOTOS,
    ADD_PHOTOS,
    CHOOSE_MODEL,
    GET_MODEL,
    USE_FEWER_VIEWS,
    RESTART_ENGINE,
    OPEN_LOG,
)


# A sentence with a few long paths. Of a longer one the ends are kept: the file it begins with, and what to do.
MAX_SENTENCE = 2000


def _shortened(sentence: str) -> str:
    if len(sentence) <= MAX_SENTENCE:
        return sentence
    return f"{sentence[: MAX_SENTENCE // 2]} ... {sentence[-MAX_SENTENCE // 2 :]}"


class LvsmError(Exception):
    """A failure that a person can act upon."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(plain(_shortened(sentence)))
        self.remedy = remedy


class CaptureError(LvsmError):
    """A capture, or one of its photos, cannot be used."""


class CameraError(LvsmError):
    """A camera cannot be used: its pose, its lens or its type."""


class CheckpointError(LvsmError):
    """A model's file cannot be loaded or written."""


class FetchError(LvsmError):
    """A known model cannot be fetched."""


class DeviceError(LvsmError):
    """The computing device is missing, or its memory does not suffice."""


class WorkerError(LvsmError):
    """The engine's process cannot be started, has died, or does not answer."""


class OutputError(LvsmError):
    """A result cannot be written."""


class Cancelled(LvsmError):
    """The user stopped the work."""

    def __init__(self, sentence: str = "Cancelled.", remedy: str = "") -> None:
        super().__init__(sentence, remedy)


KINDS: dict[str, type[LvsmError]] = {
    kind.__name__: kind
    for kind in (
        CaptureError,
        CameraError,
        CheckpointError,
        FetchError,
        DeviceError,
        WorkerError,
        OutputError,
        Cancelled,
    )
}
