"""What became of the last synthesis, render or import, until the next begins: its warnings, or why it gave nothing.

A failure comes with the operators that are its ways out. A render's thread may tell, too: Blender's data is not touched.
"""

from collections.abc import Iterable

import bpy

from lvsm_engine import errors
from lvsm_engine.errors import Cancelled, LvsmError

SET_UP_ENGINE = ("lvsm.set_up_engine", "Set Up Engine")

# Remedy -> the operators that do it, the first one first, and what their buttons say.
WAYS_OUT = {
    errors.CHOOSE_PYTHON: (SET_UP_ENGINE, ("lvsm.choose_python", "Choose Python")),
    errors.INSTALL_PACKAGES: (SET_UP_ENGINE, ("lvsm.choose_python", "Choose Another Python")),
    errors.LOCATE_PHOTOS: (("lvsm.locate_photos", "Locate Photos"),),
    errors.ADD_PHOTOS: (("lvsm.import_capture", "Import Capture"),),
    errors.GET_MODEL: (("lvsm.get_model", "Get Model"), ("lvsm.choose_model", "Choose Model")),
    errors.CHOOSE_MODEL: (("lvsm.choose_model", "Choose Model"),),
    errors.USE_FEWER_VIEWS: (("lvsm.use_fewer_views", "Use 4 Views"),),
    errors.RESTART_ENGINE: (("lvsm.restart_engine", "Restart Engine"),),
    errors.OPEN_LOG: (("lvsm.open_log", "Open Log"),),
}


class LastOutcome:
    """error: why there is nothing. warnings: sentences about what there is; what a panel shows of them."""

    def __init__(self) -> None:
        self.error: LvsmError | None = None
        self.warnings: tuple[str, ...] = ()

    def keep(self, error: LvsmError) -> None:
        self.error = error

    def warn(self, sentences: Iterable[str]) -> tuple[str, ...]:
        """Keep these, once each. Returns those that are new: an animation's are told once."""
        new = tuple(dict.fromkeys(sentence for sentence in sentences if sentence not in self.warnings))
        self.warnings += new
        return new

    def forget(self) -> None:
        self.error, self.warnings = None, ()

    @property
    def ways_out(self) -> tuple[tuple[str, str], ...]:
        """The operators that do what the error's remedy asks for, each with its button's label."""
        return () if self.error is None else WAYS_OUT.get(self.error.remedy, ())


last_outcome = LastOutcome()


def refused(operator: bpy.types.Operator, error: LvsmError) -> set[str]:
    """What an operator returns that failed: the error is kept for the panel, and reported. A cancel is no failure."""
    if isinstance(error, Cancelled):
        operator.report({"INFO"}, str(error))
    else:
        last_outcome.keep(error)
        operator.report({"ERROR"}, str(error))
    return {"CANCELLED"}
