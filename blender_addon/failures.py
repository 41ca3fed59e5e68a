"""Why the last synthesis, render or import gave nothing, until the next begins; and which operator is its way out."""

from lvsm_engine import errors
from lvsm_engine.errors import LvsmError

# Remedy -> the operator that does it, and what its button says.
WAYS_OUT = {
    errors.CHOOSE_PYTHON: ("lvsm.choose_python", "Choose Python"),
    errors.INSTALL_PACKAGES: ("lvsm.choose_python", "Choose Another Python"),
    errors.LOCATE_PHOTOS: ("lvsm.locate_photos", "Locate Photos"),
    errors.ADD_PHOTOS: ("lvsm.import_capture", "Import Capture"),
    errors.CHOOSE_MODEL: ("lvsm.choose_model", "Choose Model"),
    errors.USE_FEWER_VIEWS: ("lvsm.use_fewer_views", "Use 4 Views"),
    errors.RESTART_ENGINE: ("lvsm.restart_engine", "Restart Engine"),
    errors.OPEN_LOG: ("lvsm.open_log", "Open Log"),
}


class LastFailure:
    """The failure that the panel shows, if any. A render's thread may keep one too: Blender's data is not touched."""

    def __init__(self) -> None:
        self.error: LvsmError | None = None

    def keep(self, error: LvsmError) -> None:
        self.error = error

    def forget(self) -> None:
        self.error = None

    @property
    def way_out(self) -> tuple[str, str] | None:
        """The operator that does what the error's remedy asks for, and its button's label."""
        return None if self.error is None else WAYS_OUT.get(self.error.remedy)


last_failure = LastFailure()
