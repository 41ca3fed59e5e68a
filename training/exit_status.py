"""How a command that gets objects ends: 0 all are there, 1 some are not yet, 2 a sentence says what is wrong."""

import itertools
import signal
import sys
from collections.abc import Callable, Mapping

from lvsm_engine.errors import LvsmError

SHOWN = 5  # of the reasons


def exit_status(get_objects: Callable[[], Mapping[str, str]]) -> int:
    """Do it, and tell of the objects that did not arrive: what `get_objects` returns, with the reasons."""
    try:
        missing = get_objects()
    except LvsmError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted: run the same command again to go on.", file=sys.stderr)
        return 128 + signal.SIGINT
    for reason in itertools.islice(missing.values(), SHOWN):
        print(reason, file=sys.stderr)
    if missing:
        print(f"{len(missing)} objects did not arrive: run the same command again.", file=sys.stderr)
        return 1
    return 0
