"""How a command ends: 0 all is done, 1 some of it is not, 2 a sentence says what is wrong."""

import itertools
import signal
import sys
from collections.abc import Callable, Mapping

from lvsm_engine.errors import LvsmError

DONE, NOT_ALL_DONE, WRONG = 0, 1, 2
REASONS_SHOWN = 5


def exit_status(command: Callable[[], int | None]) -> int:
    """Run a command: its own status, or 2 after an LvsmError, whose sentence goes to stderr. Ctrl-C gives 130."""
    try:
        return command() or DONE
    except LvsmError as error:
        print(error, file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("Interrupted: run the same command again to go on.", file=sys.stderr)
        return 128 + signal.SIGINT


def tell_missing(missing: Mapping[str, str]) -> int:
    """The status of a command that gets objects, after telling of those that did not arrive. missing: reasons by name."""
    for reason in itertools.islice(missing.values(), REASONS_SHOWN):
        print(reason, file=sys.stderr)
    if missing:
        print(f"{len(missing)} objects did not arrive: run the same command again.", file=sys.stderr)
        return NOT_ALL_DONE
    return DONE
