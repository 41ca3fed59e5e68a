"""The command line: lvsm render | solve | convert | inspect | models | doctor | bench.

Exit status: 0 done, 1 failed, 2 wrong use.
"""

# The standard library only at import, so that `lvsm doctor` works where packages are missing.

import sys

from ..errors import LvsmError
from .doctor import Doctor
from .signals import Ended, ending_by_exception
from .terminal import NobodyReads, complain, finish, prepare, writing


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns the exit status."""
    prepare()
    try:
        with ending_by_exception():
            status = _run(sys.argv[1:] if arguments is None else arguments)
            finish()
            return status
    except LvsmError as error:
        complain(f"lvsm: {error}")
    except ImportError as error:
        complain(f"lvsm: The installation is not complete ({error}): see 'lvsm doctor'.")
    except KeyboardInterrupt:
        complain("lvsm: Cancelled.")
    except Ended as ended:
        complain(f"lvsm: Ended by {ended.signal.name}.")
        return ended.status
    except NobodyReads:  # `lvsm inspect default | head -1`: who asked has read enough
        pass
    return 1


def _run(arguments: list[str]) -> int:
    try:
        from .arguments import command_of
    except ImportError:
        if arguments[:1] != ["doctor"]:
            raise
        return Doctor().run()  # not even arguments can be read; the doctor needs none
    try:
        with writing():  # tyro prints the help
            command = command_of(arguments, prog="lvsm", description=str(__doc__))
    except SystemExit as end:  # help, or wrong arguments, and tyro has said so
        return int(end.code or 0)
    return command.run()
